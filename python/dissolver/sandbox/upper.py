"""Looking into a writable layer from outside: a container's files, and its working directory."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dissolver._core.layer import Entry, View


class RunningFiles:
    """A container's files, as far as the runtime reads them: ``/etc/passwd`` and the like.

    A file that the container has changed lies in its writable layer. That is the
    container's ground, so no symbolic link in it is followed.
    """

    def __init__(self, view: View, upper: Path) -> None:
        self._view = view
        self._upper = upper

    def read(self, path: str, *, limit: int) -> bytes:
        """Return the content of the file at the absolute ``path``.

        Raises:
            CoreError: there is no such file in the image.
            OSError: the container's own is a link, no file, or too long.
        """
        from dissolver.sandbox import rootfs

        inside = rootfs.resolve(self._view, path)
        descriptor = self._open(inside)
        if descriptor is None:
            return bytes(self._view.read(inside, limit=limit))
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(file.fileno())
            if stat.S_ISCHR(found.st_mode):
                raise FileNotFoundError(inside)  # A whiteout: the container removed it.
            if not stat.S_ISREG(found.st_mode) or found.st_size > limit:
                raise OSError(f"`{inside}` is not a file that can be read")
            return file.read(limit)

    def _open(self, inside: str) -> int | None:
        """Open a path below the upper directory; ``None`` where that has nothing."""
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        *parents, name = inside.strip("/").split("/")
        base = os.open(self._upper, flags | os.O_DIRECTORY)
        try:
            for parent in parents:
                try:
                    below = os.open(parent, flags | os.O_DIRECTORY, dir_fd=base)
                except FileNotFoundError:
                    return None
                os.close(base)
                base = below
            try:
                return os.open(name, flags, dir_fd=base)
            except FileNotFoundError:
                return None
        finally:
            os.close(base)


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
        _imitate(upper, top)


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
    base, walked = upper, ""
    for name in inside.split("/"):
        base, walked = base / name, f"{walked}/{name}"
        entry = rootfs.stat(view, walked)
        if os.path.lexists(base):
            if not stat.S_ISDIR(base.lstat().st_mode):
                return
        elif entry is None:
            base.mkdir()
            base.chmod(0o755)
        elif entry.kind == "directory":
            base.mkdir()
            _imitate(base, entry)
        else:
            return
    # Making what is in a directory has changed its time.
    for walked in _ancestors(inside):
        entry = rootfs.stat(view, f"/{walked}")
        if entry is not None:
            _imitate(upper / walked, entry)


def _ancestors(inside: str) -> list[str]:
    parts = inside.split("/")
    return ["/".join(parts[:count]) for count in range(len(parts) - 1, 0, -1)]


def _imitate(directory: Path, entry: Entry) -> None:
    os.chown(directory, entry.uid, entry.gid)
    directory.chmod(entry.mode)
    os.utime(directory, ns=(entry.mtime_ns, entry.mtime_ns))
