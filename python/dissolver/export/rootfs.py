"""Whole root file systems, of images and of containers: as one tar, or as a directory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from dissolver.errors import ExportError
from dissolver.store.faults import explained

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dissolver.store import Store


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
    store: Store, diff_ids: Sequence[str], target: Path, *, mtime_ns: int | None = None
) -> int:
    """Put what layers make up into a directory, beside what is there; tell the devices left out.

    The directory is made if it is missing. Directories are merged and files replaced, each
    when it is whole; nothing is written through a symbolic link. Everything belongs to the
    caller, and has the time ``mtime_ns`` (nanoseconds since the epoch) if there is one. Devices
    are left out: outside of a container they would lead to the machine's own.

    Raises:
        ExportError: ``target`` is no directory.
        CoreFailure: a directory and something else would have the same path; a layer is missing
            or damaged.
        DiskFull: there is no room for it.
    """
    from dissolver._core.files import Root

    with explained(f"write to `{target}`"):
        try:
            target.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise ExportError(
                f"`{target}` is no directory", hint="name one, or what does not exist yet"
            ) from error
        directory = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            owner = (os.geteuid(), os.getegid())
            view = store.layers.view(diff_ids)
            _, devices = Root(directory).put(view, "/", owner=owner, mtime_ns=mtime_ns)
        finally:
            os.close(directory)
    return devices
