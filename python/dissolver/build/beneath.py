"""Opening a file of a directory that may hold links to anywhere, without leaving it."""

from __future__ import annotations

import errno
import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_LINKS = 40  # As many as the kernel follows.
_ENTER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class LeadsOut(Exception):
    """A symbolic link that leads out of the directory; ``link`` is where it lies in it."""

    def __init__(self, link: str) -> None:
        super().__init__(link)
        self.link = link


def open_beneath(root: Path, inside: str) -> int:
    """Open the file ``inside`` of the directory ``root`` for reading, and return it.

    Symbolic links are followed within ``root``, whoever changes what meanwhile. An absolute
    one is followed if it names a file of ``root``, either by the path that ``root`` has on this
    machine or as if ``root`` were all of it, which is what BuildKit does. Opening does not
    wait for the other end of a pipe.

    Raises:
        LeadsOut: a link leads to something that is not in ``root``.
        OSError: there is nothing, or it cannot be opened.
    """
    pending = _parts(inside)[::-1]
    # Links that have been followed: the last is to be blamed.
    link, is_absolute, count = inside, False, 0
    with ExitStack() as stack:
        above: list[int] = []
        names: list[str] = []
        here = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        top = here
        stack.callback(os.close, top)
        try:
            while pending:
                part = pending.pop()
                if part == "..":
                    if not above:
                        raise LeadsOut(link)
                    here = above.pop()
                    names.pop()
                    continue
                target = _link(part, here)
                if target is not None:
                    count += 1
                    if count > _LINKS:
                        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
                    link = "/".join((*names, part))
                    if target.startswith("/"):
                        is_absolute, here, above, names = True, top, [], []
                        target = _from_top(root, target)
                    pending += _parts(target)[::-1]
                elif pending:
                    inner = os.open(part, _ENTER, dir_fd=here)
                    stack.callback(os.close, inner)
                    above.append(here)
                    names.append(part)
                    here = inner
                else:
                    return os.open(part, _READ, dir_fd=here)
        except FileNotFoundError:
            if is_absolute:
                raise LeadsOut(link) from None
            raise
    raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


def _link(name: str, directory: int) -> str | None:
    try:
        return os.readlink(name, dir_fd=directory)
    except OSError as error:
        if error.errno == errno.EINVAL:  # It is no link.
            return None
        raise


def _from_top(root: Path, target: str) -> str:
    top = f"{root}/".replace("//", "/")
    return target[len(top) :] if target.startswith(top) else target
