"""What disks and databases do wrong, in words a user can act on."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from dissolver._core import CoreError
from dissolver.errors import DissolverError, StoreError, from_core

_FULL = (errno.ENOSPC, errno.EDQUOT)
_FULL_HINT = "free some space; `dissolver image prune -a` removes the images that nothing uses"


class DiskFull(StoreError):
    """There was no room left to write; what was stored before is intact."""


@contextmanager
def explained(action: str) -> Iterator[None]:
    """Turn the faults of files, database and core inside the block into ``StoreError``.

    ``action`` completes "cannot …". Errors that explain themselves pass through.

    Raises:
        DiskFull: no space, or a quota is used up.
        StoreError: any other fault of the file system or the database.
        CoreFailure: what the core reported, unless the disk was full.
    """
    try:
        yield
    except DissolverError:
        raise
    except CoreError as error:
        if error.errno in _FULL:
            raise _full(action) from error
        raise from_core(error) from error
    except OSError as error:
        raise _from_os(action, error) from error
    except Exception as error:
        # sqlite3 is imported only where a command needs the database.
        if type(error).__module__ != "sqlite3":
            raise
        raise _from_sqlite(action, error) from error


def _full(action: str) -> DiskFull:
    return DiskFull(f"cannot {action}: no space left on the disk", hint=_FULL_HINT)


def _from_os(action: str, error: OSError) -> StoreError:
    if error.errno in _FULL:
        return _full(action)
    what = (error.strerror or str(error)).lower()
    place = f": `{error.filename}`" if error.filename else ""
    hint = None
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        hint = "use a directory that you may write to, with `--root`"
    found = StoreError(f"cannot {action}{place}: {what}", hint=hint)
    found.errno = error.errno
    return found


def _from_sqlite(action: str, error: Exception) -> StoreError:
    code = getattr(error, "sqlite_errorname", "")
    text = str(error).lower()
    if code == "SQLITE_FULL" or code.startswith("SQLITE_IOERR") or "disk is full" in text:
        # With a full disk SQLite may also fail to grow its shared memory file.
        if code == "SQLITE_FULL" or "full" in text or code == "SQLITE_IOERR_SHMSIZE":
            return _full(action)
        return StoreError(f"cannot {action}: {text}", hint="check the disk, and whether it is full")
    if code == "SQLITE_BUSY":
        return StoreError(
            f"cannot {action}: another process holds the database",
            hint="try again when it has finished",
        )
    if code in ("SQLITE_CORRUPT", "SQLITE_NOTADB"):
        return StoreError(f"cannot {action}: {text}", hint="run `dissolver system check`")
    return StoreError(f"cannot {action}: {text}")
