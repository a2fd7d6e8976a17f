"""Times as image configurations write them: RFC 3339 with up to nine digits of a second."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from dissolver.errors import BadImageConfig

SECOND = 1_000_000_000
"""Nanoseconds in a second."""

_EPOCH = datetime(1970, 1, 1)
_FORM = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?(?:[Zz]|([+-])(\d\d):(\d\d))",
    re.ASCII,
)


def parse_time(text: str) -> int:
    """Read an RFC 3339 time as nanoseconds since the epoch.

    Raises:
        BadImageConfig: the text is not such a time.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        raise BadImageConfig(f"`{text}` is not a time", hint="times read `2026-01-31T12:00:00Z`")
    date, clock, fraction, sign, hours, minutes = found.groups()
    try:
        moment = datetime.fromisoformat(f"{date}T{clock}")
    except ValueError:
        raise BadImageConfig(f"`{text}` is not a time that exists") from None
    since = moment - _EPOCH
    seconds = since.days * 86_400 + since.seconds
    if sign:
        offset = int(hours) * 3600 + int(minutes) * 60
        seconds -= offset if sign == "+" else -offset
    return seconds * SECOND + int((fraction or "0").ljust(9, "0"))


def format_time(nanoseconds: int) -> str:
    """Write nanoseconds since the epoch as RFC 3339 in UTC, without needless zeros."""
    seconds, fraction = divmod(nanoseconds, SECOND)
    moment = _EPOCH.replace(tzinfo=UTC) + timedelta(seconds=seconds)
    digits = f".{fraction:09d}".rstrip("0").rstrip(".") if fraction else ""
    return moment.strftime(f"{moment.year:04d}-%m-%dT%H:%M:%S") + digits + "Z"
