"""Looking into a writable layer from outside: a container's files, and its working directory.

What lies in it is whatever a program has put there. So no link in it is followed, nothing
is opened before it is known to be a regular file, and a path is walked one directory at a
time, by descriptor: it cannot be bent by what is renamed meanwhile.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dissolver._core.layer import Entry, View

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LOOK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC

OPAQUE = ("trusted.overlay.opaque", "user.overlay.opaque")
"""What marks a directory that hides what is below it (overlayfs, ``whiteouts and opaque``)."""

_KINDS = {
    stat.S_IFLNK: "it is a symbolic link",
    stat.S_IFDIR: "it is a directory",
    stat.S_IFIFO: "it is a pipe",
    stat.S_IFSOCK: "it is a socket",
}


class RunningFiles:
    """A container's files, as far as the runtime reads them: ``/etc/passwd`` and the like.

    A file that the container has changed lies in its writable layer, which may be changing.
    """

    def __init__(self, view: View, upper: Path) -> None:
        self._view = view
        self._upper = upper

    def read(self, path: str, *, limit: int) -> bytes:
        """Return the content of the file at the absolute ``path``.

        Raises:
            CoreError: there is no such file in the image.
            FileNotFoundError: the container removed it.
            OSError: the container's own is a link, no file, or too long.
        """
        from dissolver.sandbox import rootfs

        inside = rootfs.resolve(self._view, path)
        content = self._own(inside, limit)
        return bytes(self._view.read(inside, limit=limit)) if content is None else content

    def _own(self, inside: str, limit: int) -> bytes | None:
        """Read a file of the writable layer; ``None`` where the image's is the container's."""
        with parent_in(self._upper, inside) as (parent, name, hides):
            if parent is None or not _has(parent, name):
                if hides:
                    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), inside)
                return None
            with os.fdopen(open_file(parent, name), "rb") as file:
                content = file.read(limit + 1)
        if len(content) > limit:
            raise OSError(errno.EFBIG, f"it is longer than {limit} bytes", inside)
        return content


@contextmanager
def parent_in(upper: Path, inside: str) -> Iterator[tuple[int | None, str, bool]]:
    """Open the directory of ``upper`` that the absolute path ``inside`` is in.

    Yields its descriptor, the last name of the path, and whether the image's is hidden there.
    There is no descriptor where ``upper`` has no such directory.

    Raises:
        OSError: something else than a directory is in the way.
    """
    *parents, name = inside.strip("/").split("/")
    current: int | None = os.open(upper, _DIRECTORY)
    hides = False
    try:
        for parent in parents:
            assert current is not None  # noqa: S101 - the loop ends where it gets so
            try:
                below = os.open(parent, _DIRECTORY, dir_fd=current)
            except FileNotFoundError:
                below = None
            os.close(current)
            current = below
            if current is None:
                break
            hides = hides or _is_opaque(current)
        yield current, name, hides
    finally:
        if current is not None:
            os.close(current)


def open_file(parent: int, name: str, flags: int = os.O_RDONLY) -> int:
    """Open a regular file in the directory ``parent``; nothing else is so much as opened.

    Opening a device or a pipe does something, or waits.

    Raises:
        FileNotFoundError: there is nothing, or the mark of a file that was removed.
        OSError: it is no regular file; ``strerror`` says what it is.
    """
    found = os.open(name, _LOOK, dir_fd=parent)
    try:
        facts = os.fstat(found)
        kind = stat.S_IFMT(facts.st_mode)
        if kind == stat.S_IFCHR and facts.st_rdev == 0:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
        if kind != stat.S_IFREG:
            raise OSError(errno.EINVAL, _KINDS.get(kind, "it is a device"), name)
        # Through the descriptor it is the file that was looked at, whatever has its name now.
        # Not to wait for a lease on it either: whoever has one is told, and may take a minute.
        more = os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        return os.open(f"/proc/self/fd/{found}", flags | more)
    finally:
        os.close(found)


def _has(parent: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _is_opaque(directory: int) -> bool:
    for name in OPAQUE:
        with suppress(OSError):
            if os.getxattr(directory, name) == b"y":
                return True
    return False


def make_directories(view: View, directory: Path) -> None:
    """Make ``upper``, ``work`` and ``root`` in ``directory``, for an overlay over ``view``.

    The overlay shows the owner, mode and time of ``upper`` as those of its root, so they
    are the image's, whatever the umask of this process is. What is there stays as it is:
    it is the writable layer of a container that starts again.
    """
    from dissolver.sandbox import rootfs

    upper = directory / "upper"
    is_new = not upper.exists()
    for path in (upper, directory / "work", directory / "root"):
        if not path.exists():
            path.mkdir()
            path.chmod(0o755)
    top = rootfs.stat(view, "/")
    if is_new and top is not None:
        opened = os.open(upper, _DIRECTORY)
        try:
            _imitate(opened, top)
        finally:
            os.close(opened)


def make_working_directory(view: View, upper: Path, path: str) -> None:
    """Make the directory a process starts in, where neither the image nor ``upper`` has it.

    New directories are root's, with mode 0755. Those of the image that lead there get a
    place in ``upper`` too, and look there as they do in the image. Where something else
    is in the way nothing is made: entering it will say what that is.
    """
    from dissolver.sandbox import rootfs

    inside = rootfs.resolve(view, path).strip("/")
    if not inside or rootfs.stat(view, f"/{inside}") is not None:
        return
    current, walked = os.open(upper, _DIRECTORY), ""
    imitated: Entry | None = None
    try:
        for name in inside.split("/"):
            walked = f"{walked}/{name}"
            entry = rootfs.stat(view, walked)
            is_new = not _has(current, name)
            if is_new:
                if entry is not None and entry.kind != "directory":
                    return
                os.mkdir(name, dir_fd=current)
                if imitated is not None:
                    _imitate(current, imitated)  # Making what is in it has changed its time.
            below = os.open(name, _DIRECTORY, dir_fd=current)
            os.close(current)
            current = below
            imitated = entry if is_new else None
            if imitated is not None:
                _imitate(current, imitated)
            elif is_new:
                os.fchmod(current, 0o755)
    except OSError as problem:
        if problem.errno not in (errno.ENOTDIR, errno.ELOOP):
            raise
    finally:
        os.close(current)


def _imitate(directory: int, entry: Entry) -> None:
    os.fchown(directory, entry.uid, entry.gid)
    os.fchmod(directory, entry.mode)
    os.utime(directory, ns=(entry.mtime_ns, entry.mtime_ns))
