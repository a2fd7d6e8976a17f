"""Statements as S-expressions: the form of the parser vectors."""

from __future__ import annotations

from dissolver.dockerfile.ast import Statement
from dissolver.dockerfile.pairs import read_pairs
from dissolver.dockerfile.statements import read_statements

_ESCAPES = {"\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def dump_file(text: str) -> str:
    """Dump every statement of a Dockerfile on a line of its own."""
    statements = read_statements(text, "Dockerfile").statements
    return "".join(f"({dump(statement)})\n" for statement in statements)


def dump(statement: Statement) -> str:
    parts = [statement.keyword.lower()]
    if statement.flags:
        parts.append("[" + " ".join(quote(flag.text) for flag in statement.flags) + "]")
    if statement.trigger is not None:
        parts.append(f"({dump(statement.trigger)})")
    elif statement.name in ("ENV", "LABEL"):
        pairs, is_legacy = read_pairs(statement)
        sign = quote("" if is_legacy else "=")
        for pair in pairs:
            parts += [quote(pair.name.text), quote(pair.value.text), sign]
    else:
        parts += [quote(word.text) for word in statement.words]
    return " ".join(parts)


def quote(text: str) -> str:
    return '"' + "".join(map(_quoted, text)) + '"'


def _quoted(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if ord(character) < 0x20:
        return _ESCAPES.get(character) or f"\\x{ord(character):02x}"
    return character
