"""Times in words. They arrive as nanoseconds since the epoch."""

from __future__ import annotations

import time

SECOND_NS = 1_000_000_000
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def human_duration(seconds: float) -> str:
    """Word a duration as roughly as people speak: ``About a minute``, ``3 weeks``."""
    whole = int(seconds)
    minutes = whole // _MINUTE
    # Hours are rounded, not cut: 59 minutes and a half are about an hour.
    hours = int(seconds / _HOUR + 0.5)
    if whole < 1:
        return "Less than a second"
    if whole < _MINUTE:
        return "1 second" if whole == 1 else f"{whole} seconds"
    if minutes < _MINUTE:
        return "About a minute" if minutes == 1 else f"{minutes} minutes"
    if hours < 48:
        return "About an hour" if hours == 1 else f"{hours} hours"
    days = hours // 24
    if days < 14:
        return f"{days} days"
    if days < 60:
        return f"{days // 7} weeks"
    if days < 730:
        return f"{days // 30} months"
    return f"{days // 365} years"


def age(created_ns: int | None, now_ns: int) -> str:
    """Word how long ago something was made; ``N/A`` where nobody knows."""
    if created_ns is None:
        return "N/A"
    return human_duration(max(0, now_ns - created_ns) / SECOND_NS) + " ago"


def local_time(at_ns: int | None) -> str:
    """Write a time in the local zone: ``2026-01-31 08:15:00 +0100 CET``."""
    if at_ns is None:
        return "N/A"
    return time.strftime("%Y-%m-%d %H:%M:%S %z %Z", time.localtime(at_ns // SECOND_NS))


def rfc3339(at_ns: int, *, digits: int = 9) -> str:
    """Write a time in UTC with ``digits`` digits of a second, as logs and JSON have it."""
    whole, rest = divmod(at_ns, SECOND_NS)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))
    fraction = f".{rest:09d}"[: digits + 1] if digits else ""
    return f"{text}{fraction}Z"
