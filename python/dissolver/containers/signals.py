"""Signals by the names that people give them."""

from __future__ import annotations

import signal

from dissolver.errors import RunError


def signal_number(text: str | int) -> int:
    """Return the number of a signal: ``KILL``, ``SIGKILL``, ``kill``, ``9``, ``RTMIN+3``.

    Raises:
        RunError: there is no such signal.
    """
    name = str(text).upper()
    if name.isascii() and name.isdigit() and 0 < int(name) <= signal.SIGRTMAX:
        return int(name)
    name = name.removeprefix("SIG")
    base, plus, offset = name.partition("+")
    if base == "RTMIN" and (not plus or offset.isdigit()):
        number = signal.SIGRTMIN + int(offset or 0)
        if number <= signal.SIGRTMAX:
            return number
    found = getattr(signal, f"SIG{name}", None)
    if not isinstance(found, signal.Signals):
        raise RunError(
            f"unknown signal `{text}`", hint="use a name such as `TERM` or a number such as `15`"
        )
    return int(found)
