"""Functions of dates and times."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from dissolver.bake.functions.table import FunctionTable
from dissolver.bake.hcl.values import Value, ValueFault, kind_of

TABLE = FunctionTable()
provide = TABLE.provide

_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)\Z")
_DURATION = re.compile(r"([+-]?)((?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+)\Z")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}
_TOKEN = re.compile(r"'((?:[^']|'')*)'|(Y+|M+|D+|E+|h+|H+|A+|a+|m+|s+|Z+)|([A-Za-z]+)|(.)", re.S)
_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July", "August", "September"),
    *("October", "November", "December"),
)
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def _offset(time: datetime, separator: str) -> str:
    seconds = int((time.utcoffset() or timedelta()).total_seconds())
    hours, minutes = divmod(abs(seconds) // 60, 60)
    return f"{'-' if seconds < 0 else '+'}{hours:02}{separator}{minutes:02}"


def _zone(time: datetime, separator: str, none: str) -> str:
    return _offset(time, separator) if time.utcoffset() else none


_FORMATS: dict[str, Callable[[datetime], str]] = {
    "YYYY": lambda t: f"{t.year:04}",
    "YY": lambda t: f"{t.year % 100:02}",
    "MMMM": lambda t: _MONTHS[t.month - 1],
    "MMM": lambda t: _MONTHS[t.month - 1][:3],
    "MM": lambda t: f"{t.month:02}",
    "M": lambda t: str(t.month),
    "DD": lambda t: f"{t.day:02}",
    "D": lambda t: str(t.day),
    "EEEE": lambda t: _DAYS[t.weekday()],
    "EEE": lambda t: _DAYS[t.weekday()][:3],
    "hh": lambda t: f"{t.hour:02}",
    "h": lambda t: str(t.hour),
    "HH": lambda t: f"{(t.hour - 1) % 12 + 1:02}",
    "H": lambda t: str((t.hour - 1) % 12 + 1),
    "AA": lambda t: "AM" if t.hour < 12 else "PM",
    "aa": lambda t: "am" if t.hour < 12 else "pm",
    "mm": lambda t: f"{t.minute:02}",
    "m": lambda t: str(t.minute),
    "ss": lambda t: f"{t.second:02}",
    "s": lambda t: str(t.second),
    "ZZZZZ": lambda t: _offset(t, ":"),
    "ZZZZ": lambda t: _offset(t, ""),
    "ZZZ": lambda t: _zone(t, "", "UTC"),
    "Z": lambda t: _zone(t, ":", "Z"),
}


def _read(stamp: str) -> datetime:
    if not _STAMP.match(stamp):
        raise ValueFault(f"`{stamp}` is no time like `2006-01-02T15:04:05Z`")
    try:
        return datetime.fromisoformat(re.sub(r"\.(\d{1,6})\d*", r".\1", stamp))
    except ValueError:
        raise ValueFault(f"`{stamp}` is no time that there is") from None


def _write(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S") + _zone(time, ":", "Z")


@provide("timestamp")
def timestamp() -> Value:
    """Give the time, in UTC."""
    return _write(datetime.now(UTC))


@provide("timeadd", "text", "text")
def add(stamp: str, duration: str) -> Value:
    """Give the time some time before or after another one."""
    time = _read(stamp)
    match = _DURATION.match(duration)
    if match is None:
        raise ValueFault(f"`{duration}` is no duration like `1h30m`")
    seconds = sum(float(count) * _SECONDS[unit] for count, unit in _PART.findall(match[2]))
    try:
        return _write(time + timedelta(seconds=-seconds if match[1] == "-" else seconds))
    except OverflowError:
        raise ValueFault(f"`{duration}` leads too far away") from None


@provide("formatdate", "text", "text")
def format_date(pattern: str, stamp: str) -> Value:
    """Write a time in another form: ``YYYY-MM-DD``."""
    return _formatted(pattern, _read(stamp))


@provide("formattimestamp", "text", "any")
def format_timestamp(pattern: str, stamp: Value) -> Value:
    """Write a time, or seconds since 1970, in another form; ``X`` is seconds since 1970."""
    if not isinstance(stamp, str | int) or isinstance(stamp, bool):
        raise ValueFault(f"a time or whole seconds are needed here, not {kind_of(stamp)}")
    time = _read(stamp) if isinstance(stamp, str) else _of_seconds(stamp)
    return str(int(time.timestamp() // 1)) if pattern == "X" else _formatted(pattern, time)


def _formatted(pattern: str, time: datetime) -> str:
    text = ""
    for token in _TOKEN.finditer(pattern):
        quoted, letters, unknown, other = token.groups()
        if quoted is not None:
            text += quoted.replace("''", "'") or "'"
        elif letters is not None and letters in _FORMATS:
            text += _FORMATS[letters](time)
        elif other is not None:
            text += other
        else:
            raise ValueFault(f"`{letters or unknown}` stands for no part of a time")
    return text


def _of_seconds(seconds: int) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        raise ValueFault(f"{seconds} is no time that there is") from None


@provide("unixtimestampparse", "integer")
def parse_unix(seconds: int) -> Value:
    """Take the seconds since 1970 apart."""
    time = _of_seconds(seconds)
    return {
        "year": time.year,
        "year_day": time.timetuple().tm_yday,
        "day": time.day,
        "month": time.month,
        "month_name": _MONTHS[time.month - 1],
        "weekday": (time.weekday() + 1) % 7,
        "weekday_name": _DAYS[time.weekday()],
        "hour": time.hour,
        "minute": time.minute,
        "second": time.second,
        "rfc3339": _write(time),
        "iso_year": time.isocalendar().year,
        "iso_week": time.isocalendar().week,
    }
