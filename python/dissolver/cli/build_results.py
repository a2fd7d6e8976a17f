"""What ``build`` says of its result: ``--iidfile``, ``--metadata-file`` and ``--why``."""

from __future__ import annotations

import os
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dissolver.errors import DissolverError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dissolver.build.request import StepOutcome


def forget(*names: str | None) -> None:
    """Remove older results: a failed build must not leave them to be taken for its own.

    Only ordinary files are: `/dev/stdout` may be named as well.
    """
    for name in names:
        if name is not None and _is_file(name):
            Path(name).unlink()


def write_result(name: str, text: str) -> None:
    """Write a file, whole or not at all where it is an ordinary one.

    Raises:
        DissolverError: it cannot be written.
    """
    from dissolver.export.files import part_beside

    path = Path(name)
    try:
        if os.path.lexists(path) and not _is_file(name):
            path.write_text(text, encoding="utf-8")
            return
        part = part_beside(path)
        try:
            with part.open("x", encoding="utf-8") as file:
                file.write(text)
            part.replace(path)
        except OSError:
            with suppress(OSError):
                part.unlink()
            raise
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise DissolverError(f"cannot write `{name}`: {why}") from error


def tell_why(steps: Iterable[StepOutcome]) -> None:
    """Say of each step that was not cached what made the difference, on standard error."""
    from dissolver.cli.render.cells import printable

    reasons = [f"{step.name}: {step.reason}" for step in steps if step.reason is not None]
    if reasons:
        lines = "".join(f" - {printable(reason)}\n" for reason in reasons)
        sys.stderr.write(f"Not cached, because:\n{lines}")
    else:
        sys.stderr.write("Every step was cached.\n")


def _is_file(name: str) -> bool:
    with suppress(OSError):
        return stat.S_ISREG(os.lstat(name).st_mode)
    return False
