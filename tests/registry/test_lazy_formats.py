"""Layers that other tools can read in part, which are plain ones here: estargz and zstd:chunked."""

from __future__ import annotations

import gzip
import io
import json
import struct
import tarfile
import zlib
from collections.abc import Callable

import pytest

from dissolver.image import media_types
from dissolver.store import Store
from registry.conftest import Ways
from registry.images import Layer, noise, put_image
from registry.servers import RegistryServer
from registry.test_pull import zstd

FILES = {
    "bin/": b"",
    "bin/first": noise(70_000, "first"),
    ".prefetch.landmark": b"\x0f",
    "bin/second": b"second" * 20_000,
    "empty": b"",
}
END = bytes(1024)
FOOTER_OF_CHUNKED = 64
"""Bytes of a footer of `zstd:chunked`: eight numbers."""


def members() -> list[bytes]:
    """Write each file as a piece of a tar, which together are one."""
    made = []
    for name, content in FILES.items():
        entry = tarfile.TarInfo(name.rstrip("/"))
        entry.size, entry.mode = len(content), 0o755
        if name.endswith("/"):
            entry.type = tarfile.DIRTYPE
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
            tar.addfile(entry, io.BytesIO(content))
            made.append(buffer.getvalue())
    return made


def toc(offsets: list[int]) -> bytes:
    """Write what such formats have at their end: where in the blob each file is."""
    entries = [
        {"name": name, "type": "reg" if content else "dir", "size": len(content), "offset": offset}
        for (name, content), offset in zip(FILES.items(), offsets, strict=True)
    ]
    return json.dumps({"version": 1, "entries": entries}).encode()


def estargz(*, extra: bytes) -> Layer:
    """Make a layer of gzip members, one a file; the table of contents is a file of the tar.

    The footer is an empty member, whose header has the offset of that table.
    """
    blob, offsets = b"", []
    for member in members():
        offsets.append(len(blob))
        blob += gzip.compress(member, mtime=0)
    table = toc(offsets)
    entry = tarfile.TarInfo("stargz.index.json")
    entry.size = len(table)
    padded = entry.tobuf(tarfile.USTAR_FORMAT) + table + bytes(-len(table) % 512) + END
    place = len(blob)
    blob += gzip.compress(padded, mtime=0)
    field = extra % place if b"%" in extra else extra
    empty = zlib.compressobj(0, zlib.DEFLATED, -zlib.MAX_WBITS).flush()
    footer = b"\x1f\x8b\x08\x04" + bytes(4) + b"\x00\xff" + struct.pack("<H", len(field)) + field
    blob += footer + empty + struct.pack("<II", 0, 0)
    tar = b"".join(members()) + padded
    return Layer(tar, blob, media_types.layer_type("gzip"))


def skippable(content: bytes) -> bytes:
    return struct.pack("<II", 0x184D2A50, len(content)) + content


def chunked() -> Layer:
    """Make a layer of zstd frames, one a file; the table and the footer are skippable frames."""
    blob, offsets = b"", []
    for member in members():
        offsets.append(len(blob))
        blob += zstd(member)
    blob += zstd(END)
    table = toc(offsets)
    place = len(blob)
    blob += skippable(zstd(table))
    numbers = (place + 8, len(table), len(table), 1, 0, 0, 0)
    blob += skippable(struct.pack("<7Q", *numbers) + b"GNUlInUx")
    return Layer(b"".join(members()) + END, blob, media_types.layer_type("zstd"))


SUBFIELD = b"SG" + struct.pack("<H", 22) + b"%016xSTARGZ"

LAYERS: dict[str, Callable[[], Layer]] = {
    "estargz": lambda: estargz(extra=SUBFIELD),
    "stargz of old": lambda: estargz(extra=b"%016xSTARGZ"),
    "zstd:chunked": chunked,
}


@pytest.mark.parametrize("kind", sorted(LAYERS))
def test_layers_for_reading_in_part_are_plain_ones(
    server: RegistryServer,
    repository: str,
    ways: Ways,
    new_store: Callable[[], Store],
    kind: str,
) -> None:
    one = LAYERS[kind]()
    annotations = {
        "containerd.io/snapshot/stargz/toc.digest": f"sha256:{'0' * 64}",
        "io.github.containers.zstd-chunked.manifest-position": "1:2:3:4",
    }
    made = put_image(server, repository, "v1", one)
    document = json.loads(made.manifest)
    document["layers"][0]["annotations"] = annotations
    digest = server.put_manifest(repository, "v2", document, media_types.OCI_MANIFEST)
    pulled = ways.pull(server.name(f"{repository}:v2"))
    view = ways.store.layers.view(pulled.image.config.diff_ids)
    for name, content in FILES.items():
        if not name.endswith("/"):
            assert view.read(name, limit=1 << 20) == content
    # What the format keeps in the tar is in the layer's digest, and so in the layer.
    assert (view.stat("stargz.index.json") is not None) == ("stargz" in kind)
    assert ways.store.check() == ()
    back = server.name(f"{repository}:back")
    ways.tag(pulled.image.id, back)
    assert ways.push(back).digest == digest, "it goes back as it came, for those who know more"
    other = Ways(new_store())
    assert other.pull(back).image == pulled.image
