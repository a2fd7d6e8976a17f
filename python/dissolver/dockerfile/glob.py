r"""Patterns in substitutions: ``*``, ``?`` and escaped characters, without classes."""

from __future__ import annotations

_ANY_RUN = object()
_ANY_ONE = object()


class BadGlob(ValueError):
    """A pattern with an escape that means nothing; the message says which."""


class Glob:
    """A pattern, matched in time proportional to its length times that of the text.

    A line end is matched by a line end only, as in the regular expressions that
    BuildKit turns patterns into.
    """

    def __init__(self, pattern: str) -> None:
        self._tokens = _tokens(pattern)

    def strip_prefix(self, value: str, *, is_greedy: bool) -> str:
        """Take the shortest or longest matching beginning off ``value``."""
        ends = _ends(self._tokens, value, 0)
        if not ends:
            return value
        return value[max(ends) if is_greedy else min(ends) :]

    def strip_suffix(self, value: str, *, is_greedy: bool) -> str:
        """Take the shortest or longest matching end off ``value``."""
        backwards = value[::-1]
        ends = _ends(self._tokens[::-1], backwards, 0)
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
            ends = _ends(self._tokens, value, start)
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


def _ends(tokens: list[object], value: str, start: int) -> set[int]:
    """Find every place where a match that begins at ``start`` can end."""
    places = {start}
    for token in tokens:
        if token is _ANY_RUN:
            first, last = min(places), max(places)
            grown: set[int] = set()
            place = first
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
            places = grown
        elif token is _ANY_ONE:
            places = {p + 1 for p in places if p < len(value) and value[p] != "\n"}
        else:
            places = {p + 1 for p in places if value[p : p + 1] == token}
        if not places:
            return places
    return places
