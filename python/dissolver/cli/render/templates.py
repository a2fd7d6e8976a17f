"""The part of Go's template language that ``--format`` takes.

Fields (``{{.ID}}``, ``{{.State.Status}}``), pipelines, variables, ``range``,
``if``, ``with``, ``else`` and the functions in ``template_functions``. Values are
those of JSON. A template is compiled once and rendered for each row.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from dissolver.cli.render.template_functions import FUNCTIONS, go_text, is_true
from dissolver.errors import DissolverError

Value: TypeAlias = object
Scope: TypeAlias = dict[str, Value]
Node: TypeAlias = Callable[[Value, Scope], str]
Operand: TypeAlias = Callable[[Value, Scope], Value]


class BadTemplate(DissolverError):
    """A ``--format`` that cannot be read, or asks for what is not there."""


_ACTION = re.compile(r"\{\{(-\s)?\s*(.*?)\s*(\s-)?\}\}", re.DOTALL)
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<text>"(?:[^"\\]|\\.)*"|`[^`]*`)
      | (?P<number>-?\d+(?:\.\d+)?)
      | (?P<declare>:=)
      | (?P<sign>[|(),])
      | (?P<field>\$?\w*(?:\.\w+)+|\$\w*|\.)
      | (?P<word>\w+)
    )""",
    re.VERBOSE,
)


@dataclass
class _Tokens:
    """The words of one action, and how far they were read."""

    action: str
    words: list[tuple[str, str]] = field(default_factory=list)
    at: int = 0

    def peek(self) -> tuple[str, str]:
        return self.words[self.at] if self.at < len(self.words) else ("end", "")

    def take(self) -> tuple[str, str]:
        token = self.peek()
        self.at += 1
        return token


def compile_template(text: str) -> Callable[[Value], str]:
    """Read a template; the result renders one value.

    A backslash followed by ``t`` or ``n`` stands for a tab or a line end.

    Raises:
        BadTemplate: at once for a mistake in the template, and while rendering
            for a field that the value does not have.
    """
    pieces = _pieces(text.replace("\\t", "\t").replace("\\n", "\n"))
    nodes, stopped_by = _parse(pieces)
    if stopped_by:
        raise BadTemplate(f"unexpected `{stopped_by}` in the format")
    return lambda value: _run(nodes, value, {"$": value})


def fields_of(text: str) -> list[str]:
    """List the top-level fields that a template names, in order, for table headers."""
    return [
        word.split(".")[1]
        for _, action, _ in _ACTION.findall(text)
        for kind, word in _tokens(action).words
        if kind == "field" and word.startswith(".") and len(word) > 1
    ]


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    trims = False
    for match in _ACTION.finditer(text):
        literal = text[at : match.start()]
        literal = literal.lstrip() if trims else literal
        yield "literal", literal.rstrip() if match[1] else literal
        if not match[2].startswith("/*"):
            yield "action", match[2]
        trims = bool(match[3])
        at = match.end()
    rest = text[at:]
    if "{{" in rest:
        raise BadTemplate("an action of the format has no `}}`")
    yield "literal", rest.lstrip() if trims else rest


def _tokens(action: str) -> _Tokens:
    tokens = _Tokens(action)
    at = 0
    while at < len(action.rstrip()):
        match = _TOKEN.match(action, at)
        if match is None or match.lastgroup is None:
            raise BadTemplate(f"cannot read `{{{{{action}}}}}` in the format")
        kind = match.lastgroup
        follows = at > 0 and action[at - 1] == ")" and match.start(kind) == at
        if kind == "field" and follows and match[kind].startswith("."):
            kind = "member"
        tokens.words.append((kind, match[match.lastgroup]))
        at = match.end()
    return tokens


def _run(nodes: list[Node], value: Value, scope: Scope) -> str:
    return "".join(node(value, scope) for node in nodes)


def _parse(pieces: Iterator[tuple[str, str]]) -> tuple[list[Node], str]:
    """Read up to the end or an ``else`` or ``end``, whose action is returned."""
    nodes: list[Node] = []
    for kind, text in pieces:
        if kind == "literal":
            nodes.append(_literal(text))
            continue
        keyword = text.split(None, 1)[0] if text else ""
        if keyword in ("end", "else"):
            return nodes, text
        if keyword in ("if", "range", "with"):
            nodes.append(_block(keyword, text.removeprefix(keyword), pieces))
        else:
            nodes.append(_action(text))
    return nodes, ""


def _literal(text: str) -> Node:
    return lambda _value, _scope: text


def _action(text: str) -> Node:
    tokens = _tokens(text)
    names = _declared(tokens)
    operand = _whole(tokens)
    if not names:
        return lambda value, scope: go_text(operand(value, scope))

    def assign(value: Value, scope: Scope) -> str:
        scope[names[-1]] = operand(value, scope)
        return ""

    return assign


def _declared(tokens: _Tokens) -> list[str]:
    """Read ``$a :=`` or ``$a, $b :=`` at the start of an action."""
    signs = [index for index, (kind, _) in enumerate(tokens.words) if kind == "declare"]
    if not signs:
        return []
    names = [word for kind, word in tokens.words[: signs[0]] if kind == "field"]
    tokens.at = signs[0] + 1
    return names


def _block(keyword: str, text: str, pieces: Iterator[tuple[str, str]]) -> Node:
    tokens = _tokens(text)
    names = _declared(tokens)
    operand = _whole(tokens)
    body, stopped_by = _parse(pieces)
    otherwise: list[Node] = []
    if stopped_by.startswith("else"):
        further = stopped_by.removeprefix("else").strip()
        if further.startswith("if"):
            # The chain shares one `end`: the inner block reads it.
            otherwise = [_block("if", further.removeprefix("if"), pieces)]
            stopped_by = "end"
        else:
            otherwise, stopped_by = _parse(pieces)
    if stopped_by != "end":
        raise BadTemplate(f"`{{{{{keyword}{text}}}}}` in the format has no `{{{{end}}}}`")
    if keyword == "range":
        return _range(operand, names, body, otherwise)

    def choose(value: Value, scope: Scope) -> str:
        found = operand(value, scope)
        inner = dict(scope, **dict.fromkeys(names, found)) if names else scope
        if not is_true(found):
            return _run(otherwise, value, scope)
        return _run(body, found if keyword == "with" else value, inner)

    return choose


def _range(operand: Operand, names: list[str], body: list[Node], otherwise: list[Node]) -> Node:
    def repeat(value: Value, scope: Scope) -> str:
        found = operand(value, scope)
        pairs: list[tuple[Value, Value]]
        if isinstance(found, dict):
            pairs = sorted(found.items(), key=lambda pair: str(pair[0]))
        elif isinstance(found, (list, tuple)):
            pairs = list(enumerate(found))
        elif found is None:
            pairs = []
        else:
            raise BadTemplate(f"cannot range over `{go_text(found)}`")
        if not pairs:
            return _run(otherwise, value, scope)
        text = ""
        for key, item in pairs:
            inner = dict(scope)
            if names:
                inner[names[-1]] = item
            if len(names) == 2:
                inner[names[0]] = key
            text += _run(body, item, inner)
        return text

    return repeat


def _whole(tokens: _Tokens) -> Operand:
    operand = _pipeline(tokens)
    kind, word = tokens.peek()
    if kind != "end":
        raise BadTemplate(f"unexpected `{word}` in `{{{{{tokens.action}}}}}` of the format")
    return operand


def _pipeline(tokens: _Tokens) -> Operand:
    current = _command(tokens, None)
    while tokens.peek() == ("sign", "|"):
        tokens.take()
        current = _command(tokens, current)
    return current


def _command(tokens: _Tokens, piped: Operand | None) -> Operand:
    kind, word = tokens.peek()
    if kind == "word" and word not in ("true", "false", "nil"):
        tokens.take()
        function = FUNCTIONS.get(word)
        if function is None:
            raise BadTemplate(
                f"unknown function `{word}` in the format",
                hint="the functions are " + ", ".join(f"`{name}`" for name in FUNCTIONS),
            )
        arguments = []
        while tokens.peek()[0] != "end" and tokens.peek() not in (("sign", "|"), ("sign", ")")):
            arguments.append(_operand(tokens))
        return _call(word, function, [*arguments, piped] if piped else arguments)
    if piped is not None:
        raise BadTemplate(f"`{word}` after `|` in the format is not a function")
    return _operand(tokens)


def _call(name: str, function: Callable[..., Value], arguments: list[Operand]) -> Operand:
    def call(value: Value, scope: Scope) -> Value:
        given = [argument(value, scope) for argument in arguments]
        try:
            return function(*given)
        except (TypeError, ValueError, IndexError, AttributeError) as error:
            raise BadTemplate(f"`{name}` in the format: {error}") from error

    return call


def _operand(tokens: _Tokens) -> Operand:
    kind, word = tokens.take()
    if kind == "text":
        return _constant(word[1:-1] if word[0] == "`" else _unquoted(word))
    if kind == "number":
        return _constant(float(word) if "." in word else int(word))
    if kind == "word" and word in ("true", "false", "nil"):
        return _constant({"true": True, "false": False}.get(word))
    if kind == "field":
        return _field(word)
    if (kind, word) == ("sign", "("):
        inner = _pipeline(tokens)
        if tokens.take() != ("sign", ")"):
            raise BadTemplate(f"`(` without `)` in `{{{{{tokens.action}}}}}` of the format")
        if tokens.peek()[0] == "member":
            return _members(inner, tokens.take()[1])
        return inner
    shown = word or "}}"
    raise BadTemplate(f"unexpected `{shown}` in `{{{{{tokens.action}}}}}` of the format")


def _unquoted(word: str) -> str:
    import ast

    return str(ast.literal_eval(word))


def _constant(constant: Value) -> Operand:
    return lambda _value, _scope: constant


def _field(word: str) -> Operand:
    variable, _, rest = word.partition(".")

    def start(value: Value, scope: Scope) -> Value:
        if not variable:
            return value
        if variable not in scope:
            raise BadTemplate(f"undefined variable `{variable}` in the format")
        return scope[variable]

    return _members(start, rest)


def _members(operand: Operand, word: str) -> Operand:
    names = [name for name in word.split(".") if name]

    def look_up(value: Value, scope: Scope) -> Value:
        found = operand(value, scope)
        for name in names:
            found = _member(found, name)
        return found

    return look_up


def _member(value: Value, name: str) -> Value:
    if isinstance(value, dict):
        if name in value:
            found: Value = value[name]
            return found
        raise BadTemplate(
            f"the format asks for `.{name}`, which is not there",
            hint="the fields are " + ", ".join(f"`.{key}`" for key in list(value)[:40])
            if value
            else None,
        )
    raise BadTemplate(f"the format asks for `.{name}` of `{go_text(value)}`, which has no fields")
