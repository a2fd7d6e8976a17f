"""The same places as skopeo and umoci see them: written here and read there, and back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dissolver.image import media_types
from exchange.test_copying import copied, put_both
from registry.conftest import Ways
from registry.images import layer, put_image
from registry.servers import RegistryServer
from registry.test_other_tools import run, tool

PLACES = ("oci:{}/{}:v1", "oci-archive:{}/{}:v1", "docker-archive:{}/{}:here:v1")


@pytest.mark.parametrize("place", PLACES)
def test_skopeo_reads_what_was_copied_here(
    server: RegistryServer, repository: str, ways: Ways, tmp_path: Path, place: str
) -> None:
    skopeo = tool("skopeo")
    made = put_image(server, repository, "v1", layer(a=b"1"), layer(media_types.OCI_LAYER, b=b"2"))
    target = place.format(tmp_path, "image")
    copied(ways, server.name(f"{repository}:v1"), target)
    config = run(skopeo, "inspect", "--config", "--raw", target)
    assert json.loads(config) == json.loads(made.config)
    if not place.startswith("docker"):
        assert json.loads(run(skopeo, "inspect", target))["Digest"] == made.digest
    back = server.name(f"{repository}/back:v1")
    keeps = () if place.startswith("docker") else ("--preserve-digests",)
    run(skopeo, "copy", "--dest-tls-verify=false", *keeps, target, f"docker://{back}")
    pulled = ways.pull(back)
    assert pulled.image.id == made.image_id
    if keeps:
        assert pulled.digest == made.digest


@pytest.mark.parametrize("place", PLACES)
def test_what_skopeo_copied_is_read_here(
    server: RegistryServer, repository: str, ways: Ways, tmp_path: Path, place: str
) -> None:
    skopeo = tool("skopeo")
    made = put_image(server, repository, "v1", layer(a=b"1"), layer(b=b"2"))
    source = place.format(tmp_path, "image")
    name = server.name(f"{repository}:v1")
    run(skopeo, "copy", "--src-tls-verify=false", f"docker://{name}", source)
    copied(ways, source, "store:here:v2")
    (listed,) = ways.store.images.list()
    assert listed.image.id == made.image_id
    again = server.name(f"{repository}/again:v1")
    digest = copied(ways, source, again).digest
    # Archives of this tool have no manifests; elsewhere the digest stays.
    assert (digest == made.digest) == (not place.startswith("docker"))
    assert ways.pull(again).image.id == made.image_id


def test_an_index_goes_through_skopeo_unchanged(
    server: RegistryServer, repository: str, ways: Ways, tmp_path: Path
) -> None:
    skopeo = tool("skopeo")
    _, _, digest = put_both(server, repository)
    name = server.name(f"{repository}:v1")
    first, second = f"oci:{tmp_path}/first:v1", f"oci:{tmp_path}/second:v1"
    assert copied(ways, name, first).digest == digest
    run(skopeo, "copy", "--all", first, second)
    assert copied(ways, second, server.name(f"{repository}/back:v1")).digest == digest


def test_umoci_goes_on_with_a_layout(
    server: RegistryServer, repository: str, ways: Ways, tmp_path: Path
) -> None:
    umoci = tool("umoci")
    put_image(server, repository, "v1", layer(a=b"1"))
    copied(ways, server.name(f"{repository}:v1"), f"oci:{tmp_path}/layout:v1")
    layout = f"{tmp_path}/layout"
    assert run(umoci, "ls", "--layout", layout).split() == ["v1"]
    run(umoci, "config", "--image", f"{layout}:v1", "--tag", "v2", "--config.cmd", "other")
    copied(ways, f"oci:{layout}:v2", "store:changed:v2")
    (listed,) = ways.store.images.list()
    assert listed.image.config.config.cmd == ("other",)
    put_image(server, repository, "v3", layer(a=b"3"))
    copied(ways, server.name(f"{repository}:v3"), f"oci:{layout}:v1")
    assert sorted(run(umoci, "ls", "--layout", layout).split()) == ["v1", "v2"]
