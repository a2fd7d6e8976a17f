"""A text and the places in it, for people to look at."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate

from dissolver.errors import BakeFileError, Where


class Source:
    """The text of one file, called ``name`` in messages."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text
        self.lines = text.split("\n")
        self._starts = list(accumulate((len(line) + 1 for line in self.lines), initial=0))

    def span(self, start: tuple[int, int], end: tuple[int, int]) -> Span:
        """Name a range by its first and last (row, column), which count from 0."""
        return Span(self, *start, *end)

    def at_offset(self, offset: int) -> Span:
        """Name the character at ``offset``."""
        row = bisect_right(self._starts, offset, hi=len(self.lines)) - 1
        column = offset - self._starts[row]
        return Span(self, row, column, row, column + 1)


@dataclass(frozen=True, slots=True)
class Span:
    """A range of a text; rows and columns count characters from 0, the end is not part of it."""

    source: Source
    row: int
    column: int
    end_row: int
    end_column: int

    def where(self) -> Where:
        """Tell the place as errors carry it."""
        first = self.source.lines[min(self.row, len(self.source.lines) - 1)]
        end = self.end_column if self.end_row == self.row else len(first)
        return Where(
            file=self.source.name,
            line=self.row + 1,
            end_line=self.row + 1,
            source=(first.rstrip("\r"),),
            column=self.column,
            length=max(1, end - self.column),
        )

    def fault(self, message: str, *, hint: str | None = None) -> BakeFileError:
        """Make an error about this place."""
        return BakeFileError(message, where=self.where(), hint=hint)
