"""Cutting a logical line into words and flags."""

from __future__ import annotations

import re
from functools import cache

from dissolver.dockerfile.ast import Flag, Word
from dissolver.dockerfile.source import SPACES

BLANKS = "\t\v\f\r "
"""What separates words where quotes mean nothing."""

_BARE = re.compile(rf"[^{BLANKS}]+")
_FLAG = re.compile(
    rf"""(?:[^{SPACES}'"\\]|\\.|'(?:[^'\\]|\\.)*(?:'|\\?$)|"(?:[^"\\]|\\.)*(?:"|\\?$)|\\$)+""",
    re.DOTALL,
)
_FLAG_PART = re.compile(
    r"""'(?P<single>(?:[^'\\]|\\.)*)(?:'|\\?$)|"(?P<double>(?:[^"\\]|\\.)*)(?:"|\\?$)"""
    r"""|\\(?P<escaped>.)|\\$|(?P<plain>[^'"\\]+)""",
    re.DOTALL,
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def split_bare(text: str, offset: int) -> tuple[Word, ...]:
    """Cut at white space; quotes are ordinary characters."""
    return tuple(
        Word(found.group(), offset + found.start(), offset + found.end())
        for found in _BARE.finditer(text)
    )


def split_quoted(text: str, offset: int, escape: str) -> tuple[Word, ...]:
    """Cut at white space that is neither quoted nor escaped; quotes and escapes stay.

    An escape character at the very end belongs to no word.
    """
    return tuple(
        Word(found.group(), offset + found.start(), offset + found.end())
        for found in _quoted(escape).finditer(text)
    )


@cache
def _quoted(escape: str) -> re.Pattern[str]:
    e = re.escape(escape)
    return re.compile(
        rf"""(?:[^{SPACES}'"{e}]|{e}.|'[^']*'?|"(?:[^"{e}]|{e}.)*"?)+""",
        re.DOTALL,
    )


def split_flags(text: str, offset: int) -> tuple[tuple[Flag, ...], int]:
    """Take the leading words that begin with ``--`` off ``text``.

    Quotes and backslashes inside a flag are processed, whatever the file's escape
    character is. A bare ``--`` ends the flags and is dropped.

    Returns:
        The flags, and where the rest begins.
    """
    flags: list[Flag] = []
    position = _skip_spaces(text, 0)
    while text.startswith("--", position):
        found = _FLAG.match(text, position)
        if found is None:
            break
        content = _unquote(found.group())
        if content == "--":
            return tuple(flags), found.end()
        name, equals, value = content[2:].partition("=")
        flags.append(
            Flag(content, name, value if equals else None, offset + position, offset + found.end())
        )
        position = _skip_spaces(text, found.end())
    return tuple(flags), position


def _skip_spaces(text: str, position: int) -> int:
    while position < len(text) and text[position] in SPACES:
        position += 1
    return position


def _unquote(word: str) -> str:
    if not any(character in word for character in "'\"\\"):
        return word
    parts: list[str] = []
    for found in _FLAG_PART.finditer(word):
        if found["plain"] is not None:
            parts.append(found["plain"])
        elif found["escaped"] is not None:
            parts.append(found["escaped"])
        else:
            quoted = found["single"] if found["single"] is not None else found["double"]
            parts.append(_ESCAPED.sub(r"\1", quoted or ""))
    return "".join(parts)
