"""What somebody may have meant: the nearest of some known words."""

from __future__ import annotations

from collections.abc import Iterable

NEAR = 3
"""Edits from which on a word counts as another one; BuildKit draws the line there too."""


def distance(first: str, second: str, limit: int) -> int:
    """Count the edits (Levenshtein) between two words, or return ``limit`` if they are more."""
    if abs(len(first) - len(second)) >= limit:
        return limit
    row = list(range(len(second) + 1))
    for index, character in enumerate(first, 1):
        above_left, row[0] = row[0], index
        for column, other in enumerate(second, 1):
            above = row[column]
            row[column] = min(above + 1, row[column - 1] + 1, above_left + (character != other))
            above_left = above
        if min(row) >= limit:
            return limit
    return min(row[-1], limit)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word nearest to ``word``, whatever their case, if one is near enough.

    A word that is as long as the distance shares nothing with it and is not offered.
    """
    best: str | None = None
    best_distance = NEAR
    lower = word.lower()
    for candidate in known:
        edits = distance(lower, candidate.lower(), best_distance)
        if edits < best_distance and edits < max(len(word), len(candidate)):
            best, best_distance = candidate, edits
    return best


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """Return a hint that offers the nearest known word, or nothing."""
    found = nearest(word, known)
    return None if found is None or found == word else f"did you mean `{found}`?"
