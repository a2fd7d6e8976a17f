"""The text of a file, cut into lines, and places in it."""

from __future__ import annotations

import msgspec

from dissolver.errors import DockerfileError, Where

LINE_LIMIT_BYTES = 65_535
"""Longest physical line, which is BuildKit's limit too."""

SPACES = "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"  # noqa: E501
"""White space as Unicode's White_Space property says; ``str.isspace`` adds four controls to it."""


class Source(msgspec.Struct, frozen=True, eq=False):
    """A named text, cut at line feeds; a carriage return in front of one stays in its line."""

    name: str
    lines: tuple[str, ...]

    def where(
        self, line: int, end_line: int | None = None, *, column: int | None = None, length: int = 1
    ) -> Where:
        """Point at a range of lines, or at a part of one; lines count from 1, columns from 0."""
        end = line if end_line is None else end_line
        shown = tuple(show(text.rstrip("\r")) for text in self.lines[line - 1 : end])
        if column is None:
            return Where(self.name, line, end, shown)
        return Where(self.name, line, end, shown, column, max(length, 1))


def read_source(text: str, name: str) -> Source:
    """Cut ``text`` into lines; a byte order mark in front is dropped.

    Raises:
        DockerfileError: a line is too long.
    """
    lines = text.removeprefix("\ufeff").split("\n")
    # What follows the last line end is a line only if there is something in it.
    if not lines[-1]:
        del lines[-1]
    source = Source(name, tuple(lines))
    for number, line in enumerate(source.lines, 1):
        too_long = len(line) > LINE_LIMIT_BYTES or (
            len(line) * 4 > LINE_LIMIT_BYTES
            and len(line.encode("utf-8", "surrogatepass")) > LINE_LIMIT_BYTES
        )
        if too_long:
            raise DockerfileError(
                f"the line is longer than {LINE_LIMIT_BYTES} bytes",
                where=Where(name, number, number),
                hint="break it with a continuation, or copy the text from a file",
            )
    return source


def decode_source(content: bytes) -> str:
    """Turn the bytes of a file into text without losing one.

    Bytes that are not UTF-8 become lone surrogates. They are allowed in comments,
    where old files have them, and refused by the parser everywhere else.
    """
    return content.decode("utf-8", "surrogateescape")


def is_encodable(text: str) -> bool:
    """Tell whether ``text`` is free of bytes that were not UTF-8."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def show(text: str) -> str:
    """Return ``text`` fit for a message: what was not UTF-8 becomes a replacement character."""
    return text if is_encodable(text) else text.encode("utf-8", "replace").decode()
