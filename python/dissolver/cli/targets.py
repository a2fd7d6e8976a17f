"""Several names in one command: each is tried, whatever became of the others."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from dissolver.cli import exits
from dissolver.cli.invocation import current
from dissolver.errors import DissolverError


def each(names: Sequence[str], action: Callable[[str], str]) -> int:
    """Do ``action`` with every name and print what it answers.

    A failure is told and the next name is tried; the exit code is that of the
    last failure, or 0.
    """
    invocation = current()
    status = 0
    for name in names:
        try:
            text = action(name)
        except DissolverError as error:
            status = exits.report(error, invocation)
        else:
            sys.stdout.write(text)
            sys.stdout.flush()
    return status
