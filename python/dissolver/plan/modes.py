"""Modes in ``--chmod``: octal numbers, and symbolic programs such as ``u=rwX,go=rX``."""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

import msgspec

HIGHEST_MODE = 0o7777
"""All bits of a mode: permissions, and set-user-id, set-group-id and sticky."""

Operator = Literal["+", "-", "="]


class ModeClause(msgspec.Struct, frozen=True):
    """One change: for whom (``u``, ``g``, ``o``; empty is everyone), how, and what.

    ``bits`` has letters of ``rwxXst``, or the one letter ``u``, ``g`` or ``o`` whose
    permissions are taken over.
    """

    who: str
    operator: Operator
    bits: str


class ModeProgram(msgspec.Struct, frozen=True):
    """Changes to be made to the mode that a file has, one after the other.

    ``text`` is as written: equal texts are equal programs.
    """

    text: str
    clauses: tuple[ModeClause, ...]

    def apply(self, mode: int, *, is_directory: bool) -> int:
        """Return what becomes of ``mode`` (permissions and special bits)."""
        for clause in self.clauses:
            mode = _changed(mode, clause, is_directory=is_directory)
        return mode


FileMode: TypeAlias = int | ModeProgram
"""What ``--chmod`` asks for: a mode, or changes to the mode that each file has."""

_CLAUSE = re.compile(r"([ugoa]*)((?:[+=-](?:[rwxXst]*|[ugo]))+)", re.ASCII)
_ACTION = re.compile(r"([+=-])([rwxXst]*[ugo]?)", re.ASCII)
_SHIFT = {"u": 6, "g": 3, "o": 0}
_STICKY = 0o1000
_SPECIAL = {"u": 0o4000, "g": 0o2000, "o": _STICKY}
_PERMISSION = {"r": 4, "w": 2, "x": 1}
_OPERATORS: dict[str, Operator] = {"+": "+", "-": "-", "=": "="}


def parse_mode(text: str) -> FileMode | None:
    """Read an octal mode up to ``07777`` or a symbolic one; nothing if the text is neither."""
    if text.isascii() and text.isdecimal():
        # More digits than a mode can have are no number worth reading.
        if set(text) & {"8", "9"} or len(text.lstrip("0")) > 4:
            return None
        return int(text, 8)
    clauses: list[ModeClause] = []
    for part in text.split(","):
        found = _CLAUSE.fullmatch(part)
        if found is None:
            return None
        who = "" if "a" in found[1] else "".join(c for c in "ugo" if c in found[1])
        clauses += (
            ModeClause(who, _OPERATORS[operator], bits)
            for operator, bits in _ACTION.findall(found[2])
        )
    return ModeProgram(text, tuple(clauses))


def format_mode(mode: FileMode) -> str:
    """Write a mode as people read it: ``0755``, ``u=rwX,go=rX``."""
    return mode.text if isinstance(mode, ModeProgram) else f"{mode:04o}"


def _changed(mode: int, clause: ModeClause, *, is_directory: bool) -> int:
    """Carry out one clause, as chmod(1) would with a umask of 0."""
    given, affected = 0, 0
    for who in clause.who or "ugo":
        given |= _bits_for(who, clause.bits, mode, is_directory=is_directory)
        affected |= 7 << _SHIFT[who] | _SPECIAL[who]
    if clause.operator == "+":
        return mode | given
    if clause.operator == "-":
        return mode & ~given
    return (mode & ~affected) | given


def _bits_for(who: str, bits: str, mode: int, *, is_directory: bool) -> int:
    if bits in _SHIFT:
        return ((mode >> _SHIFT[bits]) & 7) << _SHIFT[who]
    permissions = 0
    for letter in bits:
        permissions |= _PERMISSION.get(letter, 0)
    # `X` gives the right to enter directories, and to execute what someone may execute.
    if "X" in bits and (is_directory or mode & 0o111):
        permissions |= 1
    special = _SPECIAL[who] if "s" in bits and who != "o" else 0
    # Others alone have no sticky bit to give: so for BSD's chmod, and for BuildKit.
    sticky = _STICKY if "t" in bits and who != "o" else 0
    return permissions << _SHIFT[who] | special | sticky
