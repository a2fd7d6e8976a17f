"""The same hostile layers at every door through which layers come: none lets them in."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import rawtar as tar
from export.archives import Layout, config_bytes, descriptor, write_archive
from registry.images import Layer, put_image
from registry.servers import NO_REGISTRY, PROGRAM, RegistryServer, registry_server
from scene import Cli


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    if PROGRAM is None:
        pytest.skip(NO_REGISTRY)
    with registry_server(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
def canary(cli: Cli) -> Iterator[Path]:
    """A directory that the layers know how to find, and that has to stay empty."""
    place = cli.directory("canary", {})
    yield place
    assert list(place.iterdir()) == []


def bomb(_: Path) -> bytes:
    zeros = tar.repeated(bytes(16 << 20), 512)
    return b"".join([gzip.compress(tar.header("zeros", size=8 << 30)), *zeros])


BOMB = "8 GB of zeros"

# What a layer does, and what is said of it; the archive is compressed where it is a bomb.
HOSTILE: dict[str, tuple[Callable[[Path], bytes], str]] = {
    "climbs out": (
        lambda canary: tar.file(f"../../../../../..{canary}/new") + tar.END,
        r"unsafe path .* it contains `\.\.`",
    ),
    "writes through a link": (
        lambda canary: tar.symlink("a", canary) + tar.file("a/new") + tar.END,
        r"`a/new` lies beneath something that is not a directory",
    ),
    BOMB: (bomb, r"more than 500 uncompressed bytes for each compressed one"),
    "cut short": (
        lambda _: tar.header("a", size=9000) + bytes(1000),
        r"bad tar at byte 1512: it is cut short",
    ),
}


def loaded(cli: Cli, data: bytes, _: RegistryServer) -> list[str | Path]:
    layout = Layout()
    config = config_bytes(data)
    content = layout.manifest(config, {data: ".gzip" if data[:2] == b"\x1f\x8b" else ""})
    layout.entries.append(descriptor("manifest.v1+json", content))
    place = cli.directory("loaded", {})
    return ["load", "-i", write_archive(place / "image.tar", layout.finish())]


def pulled(cli: Cli, data: bytes, server: RegistryServer) -> list[str | Path]:
    kind = "application/vnd.oci.image.layer.v1.tar"
    is_compressed = data[:2] == b"\x1f\x8b"
    layer = Layer(data, data, kind + "+gzip" * is_compressed)
    put_image(server, "hostile", "v1", layer)
    return ["pull", "-q", server.name("hostile:v1")]


def added(cli: Cli, data: bytes, _: RegistryServer) -> list[str | Path]:
    context = {"layer.tar": data, "Dockerfile": "FROM scratch\nADD layer.tar /x/\n"}
    return ["build", "-q", cli.directory("added", context)]


DOORS = {"load": loaded, "pull": pulled, "ADD": added}


# Whoever it is: owners and devices are for tests/scenarios/test_hostile_layers.py.
@pytest.mark.parametrize("who", ["root"], indirect=True)
@pytest.mark.parametrize(
    ("door", "layer"),
    # What limits a bomb reads at every door; one explosion is enough.
    [(door, layer) for door in DOORS for layer in HOSTILE if layer != BOMB or door == "pull"],
)
def test_no_door_lets_a_hostile_layer_in(
    cli: Cli, canary: Path, server: RegistryServer, door: str, layer: str
) -> None:
    make, pattern = HOSTILE[layer]
    done = cli(*DOORS[door](cli, make(canary), server), check=False)
    assert done.returncode == 1
    assert re.search(pattern, done.stderr), done.stderr
    assert "Traceback" not in done.stderr
    assert cli.out("images", "-aq") == ""
    cli("system", "prune", "-af")
    assert cli.out("system", "check") == "no problems found"
    for name in ("layers", "packs", "tmp"):
        assert list((cli.root / name).iterdir()) == [], name
