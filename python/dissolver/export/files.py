"""Where an export goes: an open file, or a path that gets its name when all is written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dissolver.errors import ExportError
from dissolver.store.faults import explained


@contextmanager
def opened(target: str | int) -> Iterator[int]:
    """Open ``target`` for writing; an open file is used as it is and left open.

    A path appears only when the block ends well: until then the bytes go to a file beside
    it. What is there and is no ordinary file, such as a pipe or ``/dev/null``, is written to.

    Raises:
        ExportError: it is a directory, or a terminal.
        StoreError: it cannot be written.
    """
    if isinstance(target, int):
        refuse_terminal(target)
        yield target
        return
    path = Path(target)
    if path.is_dir():
        raise ExportError(f"`{path}` is a directory", hint="name a file in it")
    if path.exists() and not path.is_file():
        with explained(f"open `{path}`"):
            descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            refuse_terminal(descriptor)
            yield descriptor
        finally:
            os.close(descriptor)
        return
    with _replaced(path) as descriptor:
        yield descriptor


@contextmanager
def _replaced(path: Path) -> Iterator[int]:
    final = path.resolve()
    part = part_beside(final)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with explained(f"write `{path}`"):
        descriptor = os.open(part, flags, 0o666)
    try:
        try:
            yield descriptor
        finally:
            os.close(descriptor)
        with explained(f"write `{path}`"):
            part.replace(final)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise


def part_beside(path: Path) -> Path:
    """Name a file or a directory that will be ``path`` when it is complete.

    The name is new: one of a process that was killed stays, and in containers the numbers of
    processes come again.
    """
    return path.with_name(f".part-{os.urandom(8).hex()}")


def refuse_terminal(descriptor: int) -> None:
    """Refuse to write an archive where people read.

    Raises:
        ExportError: the open file is a terminal.
    """
    if os.isatty(descriptor):
        raise ExportError(
            "a tar does not belong on a terminal",
            hint="name a file with `-o`, or redirect: `> FILE`",
        )
