"""Reading single files of a container: its own changes first, then the image's."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dissolver._core.layer import View


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
        from dissolver.runtime import rootfs

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
