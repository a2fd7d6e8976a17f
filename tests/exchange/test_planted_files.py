"""A layout in a directory that others may write to: what they plant there leads nowhere."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from dissolver.exchange.copying import Copying
from dissolver.exchange.places import parse_place
from dissolver.exchange.receivers import DirectoryReceiver
from registry.conftest import AMD64, Ways
from registry.images import layer, put_image
from registry.servers import RegistryServer


def copied(ways: Ways, source: str, target: str) -> None:
    copying = Copying(ways.store, ways.sources, AMD64, ways.events.append)
    copying.copy(parse_place(source), parse_place(target))


def test_no_planted_file_is_written_to(
    server: RegistryServer, repository: str, ways: Ways, tmp_path: Path
) -> None:
    # Others who may write to a layout know its names and the number of this process.
    made = put_image(server, repository, "v1", layer(a=b"1"))
    layout, outside = tmp_path / "layout", tmp_path / "outside"
    copied(ways, server.name(f"{repository}:v1"), f"oci:{layout}:a")
    blobs = layout / "blobs/sha256"
    names = [path.name for path in blobs.iterdir()]
    for blob in list(blobs.iterdir()):
        blob.unlink()
    outside.write_text("precious")
    planted = []
    for end in (os.getpid(), f"{os.getpid()}-{threading.get_ident()}"):
        for directory, name in ((layout, "index.json"), *((blobs, name) for name in names)):
            planted.append(directory / f".{name}.{end}")
            planted[-1].symlink_to(outside)
    copied(ways, server.name(f"{repository}:v1"), f"oci:{layout}:b")
    assert outside.read_text() == "precious"
    assert all(path.is_symlink() for path in planted)
    assert (blobs / made.layers[0].digest[7:]).read_bytes() == made.layers[0].blob
    assert not list(layout.rglob(".part-*"))


def test_a_directory_that_is_exchanged_meanwhile_is_not_written_to(
    tmp_path: Path, ways: Ways
) -> None:
    layout, outside = tmp_path / "layout", tmp_path / "outside"
    outside.mkdir()
    with DirectoryReceiver(layout, ways.sources.transport) as receiver:
        (layout / "blobs").rename(tmp_path / "aside")
        (layout / "blobs").symlink_to(outside)
        (outside / "sha256").mkdir()
        receiver.put_manifest(b"{}", "application/json", "")
    assert list((outside / "sha256").iterdir()) == []
    assert len(list((tmp_path / "aside/sha256").iterdir())) == 1
