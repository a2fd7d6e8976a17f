"""Lengths of time as Go writes them: ``1h30m``, ``1.5s``, ``300ms``."""

from __future__ import annotations

import re
from fractions import Fraction

UNITS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
"""Nanoseconds in each unit; the micro sign and the Greek letter look the same and both count."""

LIMIT = 2**63 - 1
"""Longest duration in nanoseconds that Go can hold."""

_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_WHOLE = re.compile(rf"([+-]?)((?:{_PART.pattern})+)")


def parse_duration(text: str) -> int | None:
    """Read a duration as nanoseconds; nothing if the text is none, or is too long a time."""
    if text in ("0", "+0", "-0"):
        return 0
    found = _WHOLE.fullmatch(text) if len(text) <= 64 else None
    if found is None:
        return None
    total = sum(
        int(Fraction(number.strip(".") if number.endswith(".") else number) * UNITS[unit])
        for number, unit in _PART.findall(found[2])
    )
    if total > LIMIT:
        return None
    return -total if found[1] == "-" else total


def format_duration(nanoseconds: int) -> str:
    """Write a duration as Go does: ``1m30s``, ``1.5s``, ``300ms``, ``0s``."""
    if nanoseconds == 0:
        return "0s"
    sign = "-" if nanoseconds < 0 else ""
    rest = abs(nanoseconds)
    for unit in ("ns", "µs", "ms"):
        if rest < UNITS[unit] * 1000:
            return f"{sign}{_decimal(rest, UNITS[unit])}{unit}"
    hours, rest = divmod(rest, UNITS["h"])
    minutes, rest = divmod(rest, UNITS["m"])
    seconds = f"{_decimal(rest, UNITS['s'])}s"
    if hours:
        return f"{sign}{hours}h{minutes}m{seconds}"
    return f"{sign}{minutes}m{seconds}" if minutes else sign + seconds


def _decimal(value: int, unit: int) -> str:
    whole, part = divmod(value, unit)
    if not part:
        return str(whole)
    return f"{whole}.{part:0{len(str(unit)) - 1}d}".rstrip("0")
