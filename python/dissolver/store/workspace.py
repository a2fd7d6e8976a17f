"""Private directories for work in progress, and the removal of abandoned ones."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dissolver._core import sandbox
from dissolver.store.faults import explained

_counter = itertools.count()
_OWNED = re.compile(r"(?P<pid>[0-9]+)-(?P<start>[0-9]+)-")


@contextmanager
def workspace(tmp: Path, remove: Callable[[Path], object] | None = None) -> Iterator[Path]:
    """Make a directory of one's own in ``tmp``, and ``remove`` it with all it holds.

    Its name ``<pid>-<start time>-<n>`` tells who owns it, even when the kernel
    gives the process number to another, so ``sweep`` can remove what a killed
    process left.
    """
    with explained("make a temporary directory"):
        path = _make(tmp)
    try:
        yield path
    finally:
        (remove or remove_tree)(path)


def _make(tmp: Path) -> Path:
    pid = os.getpid()
    owner = f"{pid}-{sandbox.start_time(pid)}"
    while True:
        path = tmp / f"{owner}-{next(_counter)}"
        # The core counts its own directories, in the same place.
        with suppress(FileExistsError):
            path.mkdir(mode=0o700)
            return path


def sweep(tmp: Path) -> int:
    """Remove what processes that are gone left in ``tmp``; answer the bytes freed.

    Cheap where nothing is left, and safe while others work: a name belongs to the
    process that made it for as long as that lives.
    """
    freed = 0
    with explained("remove abandoned temporary files"):
        for path in tmp.iterdir():
            owner = _OWNED.match(path.name)
            if owner and not _lives(int(owner["pid"]), int(owner["start"])):
                freed += remove_tree(path)
    return freed


def sweep_unowned(tmp: Path) -> int:
    """Remove what is in ``tmp`` without an owner's name; only when alone with the store."""
    freed = 0
    with explained("remove abandoned temporary files"):
        for path in tmp.iterdir():
            if not _OWNED.match(path.name):
                freed += remove_tree(path)
    return freed


def _lives(pid: int, start: int) -> bool:
    return sandbox.start_time(pid) == start


def remove_tree(path: Path) -> int:
    """Remove a file or a whole directory; answer the bytes of disk that gives back.

    What cannot be removed stays for the next sweep.
    """
    import shutil

    freed = tree_bytes(path)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
    return freed - (tree_bytes(path) if os.path.lexists(path) else 0)


def tree_bytes(path: Path) -> int:
    """Count the bytes of disk under ``path``; hard links count once."""
    seen: set[tuple[int, int]] = set()
    total = 0
    pending = [os.fspath(path)]
    while pending:
        place = pending.pop()
        try:
            status = os.lstat(place)
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            total += status.st_blocks * 512
            # Directories only: os.scandir would follow a link.
            if status.st_mode & 0o170000 == 0o040000:
                pending.extend(entry.path for entry in os.scandir(place))
        except OSError:
            continue
    return total
