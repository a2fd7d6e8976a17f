r"""Patterns in substitutions: ``*``, ``?`` and escaped characters, without classes."""

from __future__ import annotations

STEPS = 1 << 22
"""Places that one pattern may be compared with, which takes a second. A path takes hundreds; a
text of thousands of letters against a dozen `*` would take hours."""

_ANY_RUN = object()
_ANY_ONE = object()


class BadGlob(ValueError):
    """A pattern with an escape that means nothing, or too much work; the message says which."""


class Glob:
    """A pattern, matched in no more than `STEPS`; what would take more is a `BadGlob`.

    A line end is matched by a line end only, as in the regular expressions that
    BuildKit turns patterns into.
    """

    def __init__(self, pattern: str) -> None:
        self._tokens = _tokens(pattern)
        self._left = STEPS

    def strip_prefix(self, value: str, *, is_greedy: bool) -> str:
        """Take the shortest or longest matching beginning off ``value``."""
        ends = self._ends(self._tokens, value, 0)
        if not ends:
            return value
        return value[max(ends) if is_greedy else min(ends) :]

    def strip_suffix(self, value: str, *, is_greedy: bool) -> str:
        """Take the shortest or longest matching end off ``value``."""
        backwards = value[::-1]
        ends = self._ends(self._tokens[::-1], backwards, 0)
        if not ends:
            return value
        return value[: len(value) - (max(ends) if is_greedy else min(ends))]

    def replace(self, value: str, replacement: str, *, replaces_all: bool, room: int) -> str | None:
        """Put ``replacement`` where the pattern matches: the longest match at each place.

        An empty match right behind another match does not count. Nothing is answered if what
        is put in would be longer than ``room``.
        """
        parts: list[str] = []
        start = copied = 0
        last_end = -1
        while start <= len(value):
            ends = self._ends(self._tokens, value, start)
            end = max(ends) if ends else -1
            if end < 0 or end == start == last_end:
                start += 1
                continue
            room -= len(replacement)
            if room < 0:
                return None
            parts += (value[copied:start], replacement)
            copied = last_end = end
            if not replaces_all:
                break
            start = end if end > start else start + 1
        return "".join(parts) + value[copied:]

    def _ends(self, tokens: list[object], value: str, start: int) -> set[int]:
        """Find every place where a match that begins at ``start`` can end."""
        places = {start}
        for token in tokens:
            places = _behind(token, places, value)
            self._left -= 1 + len(places)
            if self._left < 0:
                raise BadGlob(f"it takes too long on {len(value)} characters")
            if not places:
                return places
        return places


def _tokens(pattern: str) -> list[object]:
    tokens: list[object] = []
    characters = iter(pattern)
    for character in characters:
        if character == "*":
            if not tokens or tokens[-1] is not _ANY_RUN:
                tokens.append(_ANY_RUN)
        elif character == "?":
            tokens.append(_ANY_ONE)
        elif character == "\\":
            escaped = next(characters, "")
            if not escaped or escaped not in "*?\\/}":
                raise BadGlob(f"`\\{escaped}` escapes nothing")
            tokens.append(escaped)
        else:
            tokens.append(character)
    return tokens


def _behind(token: object, places: set[int], value: str) -> set[int]:
    """Find every place behind what ``token`` matches at one of ``places``."""
    if token is _ANY_ONE:
        return {p + 1 for p in places if p < len(value) and value[p] != "\n"}
    if token is not _ANY_RUN:
        return {p + 1 for p in places if value[p : p + 1] == token}
    grown: set[int] = set()
    place, last = min(places), max(places)
    reaches = False
    while place <= len(value):
        reaches = reaches or place in places
        if reaches:
            grown.add(place)
        elif place > last:
            break
        if place < len(value) and value[place] == "\n":
            reaches = False
        place += 1
    return grown
