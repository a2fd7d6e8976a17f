"""Images as the tools of erofs-utils read them, which share no code with the kernel."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from dissolver._core.layer import Layers, Lower
from layer.conftest import Facts, facts, make_tree, needs_root
from layer.test_images import CORNERS, Tar, _archive, _sparse

pytestmark = needs_root


def tool(name: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([name, *words], capture_output=True, text=True, check=False)


def seen_by(name: str, lower: Lower, *words: str | Path) -> str:
    """Let a tool look at an image; claim that it is content with it, and give what it said."""
    assert lower.erofs is not None
    devices = [f"--device={device}" for device in lower.devices]
    done = tool(name, *devices, *words, lower.erofs)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module", autouse=True)
def tools(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skip everything where the tools cannot read blocks of 512 bytes."""
    for name in ("fsck.erofs", "dump.erofs"):
        if shutil.which(name) is None:
            pytest.skip(f"{name} is not installed (package erofs-utils)")
    _, lower = written(_archive(CORNERS["links"]), tmp_path_factory.mktemp("probe"))
    assert lower.erofs is not None
    done = tool("fsck.erofs", lower.erofs)
    if "blksize 512 isn't supported" in done.stdout + done.stderr:
        version = tool("fsck.erofs", "-V").stdout.split("\n")[0]
        pytest.skip(f"{version} reads blocks of 4096 bytes only; 1.8.6 reads all")


def written(archive: bytes, place: Path) -> tuple[str, Lower]:
    """Write the image of a tar."""
    (place / "archive.tar").write_bytes(archive)
    layers = Layers(place / "store", userxattr=False, form="erofs")
    diff_id = layers.ingest(place / "archive.tar").diff_id
    (lower,) = layers.mountable([diff_id])
    return diff_id, lower


def comparable(found: dict[str, Facts]) -> dict[str, Facts]:
    """What `fsck.erofs` unpacks: no attributes, hard links as files, no time of what is special."""
    return {
        name: dataclasses.replace(
            one,
            xattrs=(),
            first_name="",
            mtime_ns=one.mtime_ns if stat.S_ISREG(one.mode) else 0,
        )
        for name, one in found.items()
    }


def _tree(place: Path) -> bytes:
    make_tree(place / "tree")
    options = ["--xattrs", "--xattrs-include=*", "--format=posix", "--sort=name"]
    done = subprocess.run(
        ["tar", *options, "-C", place / "tree", "-c", "."], capture_output=True, check=True
    )
    return done.stdout


@pytest.mark.parametrize("name", [*CORNERS, "one of everything"])
def test_corners_are_sound_and_unpack_to_what_is_extracted(tmp_path: Path, name: str) -> None:
    fill: Tar | None = CORNERS.get(name)
    diff_id, lower = written(_tree(tmp_path) if fill is None else _archive(fill), tmp_path)
    seen_by("fsck.erofs", lower, f"--extract={tmp_path / 'unpacked'}", "--preserve")
    layers = Layers(tmp_path / "store", userxattr=False, form="directory")
    (extracted,) = layers.mountable([diff_id])
    assert extracted.directory is not None
    ours = comparable(facts(Path(extracted.directory)))
    assert comparable(facts(tmp_path / "unpacked")) == ours
    assert "Filesystem blocksize:                         512" in seen_by("dump.erofs", lower, "-s")


@pytest.mark.parametrize(
    ("size", "pieces"),
    [
        (10_000_000, []),
        (6000, [(1, b"x" * 100), (5000, b"y" * 77)]),
        (8192, [(0, b"p" * 513), (1024, b"q" * 511), (2048, b"r" * 6144)]),
        (3 << 20, [(1 << 20, b"m" * 700_000), ((1 << 20) + 800_000, b"n" * 3)]),
    ],
)
def test_sparse_files_are_read(tmp_path: Path, size: int, pieces: list[tuple[int, bytes]]) -> None:
    _, lower = written(_sparse("file", size, pieces), tmp_path)
    seen_by("fsck.erofs", lower, f"--extract={tmp_path / 'unpacked'}")
    expected = bytearray(size)
    for at, data in pieces:
        expected[at : at + len(data)] = data
    # The tool leaves out a hole at the end of what it unpacks.
    found = (tmp_path / "unpacked" / "file").read_bytes().ljust(size, b"\0")
    assert hashlib.sha256(found).digest() == hashlib.sha256(expected).digest()


def test_a_last_file_without_padding_is_read(tmp_path: Path) -> None:
    content = b"content" * 100
    archive = _sparse("last", len(content), [(0, content)])
    _, lower = written(archive[: archive.rindex(content) + len(content)], tmp_path)
    seen_by("fsck.erofs", lower, f"--extract={tmp_path / 'unpacked'}")
    assert (tmp_path / "unpacked" / "last").read_bytes() == content
