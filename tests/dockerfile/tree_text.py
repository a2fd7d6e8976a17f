"""Syntax trees as text: each instruction with its parts, and where in the file they are."""

from __future__ import annotations

import json
from collections.abc import Iterator

import msgspec

from dissolver.dockerfile.ast import (
    ArgDefinition,
    Command,
    Dockerfile,
    Flag,
    Heredoc,
    Instruction,
    Pair,
    Word,
)

_WIDTH = 20


def tree_text(file: Dockerfile) -> str:
    return "".join(f"{line}\n" for line in _file(file))


def _file(file: Dockerfile) -> Iterator[str]:
    for directive in file.directives:
        yield f"# {directive.name} = {json.dumps(directive.value)} (line {directive.line})"
    if file.escape != "\\":
        yield f"escape {file.escape}"
    for instruction in file.instructions:
        yield from _instruction(instruction)


def _instruction(instruction: Instruction, indent: str = "") -> Iterator[str]:
    statement = instruction.statement
    lines = f"{statement.line}" + (
        f"-{statement.end_line}" if statement.end_line != statement.line else ""
    )
    signs = ["JSON"] if statement.is_json else []
    signs += ["blank continuation"] if statement.has_blank_continuation else []
    yield indent + ", ".join((f"{statement.keyword} (line {lines})", *signs))
    for comment in statement.comments:
        yield f"{indent}  {'comment':<{_WIDTH}}{comment}"
    for flag in statement.flags:
        yield f"{indent}  {'flag':<{_WIDTH}}{_placed(instruction, flag)}"
    for field in msgspec.structs.fields(type(instruction)):
        value = getattr(instruction, field.name)
        if field.name == "statement" or value == field.default:
            continue
        if isinstance(value, Instruction):
            yield from _instruction(value, f"{indent}  ")
            continue
        for item in value if isinstance(value, tuple) else (value,):
            yield f"{indent}  {field.name:<{_WIDTH}}{_value(instruction, item)}"


def _value(instruction: Instruction, value: object) -> str:
    match value:
        case Word():
            return _placed(instruction, value)
        case Pair():
            return f"{_placed(instruction, value.name)} = {_placed(instruction, value.value)}"
        case ArgDefinition():
            default = "" if value.default is None else f" = {_placed(instruction, value.default)}"
            return _placed(instruction, value.name) + default
        case Command():
            form = "shell" if value.is_shell else "exec"
            documents = "".join(f"; {_document(heredoc)}" for heredoc in value.heredocs)
            return f"{form} {json.dumps(value.words, ensure_ascii=False)}{documents}"
        case Heredoc():
            return _document(value)
        case str():
            return json.dumps(value, ensure_ascii=False)
        case _:
            return str(value)


def _placed(instruction: Instruction, part: Word | Flag) -> str:
    """Tell a part, and its line and columns, counted from 1."""
    text = json.dumps(part.text, ensure_ascii=False)
    where = instruction.where_of(part)
    if where.column is None or where.length is None:
        return text
    return f"{text} at {where.line}:{where.column + 1}-{where.column + where.length}"


def _document(heredoc: Heredoc) -> str:
    signs = ("" if heredoc.expands else " literal") + (" tabs off" if heredoc.strips_tabs else "")
    number = f" as {heredoc.descriptor}" if heredoc.descriptor else ""
    content = json.dumps(heredoc.content, ensure_ascii=False)
    return f"<<{heredoc.name}{signs}{number} (lines {heredoc.line}-{heredoc.end_line}) {content}"
