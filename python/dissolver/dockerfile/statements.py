"""From logical lines to statements: keyword, flags and words, whatever they mean."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import msgspec

from dissolver.dockerfile.ast import Directive, Heredoc, Statement, Word
from dissolver.dockerfile.faults import Faults
from dissolver.dockerfile.heredoc import find_markers
from dissolver.dockerfile.lines import (
    LineReader,
    LogicalLine,
    escape_character,
    read_directives,
)
from dissolver.dockerfile.source import SPACES, Source, is_encodable, read_source
from dissolver.dockerfile.words import BLANKS, split_bare, split_flags, split_quoted
from dissolver.errors import DockerfileError, Where

_BLANKS = re.compile(f"[{BLANKS}]+")
_WORD = re.compile(f"[^{SPACES}]+")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")
_HOLDS_HEREDOCS = ("RUN", "COPY", "ADD")

Splitter = Callable[[str, int, str], tuple[tuple[Word, ...], bool]]
"""Cuts the rest of a statement into words, and tells whether it was a JSON array."""


class NotStrings(DockerfileError):
    """A JSON array with something in it that is not a string."""


class StatementList(msgspec.Struct, frozen=True):
    """All statements of a file, and what its directives say."""

    source: Source
    directives: tuple[Directive, ...]
    escape: str
    statements: tuple[Statement, ...]


def read_statements(text: str, name: str, faults: Faults | None = None) -> StatementList:
    """Cut a whole file into statements.

    With ``faults``, lines that cannot be cut are left out, and their errors kept there.

    Raises:
        DockerfileError: the file is empty, or a line cannot be cut; the error says where.
    """
    source = read_source(text, name)
    if not source.lines:
        raise _nothing(f"`{name}` is empty", name)
    directives = read_directives(source)
    escape = escape_character(directives, source)
    reader = LineReader(source, escape)
    statements: list[Statement] = []
    found = Faults() if faults is None else faults
    while (line := reader.read()) is not None:
        with found:
            statement = cut_statement(source, line, escape)
            heredocs = _read_heredocs(statement, reader)
            if heredocs:
                statement = _with_heredocs(statement, heredocs, reader.line)
            statements.append(statement)
            continue
        if "<<" in line.text:
            # What follows may be a document, and no instructions.
            break
    if faults is None:
        found.raise_any()
    if not statements and not found:
        raise _nothing(f"`{name}` has no instructions", name)
    return StatementList(source, directives, escape, tuple(statements))


def _nothing(message: str, name: str) -> DockerfileError:
    return DockerfileError(message, hint="start it with `FROM IMAGE`", where=Where(name, 1, 1))


def cut_statement(source: Source, line: LogicalLine, escape: str) -> Statement:
    """Cut one logical line into its keyword, flags and words.

    Raises:
        DockerfileError: the line is not UTF-8, or its words are malformed.
    """
    where = source.where(line.line, line.end_line)
    if not is_encodable(line.text):
        raise DockerfileError("the text is not valid UTF-8", where=where)
    if "\0" in line.text:
        raise DockerfileError("the text contains a NUL character", where=where)
    try:
        return _cut(source, line, escape, offset=0)
    except DockerfileError as error:
        if error.where is None:
            error.where = where
        raise


def _cut(source: Source, line: LogicalLine, escape: str, *, offset: int) -> Statement:
    text = line.text[offset:]
    found = _BLANKS.search(text)
    keyword = text if found is None else text[: found.start()]
    start = len(text) if found is None else found.end()
    flags, flags_end = split_flags(text[start:], offset + start)
    rest = text[start + flags_end :]
    rest_start = offset + start + flags_end + len(rest) - len(rest.lstrip(SPACES))
    rest = rest.strip(SPACES)
    name = keyword.upper()
    trigger: Statement | None = None
    words: tuple[Word, ...] = ()
    is_json = False
    if name == "ONBUILD":
        # One inside another is a mistake that is reported later; it is not followed.
        if rest and offset == 0:
            trigger = _cut(source, line, escape, offset=rest_start)
    elif rest and name in _SPLITTERS:
        words, is_json = _SPLITTERS[name](rest, rest_start, escape)
    return Statement(
        source=source,
        keyword=keyword,
        text=text,
        line=line.line,
        end_line=line.end_line,
        pieces=line.pieces,
        flags=flags,
        rest=Word(rest, rest_start, rest_start + len(rest)),
        words=words,
        is_json=is_json,
        comments=line.comments if offset == 0 else (),
        has_blank_continuation=line.has_blank_continuation,
        trigger=trigger,
    )


def _read_heredocs(statement: Statement, reader: LineReader) -> tuple[Heredoc, ...]:
    inner = statement.trigger or statement
    if "<<" not in inner.text or inner.name not in _HOLDS_HEREDOCS or inner.is_json:
        return ()
    return tuple(
        reader.read_document(marker, statement.line) for marker in find_markers(inner.text)
    )


def _with_heredocs(statement: Statement, heredocs: tuple[Heredoc, ...], end_line: int) -> Statement:
    for heredoc in heredocs:
        if not is_encodable(heredoc.body):
            raise DockerfileError("the text is not valid UTF-8", where=statement.where)
    trigger = statement.trigger
    if trigger is not None:
        trigger = _with_heredocs(trigger, heredocs, end_line)
    return msgspec.structs.replace(statement, heredocs=heredocs, end_line=end_line, trigger=trigger)


def _one_word(rest: str, start: int, _escape: str) -> tuple[tuple[Word, ...], bool]:
    return (Word(rest, start, start + len(rest)),), False


def _bare_words(rest: str, start: int, _escape: str) -> tuple[tuple[Word, ...], bool]:
    return split_bare(rest, start), False


def _quoted_words(rest: str, start: int, escape: str) -> tuple[tuple[Word, ...], bool]:
    return split_quoted(rest, start, escape), False


def _json_or_one_word(rest: str, start: int, escape: str) -> tuple[tuple[Word, ...], bool]:
    elements = _json_words(rest, start)
    return (elements, True) if elements is not None else _one_word(rest, start, escape)


def _json_or_bare_words(rest: str, start: int, escape: str) -> tuple[tuple[Word, ...], bool]:
    elements = _json_words(rest, start)
    return (elements, True) if elements is not None else _bare_words(rest, start, escape)


def _kind_and_command(rest: str, start: int, escape: str) -> tuple[tuple[Word, ...], bool]:
    """Cut HEALTHCHECK: a word, then a command in either form."""
    found = _WORD.match(rest)
    end = len(rest) if found is None else found.end()
    kind = Word(rest[:end], start, start + end)
    command = rest[end:].lstrip(SPACES)
    if not command:
        return (kind,), False
    words, is_json = _json_or_one_word(command, start + len(rest) - len(command), escape)
    return (kind, *words), is_json


_SPLITTERS: dict[str, Splitter] = {
    "ADD": _json_or_bare_words,
    "ARG": _quoted_words,
    "CMD": _json_or_one_word,
    "COPY": _json_or_bare_words,
    "ENTRYPOINT": _json_or_one_word,
    "ENV": _quoted_words,
    "EXPOSE": _bare_words,
    "FROM": _bare_words,
    "HEALTHCHECK": _kind_and_command,
    "LABEL": _quoted_words,
    "MAINTAINER": _one_word,
    "RUN": _json_or_one_word,
    "SHELL": _json_or_one_word,
    "STOPSIGNAL": _one_word,
    "USER": _one_word,
    "VOLUME": _json_or_bare_words,
    "WORKDIR": _one_word,
}

KEYWORDS = (*_SPLITTERS, "ONBUILD")
"""All instructions of the language."""


def _json_words(rest: str, start: int) -> tuple[Word, ...] | None:
    """Read a JSON array of strings; nothing if the text is no JSON array.

    Raises:
        NotStrings: it is one, with something else than strings in it.
    """
    if not rest.startswith("["):
        return None
    try:
        elements = json.loads(rest, parse_constant=_refuse, parse_int=float)
    except RecursionError:
        elements = [None]
    except ValueError:
        return None
    if not all(isinstance(element, str) for element in elements):
        raise NotStrings(
            "an array in JSON form must hold nothing but strings",
            hint="put each element between double quotes",
        )
    # Go's decoder, which everyone's Dockerfiles were tried with, replaces lone surrogates.
    return tuple(
        Word(_SURROGATE.sub("\ufffd", element), start + place.start(), start + place.end())
        for element, place in zip(elements, _STRING.finditer(rest), strict=True)
    )


def _refuse(_constant: str) -> None:
    raise ValueError
