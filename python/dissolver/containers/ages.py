"""How long something has been: the words of ``docker ps``."""

from __future__ import annotations

SECOND_NS = 1_000_000_000
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def age(nanoseconds: int) -> str:
    """Word a duration: ``5 minutes``, ``About an hour``, ``3 days``."""
    seconds = max(0, nanoseconds) / SECOND_NS
    if seconds < 1:
        return "Less than a second"
    if seconds < _MINUTE:
        return _count(int(seconds), "second")
    minutes = int(seconds / _MINUTE)
    if minutes == 1:
        return "About a minute"
    if minutes < 60:
        return _count(minutes, "minute")
    hours = int(seconds / _HOUR + 0.5)
    if hours == 1:
        return "About an hour"
    if hours < 48:
        return _count(hours, "hour")
    days = hours // 24
    if days < 14:
        return _count(days, "day")
    if days < 60:
        return _count(days // 7, "week")
    if days < 730:
        return _count(days // 30, "month")
    return _count(int(seconds / _DAY / 365), "year")


def status_text(
    status: str, now_ns: int, started_ns: int | None, finished_ns: int | None, code: int | None
) -> str:
    """Word what a container is doing: ``Up 5 minutes``, ``Exited (0) 2 hours ago``, ``Created``."""
    if status == "running":
        return f"Up {_since(now_ns, started_ns)}"
    if status == "exited":
        return f"Exited ({code or 0}) {_since(now_ns, finished_ns)} ago"
    return "Created"


def _since(now_ns: int, then_ns: int | None) -> str:
    return age(0 if then_ns is None else now_ns - then_ns)


def _count(number: int, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"
