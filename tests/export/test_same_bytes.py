"""One image, seen three ways: extracted, exported as a tar, and unpacked by another tool."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from dissolver.export.rootfs import write_directory, write_tar
from dissolver.export.save import save
from dissolver.image.config import HistoryEntry, Image
from dissolver.image.mutate import with_layer
from dissolver.image.reference import parse_reference
from dissolver.intake.load import load
from dissolver.store import Store
from layer.conftest import facts, make_tree, needs_root
from shelf import config_of


def change_layer() -> bytes:
    """Write a layer that changes what `make_tree` made: removals, replacements, additions."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:

        def add(
            name: str, kind: bytes = tarfile.REGTYPE, data: bytes = b"", **more: object
        ) -> None:
            entry = tarfile.TarInfo(name)
            entry.type, entry.size, entry.mtime = kind, len(data), 1_500_000_000
            entry.mode = 0o755 if kind == tarfile.DIRTYPE else 0o640
            for key, value in more.items():
                setattr(entry, key, value)
            tar.addfile(entry, io.BytesIO(data))

        add("etc", tarfile.DIRTYPE, mode=0o711)
        add("etc/.wh.hosts")
        add("etc/passwd", data=b"root:x:0:0::/:/bin/ash\n", uid=7, gid=8)
        add(".wh.absolute")
        add("dangling", data=b"now a file")
        add("tmp", tarfile.DIRTYPE, mode=0o1777)
        add("tmp/.wh..wh..opq")
        add("tmp/fresh", data=b"x", mode=0o4711)
        add("tmp/fresh-link", tarfile.LNKTYPE, linkname="tmp/fresh")
        add("pipe", tarfile.DIRTYPE)
        add("pipe/" + "n" * 180, tarfile.SYMTYPE, linkname="../" + "t" * 250)
        add("noted", data=b"1", pax_headers={"SCHILY.xattr.user.note": "yes"})
    return buffer.getvalue()


@pytest.fixture
def image(store: Store, tmp_path: Path) -> Image:
    if shutil.which("tar") is None:
        pytest.skip("tar is not installed")
    make_tree(tmp_path / "tree")
    (tmp_path / "tree" / "tmp" / "old").write_text("hidden by the second layer")
    packed = tmp_path / "one.tar"
    options = ["--xattrs", "--xattrs-include=*", "--format=pax", "--numeric-owner", "--sort=name"]
    subprocess.run(["tar", *options, "-C", tmp_path / "tree", "-cf", packed, "."], check=True)
    (tmp_path / "two.tar").write_bytes(change_layer())
    config = config_of()
    with store.lock_shared():
        for path in (packed, tmp_path / "two.tar"):
            diff_id = store.layers.ingest(path).diff_id
            config = with_layer(config, diff_id, HistoryEntry(created=1))
        return store.images.put(config, tags=[parse_reference("tree:v1")])


@needs_root
def test_the_tar_and_the_directory_of_a_root_file_system_are_the_same(
    store: Store, image: Image, tmp_path: Path
) -> None:
    write_directory(store, image.config.diff_ids, tmp_path / "extracted")
    with (tmp_path / "root.tar").open("wb") as file:
        write_tar(store, image.config.diff_ids, file.fileno())
    (tmp_path / "unpacked").mkdir()
    options = ["--xattrs", "--xattrs-include=*", "--numeric-owner", "-p"]
    subprocess.run(
        ["tar", *options, "-C", tmp_path / "unpacked", "-xf", tmp_path / "root.tar"], check=True
    )
    assert facts(tmp_path / "unpacked") == facts(tmp_path / "extracted")


@needs_root
@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_umoci_unpacks_the_same_root_file_system(
    store: Store, image: Image, tmp_path: Path, compression: str
) -> None:
    layout = tmp_path / "layout"
    save(store, ["tree:v1"], str(layout), form="oci-directory", compression=compression)
    assert_umoci_sees(store, image, layout, tmp_path)


@needs_root
def test_what_umoci_inserts_is_loaded(store: Store, image: Image, tmp_path: Path) -> None:
    """Layers of umoci 0.4.7 end with the last byte of a file: without padding, without an end."""
    layout = tmp_path / "layout"
    save(store, ["tree:v1"], str(layout), form="oci-directory")
    (tmp_path / "new").write_bytes(b"inserted" * 100)
    umoci(tmp_path, "insert", "--image", f"{layout}:v1", tmp_path / "new", "/etc/new")
    (loaded,) = load(store, layout)
    *below, layer = loaded.image.config.diff_ids
    assert tuple(below) == image.config.diff_ids
    store.layers.verify(layer)
    assert_umoci_sees(store, loaded.image, layout, tmp_path)


def umoci(home: Path, *words: str | Path) -> None:
    if shutil.which("umoci") is None:
        pytest.skip("umoci is not installed (`make setup` installs it)")
    environment = {"PATH": os.defpath, "HOME": str(home)}
    done = subprocess.run(
        ["umoci", *words], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr


def assert_umoci_sees(store: Store, image: Image, layout: Path, place: Path) -> None:
    """Claim that umoci unpacks a layout's only image to what is extracted here."""
    umoci(place, "unpack", "--image", f"{layout}:v1", place / "bundle")
    write_directory(store, image.config.diff_ids, place / "extracted")
    ours = facts(place / "extracted")
    theirs = facts(place / "bundle" / "rootfs")
    assert theirs.keys() == ours.keys()
    assert {name: (theirs[name], one) for name, one in ours.items() if theirs[name] != one} == {}
