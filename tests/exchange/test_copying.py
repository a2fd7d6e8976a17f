"""Images from place to place: registries, layouts, archives and the store."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from dissolver.errors import (
    BadReference,
    ContentMismatch,
    CoreFailure,
    DissolverError,
    ExportError,
    ImageNotFound,
    IntakeError,
    NotInRegistry,
)
from dissolver.exchange.copying import Copying
from dissolver.exchange.places import parse_place
from dissolver.image import media_types
from dissolver.image.platform import Platform
from dissolver.intake.load import load
from dissolver.registry.copying import Copied
from dissolver.store import Store
from registry.conftest import AMD64, Ways, nothing_half_done
from registry.images import Layer, Made, config_of, layer, noise, put_image, put_index, sha256
from registry.meddler import Meddler
from registry.servers import RegistryServer
from scene import Cli
from shelf import add_image

ARM64 = Platform("linux", "arm64")


def copied(
    ways: Ways,
    source: str,
    target: str,
    platform: Platform | None = None,
    *,
    takes_all: bool = False,
) -> Copied:
    copying = Copying(ways.store, ways.sources, AMD64, ways.events.append)
    return copying.copy(
        parse_place(source), parse_place(target), platform=platform, takes_all=takes_all
    )


def put_both(server: RegistryServer, repository: str) -> tuple[Made, Made, str]:
    made = [
        put_image(
            server, repository, "", layer(a=text.encode(), b=noise(9000, text)), architecture=text
        )
        for text in ("amd64", "arm64")
    ]
    digest = put_index(server, repository, "v1", ("linux/amd64", made[0]), ("linux/arm64", made[1]))
    return made[0], made[1], digest


def place_of(kind: str, server: RegistryServer, repository: str, directory: Path) -> str:
    if kind == "registry":
        return server.name(f"{repository}/{kind}:v1")
    return f"{kind}:{directory / kind}:v1"


LAYOUTS = ("registry", "oci", "oci-archive")


@pytest.mark.parametrize("ends", LAYOUTS)
@pytest.mark.parametrize("begins", LAYOUTS)
def test_an_index_goes_everywhere_unchanged(
    server: RegistryServer, repository: str, ways: Ways, tmp_path: Path, begins: str, ends: str
) -> None:
    amd, arm, digest = put_both(server, repository)
    first = place_of(begins, server, f"{repository}/from", tmp_path)
    second = place_of(ends, server, f"{repository}/to", tmp_path / "to")
    (tmp_path / "to").mkdir()
    assert copied(ways, server.name(f"{repository}:v1"), first).digest == digest
    assert copied(ways, first, second, takes_all=True).digest == digest
    last = server.name(f"{repository}/last:v1")
    assert copied(ways, second, last).digest == digest
    for platform, one in ((AMD64, amd), (ARM64, arm)):
        pulled = ways.pull(last, platform, is_strict=True)
        assert (pulled.digest, pulled.image.id) == (digest, one.image_id)


@pytest.mark.parametrize("kind", [*LAYOUTS, "docker-archive"])
def test_one_platform_can_be_chosen(
    server: RegistryServer, repository: str, ways: Ways, tmp_path: Path, kind: str
) -> None:
    _, arm, _ = put_both(server, repository)
    target = place_of(kind, server, f"{repository}/to", tmp_path)
    made = copied(ways, server.name(f"{repository}:v1"), target, ARM64)
    assert made.digest == arm.digest
    back = server.name(f"{repository}/back:v1")
    assert copied(ways, target, back).digest == arm.digest
    with pytest.raises(NotInRegistry, match="has no image for `linux/s390x`"):
        copied(ways, server.name(f"{repository}:v1"), target, Platform("linux", "s390x"))


@pytest.mark.parametrize("kind", [*LAYOUTS, "docker-archive"])
def test_what_goes_into_the_store_runs_and_comes_back_unchanged(
    server: RegistryServer, repository: str, ways: Ways, tmp_path: Path, kind: str
) -> None:
    amd, _, _ = put_both(server, repository)
    source = place_of(kind, server, f"{repository}/from", tmp_path)
    copied(ways, server.name(f"{repository}:v1"), source, AMD64)
    made = copied(ways, source, "store:here:v1")
    assert made.digest == amd.digest
    (listed,) = ways.store.images.list()
    assert listed.image.id == amd.image_id
    assert [one.familiar for one in listed.references] == ["here:v1"]
    view = ways.store.layers.view(listed.image.config.diff_ids)
    assert view.read("a", limit=100) == b"amd64"
    for number, text in enumerate(("registry", "oci", "oci-archive", "docker-archive")):
        target = place_of(text, server, f"{repository}/out", tmp_path / f"out-{number}")
        (tmp_path / f"out-{number}").mkdir()
        assert copied(ways, "store:here:v1", target).digest == amd.digest
    assert ways.store.check() == ()


def test_an_image_that_was_built_here_gets_one_manifest_for_all_places(
    server: RegistryServer, repository: str, ways: Ways, tmp_path: Path
) -> None:
    image = add_image(ways.store, "a b", "here:v1")
    target = server.name(f"{repository}:v1")
    made = copied(ways, "store:here:v1", target)
    assert made.sent_bytes > 0
    assert copied(ways, f"store:{image.id[7:19]}", f"oci:{tmp_path}/layout").digest == made.digest
    pushed = server.name(f"{repository}/pushed:v1")
    ways.tag(image.id, pushed)
    assert ways.push(pushed).digest == made.digest
    archive = f"docker-archive:{tmp_path}/archive"
    assert copied(ways, "store:here:v1", archive).digest == made.digest


def test_an_archive_of_an_image_that_was_never_sent_has_plain_layers(
    ways: Ways, new_store: Callable[[], Store], tmp_path: Path
) -> None:
    image = add_image(ways.store, "a b", "here:v1")
    copied(ways, "store:here:v1", f"docker-archive:{tmp_path}/archive:there:v2")
    with tarfile.open(tmp_path / "archive") as tar:
        names = tar.getnames()
        row = json.loads(tar.extractfile("manifest.json").read())  # type: ignore[union-attr]
    blob = "blobs/sha256/"
    assert row == [
        {
            "Config": blob + image.id[7:],
            "RepoTags": ["there:v2"],
            "Layers": [blob + diff_id[7:] for diff_id in image.config.diff_ids],
        }
    ]
    assert len(names) == len(set(names))
    (loaded,) = load(new_store(), str(tmp_path / "archive"))
    assert loaded.image == image
    assert [one.familiar for one in loaded.references] == ["there:v2"]


def old_archive(path: Path, *layers: Layer, names: list[str] | None = None) -> bytes:
    """Write an archive as Docker did before it wrote layouts; answer the configuration."""
    config = config_of(*layers)
    rows = [
        {
            "Config": f"{sha256(config)[7:]}.json",
            "RepoTags": names,
            "Layers": [f"{number}/layer.tar" for number, _ in enumerate(layers)],
        }
    ]
    files = {
        f"{sha256(config)[7:]}.json": config,
        **{f"{number}/layer.tar": one.blob for number, one in enumerate(layers)},
        "manifest.json": json.dumps(rows).encode(),
    }
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return config


def test_an_archive_of_old_is_compressed_for_a_registry_as_a_push_would(
    server: RegistryServer,
    repository: str,
    ways: Ways,
    new_store: Callable[[], Store],
    tmp_path: Path,
) -> None:
    plain, packed = layer(media_types.OCI_LAYER, a=b"a" * 9000), layer(b=b"b")
    config = old_archive(tmp_path / "old", plain, packed, names=["old:v1"])
    name = server.name(f"{repository}:v1")
    made = copied(ways, f"docker-archive:{tmp_path}/old", name)
    manifest = server.manifest(repository, "v1")
    assert manifest["config"]["digest"] == sha256(config)
    types = [one["mediaType"] for one in manifest["layers"]]
    assert types == [media_types.layer_type("gzip")] * 2
    assert manifest["layers"][1]["digest"] == packed.digest
    other = Ways(new_store())
    (loaded,) = load(other.store, str(tmp_path / "old"))
    pushed = server.name(f"{repository}/pushed:v1")
    other.tag(loaded.image.id, pushed)
    other.push(pushed)
    again = server.manifest(f"{repository}/pushed", "v1")
    assert again["layers"][0] == manifest["layers"][0]
    assert ways.pull(name).digest == made.digest


@pytest.mark.parametrize("target", ["oci:{}/to", "store:x"])
def test_an_archive_of_old_keeps_its_layers_elsewhere(
    ways: Ways, tmp_path: Path, target: str
) -> None:
    plain = layer(media_types.OCI_LAYER, a=b"a" * 9000)
    config = old_archive(tmp_path / "old", plain)
    copied(ways, f"docker-archive:{tmp_path}/old", target.format(tmp_path))
    if target == "store:x":
        assert [one.image.id for one in ways.store.images.list()] == [sha256(config)]
    else:
        found = (tmp_path / "to/blobs/sha256" / plain.diff_id[7:]).read_bytes()
        assert found == plain.tar


def test_a_layer_of_an_archive_must_be_what_the_configuration_says(
    server: RegistryServer, repository: str, ways: Ways, tmp_path: Path
) -> None:
    one = layer(media_types.OCI_LAYER, a=b"a")
    old_archive(
        tmp_path / "old", Layer(one.tar, layer(media_types.OCI_LAYER, a=b"b").blob, one.media_type)
    )
    source = f"docker-archive:{tmp_path}/old"
    for target in (server.name(f"{repository}:v1"), f"oci:{tmp_path}/to", "store:x"):
        with pytest.raises((ContentMismatch, CoreFailure)):
            copied(ways, source, target)
    assert server.ask("GET", f"/v2/{repository}/manifests/v1")[0] == 404
    assert not (tmp_path / "to").exists()
    nothing_half_done(ways.store)


def test_a_layout_is_added_to_and_one_name_is_one_image(
    server: RegistryServer, repository: str, ways: Ways, tmp_path: Path
) -> None:
    first = put_image(server, repository, "v1", layer(a=b"1"))
    second = put_image(server, repository, "v2", layer(a=b"2"))
    layout = f"oci:{tmp_path}/layout"
    copied(ways, server.name(f"{repository}:v1"), f"{layout}:a")
    path = tmp_path / "layout/index.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "annotations": {"kept": "yes"}}))
    copied(ways, server.name(f"{repository}:v1"), f"{layout}:b")
    copied(ways, server.name(f"{repository}:v2"), f"{layout}:a")
    copied(ways, server.name(f"{repository}:v2"), layout)
    index = json.loads(path.read_text())
    assert index["annotations"] == {"kept": "yes"}
    name = server.name(f"{repository}:v2")
    key = "org.opencontainers.image.ref.name"
    assert [(one["digest"], one["annotations"]) for one in index["manifests"]] == [
        (first.digest, {key: "b"}),
        (second.digest, {key: "a"}),
        (second.digest, {key: "v2", "io.containerd.image.name": name}),
    ]
    with pytest.raises(IntakeError) as caught:
        copied(ways, layout, "store:x")
    assert caught.value.message == f"`{tmp_path}/layout` has several images, and none is named"
    assert caught.value.hint == "it has `b`, `a`, `v2`"
    by_digest = f"{layout}@{first.digest}"
    assert copied(ways, by_digest, "store:x").digest == first.digest
    with pytest.raises(IntakeError, match="has no image `c`"):
        copied(ways, f"{layout}:c", "store:x")


def test_a_damaged_blob_of_a_layout_is_written_anew(
    server: RegistryServer, repository: str, ways: Ways, tmp_path: Path
) -> None:
    made = put_image(server, repository, "v1", layer(a=b"1"))
    source, target = server.name(f"{repository}:v1"), f"oci:{tmp_path}/layout:a"
    copied(ways, source, target)
    blob = tmp_path / "layout/blobs/sha256" / made.layers[0].digest[7:]
    blob.write_bytes(bytes(len(made.layers[0].blob)))
    with pytest.raises(ContentMismatch):
        copied(ways, target, "store:x")
    nothing_half_done(ways.store)
    assert copied(ways, source, target).sent_bytes == len(made.layers[0].blob)
    assert copied(ways, target, "store:x").digest == made.digest


@pytest.mark.parametrize("cut", [0, 100])
def test_a_blob_of_a_layout_has_its_size(
    server: RegistryServer, repository: str, ways: Ways, tmp_path: Path, cut: int
) -> None:
    made = put_image(server, repository, "v1", layer(a=noise(1000)))
    target = f"oci:{tmp_path}/layout:a"
    copied(ways, server.name(f"{repository}:v1"), target)
    blob = tmp_path / "layout/blobs/sha256" / made.layers[0].digest[7:]
    content = blob.read_bytes()
    blob.write_bytes(content[:cut] if cut else content + b"more")
    with pytest.raises(ContentMismatch):
        copied(ways, target, "store:x")
    blob.unlink()
    with pytest.raises(IntakeError, match="lacks the content"):
        copied(ways, target, "store:x")
    nothing_half_done(ways.store)


@pytest.mark.parametrize("kind", ["oci", "oci-archive", "docker-archive", "store"])
def test_damaged_bytes_leave_nothing_anywhere(
    proxy: Meddler, repository: str, ways: Ways, tmp_path: Path, kind: str
) -> None:
    made = put_image(proxy.upstream, repository, "v1", layer(a=b"1"), layer(b=noise(9000)))
    proxy.corrupts(made.layers[1].digest, 100, times=99)
    target = "store:x" if kind == "store" else f"{kind}:{tmp_path}/out/to"
    (tmp_path / "out").mkdir()
    for _ in range(2):
        with pytest.raises(ContentMismatch):
            copied(ways, proxy.name(f"{repository}:v1"), target)
        assert not any(path.is_file() for path in (tmp_path / "out").rglob("*"))
        # An empty directory that is there already stays, as empty as it was.
        if kind == "oci":
            (tmp_path / "out/to").mkdir(exist_ok=True)
    nothing_half_done(ways.store)


def test_a_failure_leaves_a_layout_as_it_was(
    proxy: Meddler, repository: str, ways: Ways, tmp_path: Path
) -> None:
    put_image(proxy.upstream, repository, "v1", layer(a=b"1"))
    bad = put_image(proxy.upstream, repository, "v2", layer(b=noise(9000)))
    target = f"oci:{tmp_path}/layout"
    copied(ways, proxy.name(f"{repository}:v1"), target)
    before = (tmp_path / "layout/index.json").read_bytes()
    proxy.corrupts(bad.layers[0].digest, 100, times=9)
    with pytest.raises(ContentMismatch):
        copied(ways, proxy.name(f"{repository}:v2"), target)
    assert (tmp_path / "layout/index.json").read_bytes() == before
    names = [path.name for path in (tmp_path / "layout/blobs/sha256").iterdir()]
    assert bad.layers[0].digest[7:] not in names
    assert not any(name.startswith(".") for name in names)


@pytest.mark.parametrize(
    ("source", "target", "kind", "message"),
    [
        ("store:a", "store:b", BadReference, "the image is in the store already"),
        ("store:nobody", "oci:{}/x", ImageNotFound, "there is no local image `nobody:latest`"),
        ("oci:{}/none", "store:x", IntakeError, "cannot open the archive `{}/none`"),
        ("oci:{}/empty", "store:x", IntakeError, "`{}/empty` is no OCI image layout"),
        ("oci-archive:{}/text", "store:x", IntakeError, "this is no archive of images"),
        ("docker-archive:{}/tar", "store:x", IntakeError, "`{}/tar` is no archive of images"),
        ("store:here:v1", "oci:{}/full", ExportError, "`{}/full` is not empty"),
        ("store:here:v1", "oci:{}/text", ExportError, "`{}/text` exists and is no directory"),
        ("store:here:v1", "oci-archive:{}/full", ExportError, "`{}/full` is a directory"),
        ("store:here:v1", "oci-archive:{}/no/x", DissolverError, "cannot write"),
    ],
)
def test_what_cannot_be_is_told(
    ways: Ways, tmp_path: Path, source: str, target: str, kind: type[DissolverError], message: str
) -> None:
    add_image(ways.store, "a", "here:v1")
    for name in ("full", "empty"):
        (tmp_path / name).mkdir()
    (tmp_path / "full/file").write_text("x")
    (tmp_path / "text").write_text("no tar")
    with tarfile.open(tmp_path / "tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("file"))
    before = sorted(tmp_path.iterdir())
    with pytest.raises(kind) as caught:
        copied(ways, source.format(tmp_path), target.format(tmp_path))
    assert caught.value.message.startswith(message.format(tmp_path))
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("store:x", "the store holds an image for one platform, not for all"),
        ("docker-archive:x", "an archive for Docker holds an image for one platform, not for all"),
    ],
)
def test_all_platforms_need_a_place_that_takes_them(ways: Ways, target: str, message: str) -> None:
    with pytest.raises(ExportError) as caught:
        copied(ways, "oci:anything", target, takes_all=True)
    assert caught.value.message == message


def test_an_image_of_the_store_is_for_its_platform(ways: Ways, tmp_path: Path) -> None:
    add_image(ways.store, "a", "here:v1")
    with pytest.raises(ImageNotFound) as caught:
        copied(ways, "store:here:v1", f"oci:{tmp_path}/x", ARM64)
    assert caught.value.message == "`store:here:v1` is for `linux/amd64`, not for `linux/arm64`"
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("name", ["x@sha256:" + "0" * 64, "x:v1@sha256:" + "0" * 64])
def test_an_image_in_the_store_is_called_by_a_tag(
    server: RegistryServer, repository: str, ways: Ways, name: str
) -> None:
    put_image(server, repository, "v1", layer(a=b"1"))
    with pytest.raises(BadReference, match="is no name with a tag"):
        copied(ways, server.name(f"{repository}:v1"), f"store:{name}")


def test_links_of_a_hostile_layout_lead_nowhere(
    server: RegistryServer, repository: str, ways: Ways, tmp_path: Path
) -> None:
    put_image(server, repository, "v1", layer(a=b"1"))
    (tmp_path / "outside").mkdir()
    (tmp_path / "layout").mkdir()
    (tmp_path / "layout/oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (tmp_path / "layout/blobs").symlink_to(tmp_path / "outside")
    with pytest.raises(ExportError, match="is a symbolic link"):
        copied(ways, server.name(f"{repository}:v1"), f"oci:{tmp_path}/layout")
    with pytest.raises(IntakeError):
        copied(ways, f"oci:{tmp_path}/layout", "store:x")
    assert list((tmp_path / "outside").iterdir()) == []


def test_what_is_no_file_in_a_hostile_layout_is_not_waited_for(
    server: RegistryServer, repository: str, ways: Ways, tmp_path: Path
) -> None:
    made = put_image(server, repository, "v1", layer(a=b"1"))
    source, target = server.name(f"{repository}:v1"), f"oci:{tmp_path}/layout:a"
    copied(ways, source, target)
    blob = tmp_path / "layout/blobs/sha256" / made.layers[0].digest[7:]
    blob.unlink()
    os.mkfifo(blob)
    assert copied(ways, source, target).sent_bytes == len(made.layers[0].blob)
    assert blob.read_bytes() == made.layers[0].blob
    index = tmp_path / "layout/index.json"
    index.unlink()
    os.mkfifo(index)
    with pytest.raises(ExportError) as caught:
        copied(ways, source, target)
    assert caught.value.message == f"`{index}` is no file"


def test_the_command_copies_as_root_and_as_a_user(
    box: Cli, server: RegistryServer, repository: str
) -> None:
    home = box.account.home
    name = f"copies-{repository}"
    (home / name).mkdir()
    box.account.own(home / name)
    there = server.name(f"{repository}:v1")
    digest = box("image", "copy", "-q", "store:box", there).stdout.strip()
    lines = box("image", "copy", there, "oci:layout:v1", cwd=home / name).stdout.splitlines()
    assert lines[0] == f"v1: Copying to oci:{home}/{name}/layout:v1"
    assert lines[-1].startswith(f"v1: digest: {digest} size: ")
    places = (
        ("oci:layout:v1", "oci-archive:a.tar"),
        ("oci-archive:a.tar", "docker-archive:b.tar:new:v2"),
        ("docker-archive:b.tar", "store:again:v1"),
    )
    for source, target in places:
        done = box("image", "copy", "-q", source, target, cwd=home / name)
        assert done.stdout.strip() == digest
    ids = box("images", "-q", "--no-trunc").stdout.split()
    assert len(set(ids)) == 1
    assert box("run", "--rm", "again:v1", "echo", "it runs").stdout == "it runs\n"
    assert box("image", "copy", "-a", "oci:layout", "store:x", check=False, cwd=home / name)
    failed = box("image", "copy", "-a", "--platform", "arm64", "a", "b", check=False)
    assert failed.returncode != 0
    assert "`--all` and `--platform` do not go together" in failed.stderr
