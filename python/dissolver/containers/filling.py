"""Filling a volume with what the image has at its place.

A volume may be mounted in a container that runs already, and what runs there may put links where
something is about to be written. So nothing is ever written into it by a path: the copy is
made aside, in a directory that no container sees, and moved into the volume whole, by
descriptors.

```
volumes/<name>/          0701; locked while it is filled
  _data/                 what containers see
  .filling-<random>/     the copy, while it is made
```
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dissolver._core import CoreError
from dissolver.sandbox import rootfs
from dissolver.store.faults import explained
from dissolver.store.workspace import remove_tree

if TYPE_CHECKING:
    from dissolver._core.layer import Entry, View

DATA = "_data"
_ASIDE = ".filling-"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def filled_volume(directory: Path, target: str, view: View, *, copies: bool) -> Path:
    """Return the place of a volume's data, made and, if ``copies`` and it is empty, filled.

    It gets what the image has at ``target``: owners, modes, times, links and extended
    attributes are kept, devices are left out. What is no directory there fills nothing. Several
    starts at once fill it once. A new volume gets all of it at once, or after a crash nothing.

    Raises:
        StoreError: the disk is full, or the volume cannot be written.
    """
    data = directory / DATA
    with explained(f"fill the volume `{directory.name}`"), _locked(directory):
        for left in directory.glob(f"{_ASIDE}*"):
            remove_tree(left)
        top = _directory_of(view, target) if copies else None
        if top is None:
            data.mkdir(mode=0o755, exist_ok=True)
        elif not data.exists():
            with _aside(directory) as copy:
                _copied(copy, *top, view)
                copy.rename(data)
        else:
            _fill_if_empty(directory, data, top, view)
    return data


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    import fcntl

    directory.mkdir(mode=0o701, parents=True, exist_ok=True)
    directory.chmod(0o701)
    lock = os.open(directory, _DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _directory_of(view: View, target: str) -> tuple[str, Entry] | None:
    """Find what the image has at the target: its path, if that is a directory."""
    origin = rootfs.resolve(view, target)
    try:
        top = view.stat(origin, follow=False)
    except CoreError:
        return None
    return (origin.rstrip("/"), top) if top is not None and top.kind == "directory" else None


@contextmanager
def _aside(directory: Path) -> Iterator[Path]:
    """Make a directory beside the data that goes again, unless it was moved away."""
    copy = Path(tempfile.mkdtemp(prefix=_ASIDE, dir=directory))
    try:
        yield copy
    finally:
        if copy.exists():
            remove_tree(copy)


def _fill_if_empty(directory: Path, data: Path, top: tuple[str, Entry], view: View) -> None:
    """Move a copy into data that a container may have mounted already.

    The kernel moves a name from one open directory into another, and looks at neither as a
    path: what is there is replaced if it is a file or a link, and never followed.
    """
    target = os.open(data, _DIRECTORY)
    try:
        if _names(target):
            return
        with _aside(directory) as copy:
            _copied(copy, *top, view)
            source = os.open(copy, _DIRECTORY)
            try:
                for name in _names(source):
                    _move(name, source, target)
            finally:
                os.close(source)
        _dress(target, top[1])
    finally:
        os.close(target)


def _names(directory: int) -> list[str]:
    with os.scandir(directory) as entries:
        return sorted(entry.name for entry in entries)


def _move(name: str, source: int, target: int) -> None:
    try:
        os.rename(name, name, src_dir_fd=source, dst_dir_fd=target)
    except OSError as error:
        # What somebody inside has made of that name meanwhile stays as it is.
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.EISDIR, errno.ENOTDIR):
            raise


def _copied(copy: Path, origin: str, entry: Entry, view: View) -> None:
    """Copy a directory of the image, as the view of its layers shows it."""
    for name in view.list(origin or "/"):
        inside = f"{origin}/{os.fsdecode(name)}"
        child = view.stat(inside, follow=False)
        if child is None:
            continue
        place = copy / os.fsdecode(name)
        if child.kind == "directory":
            place.mkdir(mode=0o700)
            _copied(place, inside, child, view)
        else:
            _copy_one(place, inside, child, view)
    _dress(copy, entry)


def _copy_one(place: Path, origin: str, entry: Entry, view: View) -> None:
    if entry.kind == "symlink":
        place.symlink_to(os.fsdecode(entry.link_target or b""))
    elif entry.kind == "fifo":
        os.mkfifo(place)
    elif entry.kind == "file":
        with place.open("xb") as file:
            view.write(origin, file.fileno())
    else:
        return  # A device is nothing to keep in a volume.
    _dress(place, entry)


def _dress(place: Path | int, entry: Entry) -> None:
    """Give a copy, or an open directory, the owner, mode, times and attributes of an entry."""
    follows = isinstance(place, int)
    os.chown(place, entry.uid, entry.gid, follow_symlinks=follows)
    for name, value in entry.xattrs:
        # As with any copy: file systems and user namespaces may lack some of them.
        with suppress(OSError):
            os.setxattr(place, name, value, follow_symlinks=follows)
    if entry.kind != "symlink":
        os.chmod(place, entry.mode)  # noqa: PTH101 - may be a descriptor
    os.utime(place, ns=(entry.mtime_ns, entry.mtime_ns), follow_symlinks=follows)
