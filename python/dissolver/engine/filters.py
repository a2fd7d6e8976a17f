"""Filters of prunes: what is old enough to go, and has the right labels."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dissolver.errors import BadOption

UNTIL_FORMS = "a time reads `24h`, `2026-01-31`, `2026-01-31T12:00:00Z` or seconds since 1970"

_SECONDS = re.compile(r"(\d{1,12})(?:\.(\d{1,9}))?", re.ASCII)
_SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Filters:
    """What a prune is about.

    ``until_ns`` (nanoseconds since the epoch) is the moment before which something was made;
    ``labels`` (``NAME`` or ``NAME=VALUE``) it has all, and it is left if it has all of ``without``.
    """

    until_ns: int | None = None
    labels: tuple[str, ...] = ()
    without: tuple[str, ...] = ()

    def fits(self, created_ns: int | None, labels: Mapping[str, str]) -> bool:
        """Tell whether something may go; what has no time is never old enough."""
        if self.until_ns is not None and (created_ns is None or created_ns >= self.until_ns):
            return False
        if not all(_has_label(labels, text) for text in self.labels):
            return False
        return not self.without or not all(_has_label(labels, text) for text in self.without)


def read_filters(words: Sequence[str], known: Sequence[str], now_ns: int) -> Filters:
    """Read ``KEY=VALUE`` texts: ``until=…`` once, ``label=…`` and ``label!=…`` as often as wanted.

    Raises:
        BadOption: a key is not one of ``known``, or a time is none.
    """
    found: dict[str, list[str]] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if key not in known or not equals or not value:
            keys = ", ".join(f"`{name}=…`" for name in known)
            raise BadOption(f"unknown filter `{word}`", hint=f"the filters are {keys}")
        found.setdefault(key, []).append(value)
    times = found.get("until", [])
    if len(times) > 1:
        raise BadOption("there is more than one filter `until=…`", hint="leave the earliest")
    return Filters(
        until_ns=_moment(times[0], now_ns) if times else None,
        labels=tuple(found.get("label", ())),
        without=tuple(found.get("label!", ())),
    )


def _moment(text: str, now_ns: int) -> int:
    """Read how long ago something was, or when; times without a zone are the machine's."""
    from datetime import datetime

    from dissolver.dockerfile.durations import parse_duration

    seconds = _SECONDS.fullmatch(text)
    if seconds is not None:
        return int(seconds[1]) * _SECOND_NS + int((seconds[2] or "").ljust(9, "0"))
    duration = parse_duration(text)
    if duration is not None:
        return now_ns - duration
    try:
        return int(datetime.fromisoformat(text).timestamp()) * _SECOND_NS
    except (ValueError, OverflowError):
        raise BadOption(f"`{text}` is no time", hint=UNTIL_FORMS) from None


def _has_label(labels: Mapping[str, str], text: str) -> bool:
    name, equals, value = text.partition("=")
    return name in labels and (not equals or labels[name] == value)
