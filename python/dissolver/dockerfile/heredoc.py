"""Heredocs: documents inside a Dockerfile, announced as ``<<NAME``."""

from __future__ import annotations

import re

import msgspec

from dissolver.dockerfile.expand import expand_words, split_raw
from dissolver.dockerfile.source import SPACES
from dissolver.errors import DockerfileError

_FORM = re.compile(rf"([0-9]*)<<(-?)[{SPACES}]*([^<]*)", re.DOTALL)
_DESCRIPTOR_DIGITS = 9
"""Digits of a file descriptor that are believed; more are no number of one."""


class Marker(msgspec.Struct, frozen=True):
    """What announces a heredoc: its name, and how its body is to be read."""

    name: str
    expands: bool
    strips_tabs: bool
    descriptor: int


def find_markers(text: str) -> tuple[Marker, ...]:
    """Find the heredocs that a logical line announces, in order.

    A marker inside quotes is none, and neither is ``<<<``.
    """
    try:
        words = split_raw(text)
    except DockerfileError:
        # Text with an open quote is the shell's business, and announces nothing.
        return ()
    return tuple(marker for word in words if (marker := parse_marker(word)) is not None)


def parse_marker(word: str) -> Marker | None:
    """Read a word such as ``<<EOF``, ``<<-'EOF'`` or ``3<<EOF``; other words give nothing."""
    found = _FORM.fullmatch(word)
    if found is None or not found[3]:
        return None
    descriptor, dash, written = found.groups()
    try:
        names = expand_words(written, _Everything()).words
    except DockerfileError:
        return None
    if len(names) != 1:
        return None
    # A name with any quote around any part of it means: leave the body alone.
    quotes = written.count("'") + written.count('"')
    kept = names[0].count("'") + names[0].count('"')
    number = int(descriptor) if descriptor and len(descriptor) <= _DESCRIPTOR_DIGITS else 0
    return Marker(names[0], quotes == kept, bool(dash), number)


class _Everything(dict[str, str]):
    """An environment in which every variable stands for itself: ``<<$EOF`` ends at ``$EOF``."""

    def get(self, key: str, default: object = None) -> str:
        del default
        return f"${key}"
