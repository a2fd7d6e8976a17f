"""A little room that a full disk still has.

Opening the database takes 32 KiB for its shared memory, and removing an image takes
a few pages of its log. On a full disk there would be neither, and the store could
not even be tidied up. So a file holds that room, and gives it back when it counts.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

RESERVE_BYTES = 1 << 20
"""Enough for the shared memory, and for a log of the removal of hundreds of images."""


class Reserve:
    """The file ``<root>/reserve``; it may be missing at any time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def keep(self) -> None:
        """Take the room, if it is not taken yet and the disk has plenty more."""
        with suppress(OSError):
            if self._path.exists() or self._free_bytes() < 4 * RESERVE_BYTES:
                return
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, RESERVE_BYTES)
            finally:
                os.close(descriptor)

    def give_back_if_needed(self) -> bool:
        """Free the room if the disk has too little; tell whether that changed something."""
        try:
            if self._free_bytes() >= RESERVE_BYTES:
                return False
            self._path.unlink()
        except OSError:
            return False
        return True

    def _free_bytes(self) -> int:
        status = os.statvfs(self._path.parent)
        return status.f_bavail * status.f_frsize
