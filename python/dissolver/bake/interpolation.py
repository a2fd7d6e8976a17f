"""Variables in compose files and in ``.env``: ``${NAME:-default}`` and its kin.

See https://docs.docker.com/reference/compose-file/interpolation/.
"""

from __future__ import annotations

import re
from collections import ChainMap
from typing import TYPE_CHECKING

from dissolver.bake.hcl.limits import refuse_larger
from dissolver.bake.hcl.values import ValueFault

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATOR = re.compile(r":?[-?+]")
_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.-]*)\s*(?:[=:]\s*(.*))?\Z", re.DOTALL)
_QUOTES = ("'", '"')
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$$"}


def interpolate(text: str, variables: Mapping[str, str]) -> str:
    """Put the values of variables into a text; one that is not set is empty.

    Raises:
        ValueFault: braces do not match, or a variable that has to be set is not.
    """
    try:
        result, _ = _until(text, 0, variables, closing="")
    except RecursionError:
        raise ValueFault("this is nested too deeply") from None
    return result


def _until(text: str, at: int, variables: Mapping[str, str], *, closing: str) -> tuple[str, int]:
    """Read up to a closing brace, or to the end; answer what it says, and the place behind."""
    parts: list[str] = []
    size = 0
    while at < len(text):
        character = text[at]
        if closing and character == closing:
            return "".join(parts), at
        if character != "$":
            parts.append(character)
            at += 1
            continue
        found, at = _variable(text, at + 1, variables)
        size += len(found)
        refuse_larger(size)
        parts.append(found)
    if closing:
        raise ValueFault(f"`{text}` has no closing brace")
    return "".join(parts), at


def _variable(text: str, at: int, variables: Mapping[str, str]) -> tuple[str, int]:
    if text.startswith("$", at):
        return "$", at + 1
    if not text.startswith("{", at):
        match = _NAME.match(text, at)
        if match is None:
            return "$", at  # As compose has it: `^a$` is a pattern more often than a mistake.
        return variables.get(match[0], ""), match.end()
    match = _NAME.match(text, at + 1)
    if match is None:
        raise ValueFault(f"`{text}` has braces without a name")
    name, at = match[0], match.end()
    value = variables.get(name)
    if text.startswith("}", at):
        return value or "", at + 1
    operator = _OPERATOR.match(text, at)
    if operator is None:
        raise ValueFault(f"`{text[match.start() - 2 :]}` has no form that is known")
    word, end = _until(text, operator.end(), variables, closing="}")
    is_there = bool(value) if operator[0].startswith(":") else value is not None
    if operator[0].endswith("+"):
        return word if is_there else "", end + 1
    if is_there:
        return value or "", end + 1
    if operator[0].endswith("?"):
        raise ValueFault(f"the variable `{name}` has to be set" + (f": {word}" if word else ""))
    return word, end + 1


def read_environment_file(text: str, variables: Mapping[str, str]) -> dict[str, str]:
    """Read ``NAME=value`` lines; ``variables`` are what the values may refer to.

    Raises:
        ValueFault: a line says something else.
    """
    found: dict[str, str] = {}
    known = ChainMap(dict(variables), found)
    text = text.replace("\r\n", "\n")
    at = 0
    while at < len(text):
        start, end = at, _line_end(text, at)
        at = end + 1
        line = text[start:end]
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.match(line)
        if match is None:
            # The line itself is not shown: it may be of a file of secrets that was not meant.
            number = text.count("\n", 0, start) + 1
            raise ValueFault(f"its line {number} has to be `NAME=value`")
        name, rest = match.groups()
        if rest is None:
            if name in variables:
                found[name] = variables[name]
        elif rest[:1] in _QUOTES:
            opening = start + match.start(2)
            closing = _closing(text, opening)
            if closing is None:
                raise ValueFault(f"the value of `{name}` has no closing quote")
            found[name] = _quoted(text[opening], text[opening + 1 : closing], known)
            at = _line_end(text, closing) + 1
        else:
            bare = re.split(r"\s#", rest, maxsplit=1)[0].strip()
            found[name] = interpolate("" if bare.startswith("#") else bare, known)
    return found


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def _closing(text: str, opening: int) -> int | None:
    quote, at = text[opening], opening + 1
    while at < len(text):
        if text[at] == "\\" and quote == '"':
            at += 1
        elif text[at] == quote:
            return at
        at += 1
    return None


def _quoted(quote: str, inner: str, variables: Mapping[str, str]) -> str:
    if quote == "'":
        return inner
    unescaped = re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[0]), inner, flags=re.DOTALL)
    return interpolate(unescaped, variables)
