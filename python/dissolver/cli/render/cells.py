"""How many cells of a terminal a text takes, and how to fit it into fewer."""

from __future__ import annotations

import re

_ZERO_WIDTH_CATEGORIES = frozenset({"Mn", "Me", "Cf"})


def cell_width(text: str) -> int:
    """Count the terminal cells of a text without control characters."""
    if text.isascii():
        return len(text)
    return sum(_character_width(character) for character in text)


def _character_width(character: str) -> int:
    if character.isascii():
        return 1
    # Loading the tables costs time that most runs do not need to spend.
    import unicodedata

    if unicodedata.category(character) in _ZERO_WIDTH_CATEGORIES:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def cut(text: str, width: int) -> str:
    """Give the longest beginning of ``text`` that fits into ``width`` cells."""
    if text.isascii():
        return text[: max(0, width)]
    taken = 0
    for index, character in enumerate(text):
        taken += _character_width(character)
        if taken > width:
            return text[:index]
    return text


def ellipsis(text: str, width: int) -> str:
    """Fit ``text`` into ``width`` cells, ending in ``…`` where something was left out."""
    if cell_width(text) <= width:
        return text
    return cut(text, width - 1) + "…"


def wrap(text: str, width: int) -> list[str]:
    """Break ``text`` into pieces of at most ``width`` cells, as a terminal would."""
    pieces: list[str] = []
    while cell_width(text) > width:
        # A wide character does not fit a single cell: take it whole all the same.
        piece = cut(text, width) or text[:1]
        pieces.append(piece)
        text = text[len(piece) :]
    return [*pieces, text] if text or not pieces else pieces


def pad(text: str, width: int) -> str:
    """Fill ``text`` with blanks on the right up to ``width`` cells."""
    return text + " " * (width - cell_width(text))


def printable(text: str) -> str:
    """Replace control characters, so that a file name cannot steer the terminal."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character == "\u00a0" else _escaped(character)
        for character in text
    )


def escaped_lines(text: str) -> str:
    """Replace control characters other than line ends and tabs."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character in "\n\t\u00a0" else _escaped(character)
        for character in text
    )


def shortened(text: str) -> str:
    """Leave out the middle of names, and of whatever else has no blank, that nobody would read.

    So it is with what stands between backticks, where a message has names.
    """
    text = _LONG_WORD.sub(lambda found: _without_middle(found[0]), text)
    return _without_middle(text, _LONGEST_TEXT)


_LONGEST_WORD, _LONGEST_TEXT = 300, 4000
_KEPT_END = 100
_LONG_WORD = re.compile(rf"`[^`]{{{_LONGEST_WORD},}}`|\S{{{_LONGEST_WORD},}}")


def _without_middle(text: str, longest: int = _LONGEST_WORD) -> str:
    if len(text) <= longest:
        return text
    # The beginning says which of all it is, and the end has the file's own name.
    start = longest - 2 * _KEPT_END
    left_out = len(text) - start - _KEPT_END
    return f"{text[:start]}…({left_out} characters left out)…{text[-_KEPT_END:]}"


def _escaped(character: str) -> str:
    if character == "\t":
        return " "
    # Undecodable bytes arrive as lone surrogates; show the byte.
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return ascii(character)[1:-1]
