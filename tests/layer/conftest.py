"""Fixtures and comparisons for stored layers."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

import pytest

from dissolver._core.layer import Layers

IS_ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not IS_ROOT, reason="only root can own files and make devices")


@pytest.fixture
def layers(tmp_path: Path) -> Layers:
    return Layers(tmp_path / "store", userxattr=not IS_ROOT)


@dataclass(frozen=True)
class Facts:
    """Everything that an archive keeps about a file."""

    mode: int
    owner: tuple[int, int]
    mtime_ns: int
    device: int
    content: bytes
    xattrs: tuple[tuple[str, bytes], ...]
    first_name: str


def _xattrs(path: str) -> tuple[tuple[str, bytes], ...]:
    names = sorted(os.listxattr(path, follow_symlinks=False))
    return tuple((name, os.getxattr(path, name, follow_symlinks=False)) for name in names)


def facts(root: Path) -> dict[str, Facts]:
    """Describe everything beneath a directory, the directory itself as ``.``."""
    found: dict[str, Facts] = {}
    first_names: dict[tuple[int, int], str] = {}
    names = ["."]
    for base, directories, files in os.walk(os.fsencode(root)):
        relative = os.path.relpath(os.fsdecode(base), root)
        names += [os.path.normpath(f"{relative}/{os.fsdecode(n)}") for n in directories + files]
    for name in sorted(names):
        path = str(root / name)
        status = os.lstat(path)
        content = b""
        if stat.S_ISREG(status.st_mode):
            content = Path(path).read_bytes()
        elif stat.S_ISLNK(status.st_mode):
            content = os.fsencode(Path(path).readlink())
        first = first_names.setdefault((status.st_dev, status.st_ino), name)
        found[name] = Facts(
            mode=status.st_mode,
            owner=(status.st_uid, status.st_gid),
            mtime_ns=status.st_mtime_ns,
            device=status.st_rdev,
            content=content,
            xattrs=_xattrs(path),
            first_name=first,
        )
    return found


def make_tree(root: Path) -> None:
    """Fill a directory with one of everything that an archive may hold."""
    root.mkdir()
    (root / "etc").mkdir(mode=0o755)
    (root / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\n")
    (root / "etc/hosts").write_bytes(b"")
    long = root / ("d" * 120) / ("e" * 120)
    long.mkdir(parents=True)
    (long / ("f" * 200)).write_text("deep")
    Path(os.fsdecode(os.fsencode(root) + b"/not-utf-8-\xff\xfe")).write_text("bytes")
    (root / "grüße €").write_text("utf-8")
    (root / "absolute").symlink_to("/etc/passwd")
    (root / "dangling").symlink_to("x" * 300)
    os.link(root / "etc/passwd", root / "zz-link")
    os.link(root / "etc/passwd", root / "a-link")
    with (root / "sparse").open("wb") as file:
        file.truncate(3 << 20)
        file.seek(1 << 20)
        file.write(b"middle" * 1000)
    with (root / "hole").open("wb") as file:
        file.truncate(1 << 20)
    (root / "big").write_bytes(bytes(range(256)) * 5000)
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    (root / "bin-su").write_text("suid")
    (root / "bin-su").chmod(0o4755)
    os.mkfifo(root / "pipe", 0o600)
    os.setxattr(root / "big", "user.note", b"\x00binary\xff")
    os.setxattr(root / "etc", "user.directory", b"yes")
    if IS_ROOT:
        os.chown(root / "etc/hosts", 12, 34)
        os.chown(root / "big", 3_000_000, 4_000_000_000)
        os.lchown(root / "dangling", 5, 6)
        os.mknod(root / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        os.mknod(root / "disk", 0o660 | stat.S_IFBLK, os.makedev(259, 70_000))
        capability = bytes.fromhex("0100000200200000000000000000000000000000")
        os.setxattr(root / "bin-su", "security.capability", capability)
    os.utime(root / "etc/passwd", ns=(1, 1_234_567_890_123_456_789))
    os.utime(root / "absolute", ns=(1, -1_500_000_000), follow_symlinks=False)
    os.utime(root / "hole", ns=(1, 999_999_999))
    os.utime(root / "etc", ns=(1, 1_000_000_000_000_000_000))
