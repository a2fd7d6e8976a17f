"""Rewriting: what findings offer, applied to the text of a file."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable

import msgspec

from dissolver.plan.checks.findings import Edit, Finding

MOST_ROUNDS = 20
"""Rounds after which a text is left as it is: a fix that does not take its finding away."""


class Fixed(msgspec.Struct, frozen=True):
    """A rewritten text, and the findings that are gone with it."""

    text: str
    fixed: tuple[Finding, ...]


def apply_fixes(text: str, findings: Iterable[Finding]) -> Fixed:
    """Apply the fixes of ``findings`` to ``text``, as many as do not touch each other.

    Of two that do, the one of the earlier finding is applied; check the result again for
    the other. Everything else stays as it is, byte order mark and line ends included.
    """
    chosen: list[Edit] = []
    fixed: list[Finding] = []
    for finding in findings:
        if finding.fix and not any(_touches(edit, chosen) for edit in finding.fix):
            chosen += finding.fix
            fixed.append(finding)
    lines = text.split("\n")
    mark = "\ufeff" if lines[0].startswith("\ufeff") else ""
    lines[0] = lines[0].removeprefix("\ufeff")
    for edit in sorted(chosen, key=_start, reverse=True):
        _apply(lines, edit)
    return Fixed(mark + "\n".join(lines), tuple(fixed))


def fix_text(text: str, check: Callable[[str], tuple[Finding, ...]]) -> Fixed:
    """Apply fixes until none is left, checking the text anew in between.

    ``check`` finds what is wrong with a text.
    """
    fixed: tuple[Finding, ...] = ()
    for _ in range(MOST_ROUNDS):
        result = apply_fixes(text, check(text))
        if not result.fixed:
            break
        text, fixed = result.text, (*fixed, *result.fixed)
    return Fixed(text, fixed)


def unified_diff(before: str, after: str, name: str) -> str:
    """Return the difference of two texts as ``diff -u`` shows it; empty for equal ones."""
    shown = [
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
        for line in difflib.unified_diff(
            before.splitlines(keepends=True), after.splitlines(keepends=True), name, name
        )
    ]
    return "".join(shown)


def _apply(lines: list[str], edit: Edit) -> None:
    first = edit.line - 1
    if edit.end_line > len(lines):
        # Whole lines up to the end of a file that does not end with a line end.
        last, rest = len(lines), ""
        front = lines[first][: edit.column] + edit.text
        lines[first:last] = [front + rest] if front else []
        return
    rest = lines[edit.end_line - 1][edit.end_column :]
    front = lines[first][: edit.column] + edit.text
    lines[first : edit.end_line] = (front + rest).split("\n")


def _touches(edit: Edit, others: Iterable[Edit]) -> bool:
    return any(_start(edit) < _end(other) and _start(other) < _end(edit) for other in others)


def _start(edit: Edit) -> tuple[int, int]:
    return edit.line, edit.column


def _end(edit: Edit) -> tuple[int, int]:
    # An insertion touches what begins at its place.
    end = (edit.end_line, edit.end_column)
    return end if end > _start(edit) else (edit.line, edit.column + 1)
