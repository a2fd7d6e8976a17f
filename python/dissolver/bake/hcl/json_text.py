"""Bake files in JSON: the same syntax tree as from HCL.

Texts are templates, and blocks are objects by their labels:
https://github.com/hashicorp/hcl/blob/main/json/spec.md.
"""

from __future__ import annotations

import re
from decimal import Decimal
from json import JSONDecodeError, JSONDecoder
from typing import TYPE_CHECKING

from dissolver.bake.hcl import ast
from dissolver.bake.hcl.parse import parse_template
from dissolver.bake.hcl.values import ValueFault, number
from dissolver.dockerfile.source import is_encodable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from dissolver.bake.hcl.source import Source, Span
    from dissolver.errors import BakeFileError

_BLANKS = re.compile(r"[ \t\r\n]*")
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")
_WORDS = {"true": True, "false": False, "null": None}


def parse_json(source: Source, kinds: Collection[str]) -> ast.Body:
    """Read a whole file, whose members that are called as ``kinds`` are blocks.

    Raises:
        BakeFileError: it is no JSON, or not of this form.
    """
    try:
        whole = _Reader(source).whole()
    except RecursionError:
        raise source.at_offset(0).fault("this is nested too deeply") from None
    body = ast.Body()
    for key, value in _members(whole):
        if key.text not in kinds:
            _assign(body, key, value)
            continue
        for labelled in _one_or_more(value):
            for label, content in _members(labelled):
                for one in _one_or_more(content):
                    block = ast.Block(key.text, label.span, (label,), _body(one))
                    body.blocks.append(block)
    return body


def _one_or_more(value: ast.Expression) -> Sequence[ast.Expression]:
    return value.items if isinstance(value, ast.ListOf) else (value,)


def _assign(body: ast.Body, key: ast.Label, value: ast.Expression) -> None:
    if key.text in body.assignments:
        raise key.span.fault(f"`{key.text}` is there twice")
    _refuse_doubles(value)
    body.assignments[key.text] = ast.Assignment(key.text, key.span, value)


def _refuse_doubles(value: ast.Expression) -> None:
    if isinstance(value, ast.ListOf):
        for item in value.items:
            _refuse_doubles(item)
    elif isinstance(value, ast.ObjectOf):
        seen: set[object] = set()
        for key, item in value.items:
            name = key.value if isinstance(key, ast.Literal) else key
            if name in seen:
                raise key.span.fault(f"`{name}` is there twice")
            seen.add(name)
            _refuse_doubles(item)


def _members(value: ast.Expression) -> Iterator[tuple[ast.Label, ast.Expression]]:
    if not isinstance(value, ast.ObjectOf):
        raise value.span.fault("an object has to be here")
    for key, item in value.items:
        text = key.value if isinstance(key, ast.Literal) else None
        if not isinstance(text, str):
            raise key.span.fault("a name cannot have parts to fill in")
        yield ast.Label(text, key.span), item


def _body(value: ast.Expression) -> ast.Body:
    body = ast.Body()
    for key, item in _members(value):
        if key.text == "validation":
            for one in _one_or_more(item):
                body.blocks.append(ast.Block(key.text, key.span, (), _body(one)))
        else:
            _assign(body, key, item)
    return body


class _Reader:
    """Reads one text from its beginning to its end."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._text = source.text
        self._at = 0

    def whole(self) -> ast.Expression:
        """Read the one value that a text has."""
        value = self._value()
        self._skip()
        if self._at < len(self._text):
            raise self._fault("nothing can follow here")
        return value

    def _fault(self, message: str) -> BakeFileError:
        return self._source.at_offset(min(self._at, len(self._text))).fault(message)

    def _skip(self) -> None:
        match = _BLANKS.match(self._text, self._at)
        assert match is not None  # noqa: S101 - it matches nothing at all, too
        self._at = match.end()

    def _span(self, start: int) -> Span:
        first = self._source.at_offset(start)
        last = self._source.at_offset(max(start, self._at - 1))
        return self._source.span((first.row, first.column), (last.row, last.end_column))

    def _takes(self, character: str) -> bool:
        self._skip()
        if not self._text.startswith(character, self._at):
            return False
        self._at += 1
        return True

    def _value(self) -> ast.Expression:
        self._skip()
        start = self._at
        if self._takes("{"):
            return self._object(start)
        if self._takes("["):
            return self._list(start)
        if self._text.startswith('"', start):
            text = self._string()
            return parse_template(text, self._span(start))
        for word, constant in _WORDS.items():
            if self._text.startswith(word, start):
                self._at += len(word)
                return ast.Literal(self._span(start), constant)
        match = _NUMBER.match(self._text, start)
        if match is None:
            raise self._fault("a value is missing here")
        self._at = match.end()
        try:
            return ast.Literal(self._span(start), number(Decimal(match[0])))
        except ValueFault as fault:
            raise self._span(start).fault(str(fault)) from None

    def _string(self) -> str:
        try:
            text, self._at = JSONDecoder().raw_decode(self._text, self._at)
        except JSONDecodeError as error:
            self._at = error.pos
            raise self._fault(f"this is no text: {error.msg.lower()}") from None
        if not is_encodable(text):
            raise self._fault("this is no text: half a character is before this")
        return str(text)

    def _object(self, start: int) -> ast.Expression:
        items: list[tuple[ast.Expression, ast.Expression]] = []
        if self._takes("}"):
            return ast.ObjectOf(self._span(start), ())
        while True:
            self._skip()
            key_start = self._at
            if not self._text.startswith('"', key_start):
                raise self._fault("a name in quotes is missing here")
            name = self._string()
            key = parse_template(name, self._span(key_start))
            if not self._takes(":"):
                raise self._fault("`:` is missing here")
            items.append((key, self._value()))
            if self._takes("}"):
                return ast.ObjectOf(self._span(start), tuple(items))
            if not self._takes(","):
                raise self._fault("`,` or `}` is missing here")

    def _list(self, start: int) -> ast.Expression:
        items: list[ast.Expression] = []
        if self._takes("]"):
            return ast.ListOf(self._span(start), ())
        while True:
            items.append(self._value())
            if self._takes("]"):
                return ast.ListOf(self._span(start), tuple(items))
            if not self._takes(","):
                raise self._fault("`,` or `]` is missing here")
