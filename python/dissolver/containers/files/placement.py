"""Where a copy goes, and what it is called there: Docker's rules for ``cp``.

| source | destination | what happens |
| --- | --- | --- |
| a file | nothing | it is created, if the directory for it exists |
| a file | nothing, with a slash at the end | an error |
| a file | a file | it is replaced |
| a file | a directory | it is copied into that |
| a directory | nothing | it is created with what the source holds |
| a directory | a file | an error |
| a directory | a directory | it is copied into that |
| a directory, with ``/.`` at the end | a directory | what it holds is copied into that |

Symbolic links are copied as they are; one at the end of a source is followed only if
that is asked for, one at the end of a destination always.
"""

from __future__ import annotations

import errno
import os
import posixpath
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dissolver._core import CoreError
from dissolver.errors import CopyFailed

if TYPE_CHECKING:
    from dissolver._core.files import Root


@dataclass(frozen=True, slots=True)
class Origin:
    """Something to copy: its path, and the name that it has where it is put into a directory."""

    path: bytes
    name: bytes
    is_directory: bool
    gives_contents: bool


def copy_between(
    source: Root,
    path: str,
    target: Root,
    target_path: str,
    *,
    owner: tuple[int, int] | None,
    follows_link: bool,
    shown: tuple[str, str],
) -> int:
    """Copy ``path`` of one root to ``target_path`` of another; return the bytes copied.

    ``owner`` is who the copies belong to, ``None`` whoever owns the originals. ``shown`` is
    what errors call the two paths.

    Raises:
        CopyFailed: one of the two does not exist, or is not of the kind that it must be.
        CoreError: the disk is full.
    """
    origin = look_up(source, path, shown[0], follows_link=follows_link)
    directory, name = place(origin, target, target_path, shown[1])
    try:
        return source.copy(
            origin.path, target, directory, name=name, owner=owner, follow=follows_link
        )
    except CoreError as error:
        raise refused(error, shown[1]) from error


def look_up(root: Root, path: str, shown: str, *, follows_link: bool) -> Origin:
    """Look at what is to be copied.

    Raises:
        CopyFailed: it does not exist, or is no directory and has a slash at the end.
    """
    _, entry = root.stat(path, follow=follows_link or path.endswith("/"))
    if entry is None:
        raise CopyFailed(f"`{shown}` does not exist")
    is_directory = entry.kind == "directory"
    if not is_directory and _means_directory(path):
        raise CopyFailed(f"`{shown}` is not a directory")
    stem = path.rstrip("/")
    name = posixpath.basename(posixpath.normpath(stem or "/"))
    gives_contents = is_directory and (not name or stem.endswith("/."))
    return Origin(os.fsencode(path), os.fsencode(name), is_directory, gives_contents)


def place(origin: Origin, target: Root, path: str, shown: str) -> tuple[bytes, bytes | None]:
    """Decide by the rules above which directory the copy goes to, and under which name.

    Without a name it is what the origin holds.

    Raises:
        CopyFailed: there is no such place.
    """
    where, there = target.stat(path, follow=True)
    if there is None:
        if _means_directory(path) and not origin.is_directory:
            raise CopyFailed(f"the directory `{shown}` does not exist", hint="create it first")
        above, _, name = where.rstrip(b"/").rpartition(b"/")
        _, parent = target.stat(os.fsdecode(above) or "/", follow=True)
        if parent is None or parent.kind != "directory":
            raise CopyFailed(
                f"there is no directory for `{shown}`",
                hint="missing directories are not created: create them first",
            )
        return above or b"/", name
    if there.kind == "directory":
        return where, None if origin.gives_contents else origin.name
    if origin.is_directory:
        raise CopyFailed(f"cannot copy a directory to the file `{shown}`")
    if _means_directory(path):
        raise CopyFailed(f"`{shown}` is not a directory")
    if there.kind not in ("file", "symlink"):
        # A copy takes the place of what is there: of `/dev/null`, for all programs.
        raise CopyFailed(
            f"`{shown}` is a device or a pipe, which a copy would replace",
            hint="name a file, or `-` for a tar on standard output",
        )
    above, _, name = where.rpartition(b"/")
    return above or b"/", name


def _means_directory(path: str) -> bool:
    return path.rpartition("/")[2] in ("", ".", "..")


def refused(error: CoreError, shown: str) -> CopyFailed | CoreError:
    """Say what stood in the way of a copy to ``shown``."""
    place = os.fsdecode(error.path or b"")
    if error.kind == "not-a-directory":
        return CopyFailed(
            f"cannot replace `{place}` in `{shown}` by a directory",
            hint="remove it first: only directories are merged",
        )
    if error.kind == "not-a-file":
        return CopyFailed(
            f"cannot replace the directory `{place}` in `{shown}` by a file",
            hint="remove it first",
        )
    if error.kind == "io" and error.errno not in (None, errno.ENOSPC, errno.EDQUOT):
        reason = os.strerror(error.errno).lower()
        return CopyFailed(f"cannot copy `{place}` to `{shown}`: {reason}")
    return error
