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
    """Remove what dead processes left in ``tmp``, and their groups; return the bytes freed.

    Cheap where nothing is left, and safe while others work: a name belongs to the
    process that made it for as long as that lives.
    """
    freed = 0
    with explained("remove abandoned temporary files"):
        for path in tmp.iterdir():
            owner = _OWNED.match(path.name)
            if owner and not _lives(int(owner["pid"]), int(owner["start"])):
                freed += remove_tree(path)
    sandbox.remove_groups_left_behind()
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


def remove_tree(path: Path, *, strict: bool = False) -> int:
    """Remove a file or a whole directory; answer the bytes of disk that gives back.

    Directories may lie in one another further down than a path can name: programs in
    containers make such. What cannot be removed stays for the next sweep.

    Raises:
        CoreError: something stayed, and ``strict`` says that this is a failure.
    """
    from dissolver._core import layer

    return layer.remove_tree(path, strict=strict)


def tree_bytes(path: Path) -> int:
    """Count the bytes of disk under ``path``; hard links count once."""
    from dissolver._core import layer

    return layer.tree_bytes(path)
