"""Whole root file systems, of images and of containers: as one tar, or as a directory."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dissolver.errors import ExportError
from dissolver.store.faults import explained

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dissolver.store import Store

_READ = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_PASS = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


def write_tar(
    store: Store,
    diff_ids: Sequence[str],
    descriptor: int,
    *,
    upper: Path | None = None,
    mtime_ns: int | None = None,
) -> None:
    """Write what layers make up, and ``upper`` on top of them, as a tar without whiteouts.

    ``upper`` is the writable layer of a container, which may run. The same files give the
    same bytes. Sockets are left out. Without ``upper``, everything has the time ``mtime_ns``
    (nanoseconds since the epoch) if there is one.

    Raises:
        CoreFailure: a layer is missing or damaged.
        DiskFull: there is no room for it.
    """
    with explained("write the root file system"):
        if upper is None or not upper.is_dir():
            store.layers.export_tar(diff_ids, descriptor, mtime_ns=mtime_ns)
        else:
            from dissolver._core.files import export_container

            export_container(store.layers, diff_ids, upper, descriptor)


def write_directory(store: Store, diff_ids: Sequence[str], target: Path) -> None:
    """Extract what layers make up into an empty or missing directory, with its owners.

    Raises:
        CoreFailure: the directory is not empty; a layer is missing or damaged.
        DiskFull: there is no room for it.
    """
    with explained("extract the root file system"):
        store.layers.extract(diff_ids, target)


def put_files(
    store: Store,
    diff_ids: Sequence[str],
    target: Path,
    *,
    inside: str = "",
    is_fixed: bool = False,
    mtime_ns: int | None = None,
) -> int:
    """Put what layers make up into a directory, beside what is there; tell the devices left out.

    The directory is made if it is missing. Directories are merged and files replaced, each
    when it is whole; nothing is written through a symbolic link. Everything belongs to the
    caller, and has the time ``mtime_ns`` (nanoseconds since the epoch) if there is one. Devices
    are left out: outside of a container they would lead to the machine's own.

    ``inside`` names a directory in ``target`` that is meant instead; it must be no link, which
    what was put there before may have left. With ``is_fixed`` neither may a part of ``target``.

    Raises:
        ExportError: ``target`` is no directory, or a link that it must not be.
        CoreFailure: a directory and something else would have the same path; a layer is missing
            or damaged.
        DiskFull: there is no room for it.
    """
    from dissolver._core.files import Root

    with explained(f"write to `{target}`"):
        directory = _entered(target, inside, is_fixed=is_fixed)
        try:
            owner = (os.geteuid(), os.getegid())
            view = store.layers.view(diff_ids)
            _, devices = Root(directory).put(view, "/", owner=owner, mtime_ns=mtime_ns)
        finally:
            os.close(directory)
    return devices


def _entered(target: Path, inside: str, *, is_fixed: bool) -> int:
    """Open a directory, which is made if it is missing, and return its descriptor."""
    try:
        if is_fixed:
            return _walked(Path("/"), (*target.parts[1:], *filter(None, (inside,))))
        target.mkdir(parents=True, exist_ok=True)
        return _walked(target, tuple(filter(None, (inside,))))
    except (FileExistsError, NotADirectoryError) as error:
        raise ExportError(
            f"`{target / inside}` is no directory", hint="name one, or what does not exist yet"
        ) from error


def _walked(top: Path, parts: Sequence[str]) -> int:
    """Open a directory part by part, and follow no link on the way."""
    here = os.open(top, _PASS if parts else _READ)
    for number, part in enumerate(parts, 1):
        flags = (_PASS if number < len(parts) else _READ) | os.O_NOFOLLOW
        try:
            with suppress(FileExistsError):
                os.mkdir(part, dir_fd=here)
            inner = os.open(part, flags, dir_fd=here)
        finally:
            os.close(here)
        here = inner
    return here
