"""Round trips with other tools: pushed here and read there, pushed there and read here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from dissolver.export.rootfs import write_tar
from dissolver.image import media_types
from dissolver.store import Store
from registry.conftest import Ways
from registry.servers import RegistryServer
from shelf import add_image


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def run(*words: str | Path, cwd: Path | None = None) -> str:
    done = subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, cwd=cwd, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_skopeo_reads_what_was_pushed(
    server: RegistryServer, repository: str, ways: Ways, tmp_path: Path
) -> None:
    skopeo = tool("skopeo")
    name = server.name(f"{repository}:v1")
    image = add_image(ways.store, "a b", name)
    pushed = ways.push(name)
    about = json.loads(run(skopeo, "inspect", "--tls-verify=false", f"docker://{name}"))
    assert about["Digest"] == pushed.digest
    run(skopeo, "copy", "--src-tls-verify=false", f"docker://{name}", f"oci:{tmp_path}/layout:v1")
    index = json.loads((tmp_path / "layout/index.json").read_bytes())
    assert [one["digest"] for one in index["manifests"]] == [pushed.digest]
    assert (tmp_path / "layout/blobs/sha256" / image.id[7:]).read_bytes() == (
        ways.store.blobs.get(image.id)
    )


@pytest.mark.parametrize("form", ["oci", "v2s2"])
def test_what_skopeo_pushed_is_pulled_and_pushed_back_unchanged(
    server: RegistryServer,
    repository: str,
    ways: Ways,
    new_store: Callable[[], Store],
    tmp_path: Path,
    form: str,
) -> None:
    skopeo = tool("skopeo")
    name = server.name(f"{repository}:v1")
    image = add_image(ways.store, "a b", name)
    ways.push(name, compression="none")
    there = server.name(f"{repository}/there:v1")
    options = ("--src-tls-verify=false", "--dest-tls-verify=false", "--dest-compress")
    run(skopeo, "copy", *options, "--format", form, f"docker://{name}", f"docker://{there}")
    other = Ways(new_store())
    pulled = other.pull(there)
    if form == "oci":
        assert pulled.image == image
    assert pulled.image.config.diff_ids == image.config.diff_ids
    back = server.name(f"{repository}/back:v1")
    other.tag(pulled.image.id, back)
    assert other.push(back).digest == pulled.digest
    about = [
        json.loads(run(skopeo, "inspect", "--tls-verify=false", f"docker://{one}"))
        for one in (there, back)
    ]
    assert about[0]["Layers"] == about[1]["Layers"]


def test_umoci_unpacks_what_was_pushed(
    server: RegistryServer, repository: str, ways: Ways, tmp_path: Path
) -> None:
    umoci, skopeo = tool("umoci"), tool("skopeo")
    if os.geteuid() != 0:
        pytest.skip("umoci unpacks owners as root only")
    name = server.name(f"{repository}:v1")
    image = add_image(ways.store, "a b", name)
    ways.push(name, compression="gzip")
    run(skopeo, "copy", "--src-tls-verify=false", f"docker://{name}", f"oci:{tmp_path}/layout:v1")
    run(umoci, "unpack", "--image", f"{tmp_path}/layout:v1", tmp_path / "bundle")
    found = (tmp_path / "bundle/rootfs/file").read_bytes()
    assert found == ways.store.layers.view(image.config.diff_ids).read("file", limit=1 << 20)


def test_umoci_made_images_are_pulled(
    server: RegistryServer, repository: str, ways: Ways, tmp_path: Path
) -> None:
    umoci, skopeo = tool("umoci"), tool("skopeo")
    if os.geteuid() != 0:
        pytest.skip("umoci unpacks owners as root only")
    layout = f"{tmp_path}/layout"
    run(umoci, "init", "--layout", layout)
    run(umoci, "new", "--image", f"{layout}:v1")
    run(umoci, "unpack", "--image", f"{layout}:v1", tmp_path / "bundle")
    (tmp_path / "bundle/rootfs/greeting").write_text("from umoci", encoding="ascii")
    run(umoci, "repack", "--image", f"{layout}:v1", tmp_path / "bundle")
    run(umoci, "config", "--image", f"{layout}:v1", "--config.cmd", "sh")
    name = server.name(f"{repository}:v1")
    run(skopeo, "copy", "--dest-tls-verify=false", f"oci:{layout}:v1", f"docker://{name}")
    pulled = ways.pull(name)
    view = ways.store.layers.view(pulled.image.config.diff_ids)
    assert view.read("greeting", limit=100) == b"from umoci"
    assert pulled.image.config.config.cmd == ("sh",)


def test_buildah_and_we_read_each_other(
    server: RegistryServer,
    repository: str,
    ways: Ways,
    new_store: Callable[[], Store],
    tmp_path: Path,
) -> None:
    buildah = tool("buildah")
    if os.geteuid() != 0:
        pytest.skip("buildah's storage here needs root")
    name = server.name(f"{repository}:v1")
    image = add_image(ways.store, "a", name)
    ways.push(name)
    root = ("--root", tmp_path / "root", "--runroot", tmp_path / "run", "--storage-driver", "vfs")
    pulled = run(buildah, *root, "pull", "--quiet", "--tls-verify=false", f"docker://{name}")
    assert pulled.strip() == image.id[7:]
    working = run(buildah, *root, "from", "--tls-verify=false", name).strip()
    (tmp_path / "added").write_text("by buildah", encoding="ascii")
    run(buildah, *root, "copy", working, tmp_path / "added", "/added")
    there = server.name(f"{repository}/there:v1")
    run(buildah, *root, "commit", "--quiet", working, there)
    run(buildah, *root, "push", "--quiet", "--tls-verify=false", there, f"docker://{there}")
    run(buildah, *root, "rm", "--all")
    other = Ways(new_store())
    found = other.pull(there).image
    view = other.store.layers.view(found.config.diff_ids)
    assert view.read("added", limit=100) == b"by buildah"
    assert view.read("file", limit=1 << 20)[:1] == b"a"
    back = server.name(f"{repository}/back:v1")
    other.tag(found.id, back)
    pushed = other.push(back)
    assert pushed.digest == other.pull(there).digest
    with (tmp_path / "out.tar").open("wb") as file:
        write_tar(other.store, found.config.diff_ids, file.fileno())
    document = server.manifest(f"{repository}/back", "v1", media_types.OCI_MANIFEST)
    assert document["config"]["digest"] == found.id
