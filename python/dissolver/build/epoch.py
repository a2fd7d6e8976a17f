"""``SOURCE_DATE_EPOCH``: the time that an image says it is of, wherever and whenever it is built.

https://reproducible-builds.org/specs/source-date-epoch/
"""

from __future__ import annotations

from collections.abc import Mapping

from dissolver.errors import BuildError

VARIABLE = "SOURCE_DATE_EPOCH"
LATEST_SECONDS = 253_402_300_799
"""The last second of the year 9999, which is the last that an image can say."""

_NANOSECONDS = 1_000_000_000


def with_epoch(arguments: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """Return build arguments with the caller's ``SOURCE_DATE_EPOCH``, where they have none."""
    value = environment.get(VARIABLE, "")
    if VARIABLE in arguments or not value:
        return dict(arguments)
    return {**arguments, VARIABLE: value}


def epoch_of(arguments: Mapping[str, str]) -> int | None:
    """Read the time that build arguments give, in nanoseconds since the epoch.

    Raises:
        BuildError: it is no number of seconds that an image can say.
    """
    text = arguments.get(VARIABLE, "")
    if not text:
        return None
    seconds = int(text) if text.isascii() and text.isdigit() and len(text) < 13 else -1
    if not 0 <= seconds <= LATEST_SECONDS:
        raise BuildError(
            f"{VARIABLE} has to be a number of seconds since 1970, and is `{text}`",
            hint=f"for example that of the last commit: `{VARIABLE}=$(git log -1 --pretty=%ct)`",
        )
    return seconds * _NANOSECONDS
