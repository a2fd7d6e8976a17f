"""From the lines of a file to logical lines: continuations, comments and heredoc bodies."""

from __future__ import annotations

import re

import msgspec

from dissolver.dockerfile.ast import Directive, Heredoc, Piece
from dissolver.dockerfile.heredoc import Marker
from dissolver.dockerfile.source import SPACES, Source
from dissolver.errors import DockerfileError

DIRECTIVES = ("syntax", "escape", "check")
"""The parser directives that exist."""

_DIRECTIVE = re.compile(rf"#[{SPACES}]*([a-zA-Z][a-zA-Z0-9]*)[{SPACES}]*=[{SPACES}]*(.+)")


class LogicalLine(msgspec.Struct, frozen=True):
    """An instruction's text with its continuations joined; ``pieces`` say where it was."""

    text: str
    line: int
    end_line: int
    pieces: tuple[Piece, ...]
    comments: tuple[str, ...]
    has_blank_continuation: bool


def read_directives(source: Source) -> tuple[Directive, ...]:
    """Read the parser directives at the top of a file.

    The first line that is not one ends them, be it blank or a comment.

    Raises:
        DockerfileError: a directive is repeated.
    """
    directives: list[Directive] = []
    for number, line in enumerate(source.lines, 1):
        found = _DIRECTIVE.fullmatch(line.strip(SPACES))
        if found is None or found[1].lower() not in DIRECTIVES:
            break
        name = found[1].lower()
        if any(earlier.name == name for earlier in directives):
            raise DockerfileError(
                f"only one `{name}` parser directive can be used", where=source.where(number)
            )
        directives.append(Directive(name, found[2], number))
    return tuple(directives)


def escape_character(directives: tuple[Directive, ...], source: Source) -> str:
    r"""Return what continues lines and escapes characters: ``\`` unless a directive says `````.

    Raises:
        DockerfileError: the directive names another character.
    """
    for directive in directives:
        if directive.name != "escape":
            continue
        if directive.value not in ("\\", "`"):
            raise DockerfileError(
                f"invalid escape token `{directive.value}`",
                where=source.where(directive.line),
                hint="the escape token is a backslash or a backtick",
            )
        return directive.value
    return "\\"


class LineReader:
    """Reads the logical lines of a source, one after the other."""

    def __init__(self, source: Source, escape: str) -> None:
        self._source = source
        self._lines = source.lines
        self._escape = escape
        self._next = 0

    def read(self) -> LogicalLine | None:
        """Return the next logical line that holds an instruction, or nothing at the end."""
        comments: list[str] = []
        while self._next < len(self._lines):
            line = self._lines[self._next].strip(SPACES)
            if line.startswith("#"):
                comment = line[1:].strip(SPACES)
                if comment:
                    comments.append(comment)
                else:
                    comments.clear()
                self._next += 1
                continue
            if not line:
                comments.clear()
                self._next += 1
                continue
            logical = self._join(tuple(comments))
            if logical is not None:
                return logical
            comments.clear()
        return None

    def _join(self, comments: tuple[str, ...]) -> LogicalLine | None:
        """Join a line with its continuations; nothing if they are all empty."""
        first = self._next
        raw = self._lines[first].rstrip("\r")
        text = raw.lstrip(SPACES)
        column = len(raw) - len(text)
        content, continues = self._cut_continuation(text)
        self._next += 1
        parts = [content]
        places = [(0, first + 1, column)]
        length = len(content)
        has_blank = False
        while continues and self._next < len(self._lines):
            line = self._lines[self._next].rstrip("\r")
            self._next += 1
            bare = line.lstrip(SPACES)
            if bare.startswith("#"):
                continue
            if not bare:
                has_blank = True
                continue
            content, continues = self._cut_continuation(line)
            parts.append(content)
            places.append((length, self._next, 0))
            length += len(content)
        joined = "".join(parts)
        text = joined.strip(SPACES)
        if not text:
            return None
        lead = len(joined) - len(joined.lstrip(SPACES))
        pieces = tuple(Piece(start - lead, line, column) for start, line, column in places)
        return LogicalLine(text, first + 1, self._next, pieces, comments, has_blank)

    def _cut_continuation(self, line: str) -> tuple[str, bool]:
        """Cut the escape character off the end of a line, and tell whether there was one.

        One behind another one is an ordinary character; how many more there are
        does not matter.
        """
        bare = line.rstrip(" \t")
        if bare.endswith(self._escape) and not bare.endswith(self._escape * 2):
            return bare[:-1], True
        return line, False

    def read_document(self, marker: Marker, announced: int) -> Heredoc:
        """Read the lines up to the one that is exactly the marker's name.

        Raises:
            DockerfileError: there is no such line; ``announced`` is the line to show.
        """
        first = self._next
        while self._next < len(self._lines):
            line = self._lines[self._next].rstrip("\r")
            self._next += 1
            if (line.lstrip("\t") if marker.strips_tabs else line) == marker.name:
                body = "".join(f"{text}\n" for text in self._lines[first : self._next - 1])
                return Heredoc(
                    name=marker.name,
                    body=body,
                    expands=marker.expands,
                    strips_tabs=marker.strips_tabs,
                    descriptor=marker.descriptor,
                    line=first + 1,
                    end_line=self._next,
                )
        raise DockerfileError(
            f"unterminated heredoc `{marker.name}`",
            where=self._source.where(announced),
            hint=f"end it with a line that is `{marker.name}` and nothing else",
        )

    @property
    def line(self) -> int:
        """The number of the last line that was read."""
        return self._next
