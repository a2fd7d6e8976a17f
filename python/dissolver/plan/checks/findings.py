"""Findings: a rule that is violated, where, and how to rewrite it."""

from __future__ import annotations

import msgspec

from dissolver.dockerfile.ast import Flag, Instruction, Word
from dissolver.errors import Where
from dissolver.plan.checks.rules import Rule


class Edit(msgspec.Struct, frozen=True):
    """A change of the file: the text between two places becomes another one.

    Lines count from 1 and columns characters from 0. The end is not part of it; the
    beginning of a line is the place behind the end of the one before.
    """

    line: int
    column: int
    end_line: int
    end_column: int
    text: str


class Finding(msgspec.Struct, frozen=True):
    """A violation of ``rule``: what is wrong, and the lines that are meant.

    ``fix`` are changes that take it away without changing what the file means; they
    belong together. It is empty where somebody has to decide.
    """

    rule: Rule
    message: str
    where: Where
    fix: tuple[Edit, ...] = ()

    @property
    def short(self) -> str:
        """The finding in a line, as builds tell it: ``Rule: message``."""
        return f"{self.rule.name}: {self.message}"


def replacing(instruction: Instruction, part: Word | Flag, text: str) -> tuple[Edit, ...]:
    """Return the edit that puts ``text`` in the place of a part of an instruction.

    Nothing if the part does not stand in one line as it reads: it goes on in the next
    line, or stands in another file.
    """
    where = instruction.where_of(part)
    if where.column is None or where.length != part.end - part.start:
        return ()
    return (Edit(where.line, where.column, where.line, where.column + where.length, text),)


def removing_lines(first: int, last: int) -> Edit:
    """Return the edit that takes whole lines out."""
    return Edit(first, 0, last + 1, 0, "")
