"""From an expression to its value."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING

from dissolver.bake.hcl import ast
from dissolver.bake.hcl.limits import Work
from dissolver.bake.hcl.values import (
    PRECISION,
    Lazy,
    Value,
    ValueFault,
    is_equal,
    kind_of,
    number,
    to_boolean,
    to_integer,
    to_number,
    to_text,
    unified,
)
from dissolver.errors import BakeFileError

if TYPE_CHECKING:
    from dissolver.bake.hcl.source import Span

Function = Callable[[Sequence[Value]], Value]
"""What a call does with its arguments; it raises ``ValueFault``."""

LookUp = Callable[[str, "Span"], Value]
Find = Callable[[str, "Span"], Function]


@dataclass(frozen=True)
class Scope:
    """What names mean: those of ``own``, then what ``look_up`` finds; ``find`` has functions.

    ``work`` counts what all expressions of it take.
    """

    look_up: LookUp
    find: Find
    own: Mapping[str, Value] = field(default_factory=dict)
    work: Work = field(default_factory=Work)

    def with_names(self, names: Mapping[str, Value]) -> Scope:
        """Give a scope in which some more names mean something."""
        return replace(self, own={**self.own, **names})


@contextmanager
def told_at(span: Span) -> Iterator[None]:
    """Tell the fault of a value at ``span``."""
    try:
        yield
    except ValueFault as fault:
        raise span.fault(str(fault)) from None


def evaluate(expression: ast.Expression, scope: Scope) -> Value:
    """Answer the value of an expression.

    Raises:
        BakeFileError: it has none; the place is that of the part that has none.
    """
    scope.work.add(1, expression.span)
    match expression:
        case ast.Literal():
            return expression.value
        case ast.Template():
            return _template(expression, scope)
        case ast.Variable():
            if expression.name in scope.own:
                return scope.own[expression.name]
            return scope.look_up(expression.name, expression.span)
        case ast.Attribute():
            value = evaluate(expression.of, scope)
            with told_at(expression.span):
                return _member(value, _key(expression.name))
        case ast.Index():
            value, key = evaluate(expression.of, scope), evaluate(expression.key, scope)
            with told_at(expression.span):
                return _member(value, key)
        case ast.Splat():
            return _splat(expression, scope)
        case ast.Call():
            return _call(expression, scope)
        case ast.Conditional():
            return _conditional(expression, scope)
        case ast.Binary():
            return _binary(expression, scope)
        case ast.Unary():
            value = evaluate(expression.operand, scope)
            with told_at(expression.span):
                if expression.operator == "!":
                    return not to_boolean(value)
                return calculate("-", 0, to_number(value))
        case ast.ListOf() | ast.ObjectOf() | ast.For():
            value = _collection(expression, scope)
            scope.work.add_value(value, expression.span)
            return value


def _collection(expression: ast.ListOf | ast.ObjectOf | ast.For, scope: Scope) -> Value:
    match expression:
        case ast.ListOf():
            return [evaluate(item, scope) for item in expression.items]
        case ast.ObjectOf():
            return {
                _text_key(key, scope): evaluate(value, scope) for key, value in expression.items
            }
        case ast.For():
            return _for(expression, scope)


def _text_key(key: ast.Expression, scope: Scope) -> str:
    value = evaluate(key, scope)
    with told_at(key.span):
        return to_text(value)


def _key(name: str) -> Value:
    return int(name) if name.isdecimal() else name


def _member(value: Value, key: Value) -> Value:
    """Take an element of a list, or an attribute of an object."""
    if isinstance(value, Lazy):
        return value.member(to_text(key))
    if isinstance(value, list):
        place = to_integer(key)
        if 0 <= place < len(value):
            return value[place]
        raise ValueFault(f"there is no element {place} in a list of {len(value)}")
    if isinstance(value, dict):
        name = to_text(key)
        if name in value:
            return value[name]
        names = ", ".join(f"`{one}`" for one in sorted(value)) or "none"
        raise ValueFault(f"there is no attribute `{name}`; there is {names}")
    raise ValueFault(f"{kind_of(value)} has no attributes and elements")


def _splat(splat: ast.Splat, scope: Scope) -> Value:
    value = evaluate(splat.of, scope)
    if value is None:
        return []
    items = value if isinstance(value, list) else [value]
    each: Value = [evaluate(splat.each, scope.with_names({splat.item: item})) for item in items]
    scope.work.add_value(each, splat.span)
    return each


# Texts -----------------------------------------------------------------------------


def _template(template: ast.Template, scope: Scope) -> Value:
    if len(template.parts) == 1:
        (only,) = template.parts
        if not isinstance(only, str | ast.TemplateIf | ast.TemplateFor):
            return evaluate(only, scope)
    text = "".join(_part(part, scope) for part in template.parts)
    scope.work.add_value(text, template.span)
    return text


def _part(part: ast.TemplatePart, scope: Scope) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, ast.TemplateIf):
        condition = evaluate(part.condition, scope)
        with told_at(part.span):
            chosen = part.then if to_boolean(condition) else part.otherwise
        return str(_template(chosen, scope))
    if isinstance(part, ast.TemplateFor):
        texts = []
        for key, value in _elements(part.collection, scope):
            names = {part.value: value} | ({} if part.key is None else {part.key: key})
            texts.append(str(_template(part.body, scope.with_names(names))))
        return "".join(texts)
    value = evaluate(part, scope)
    with told_at(part.span):
        if value is None:
            raise ValueFault("`null` cannot be put into a text")
        return to_text(value)


# Operations ----------------------------------------------------------------------


def _conditional(given: ast.Conditional, scope: Scope) -> Value:
    condition = evaluate(given.condition, scope)
    with told_at(given.condition.span):
        is_true = to_boolean(condition)
    chosen, other = (given.then, given.otherwise) if is_true else (given.otherwise, given.then)
    value = evaluate(chosen, scope)
    # The other one counts for its kind alone; it may well have no value.
    try:
        counterpart = evaluate(other, scope)
    except BakeFileError:
        return value
    if kind_of(value) == kind_of(counterpart):
        return value
    with told_at(given.span):
        return unified([value, counterpart])[0]


def _binary(given: ast.Binary, scope: Scope) -> Value:
    left = evaluate(given.left, scope)
    operator = given.operator
    if operator in ("&&", "||"):
        with told_at(given.left.span):
            is_left = to_boolean(left)
        if is_left == (operator == "||"):
            return is_left
        right = evaluate(given.right, scope)
        with told_at(given.right.span):
            return to_boolean(right)
    right = evaluate(given.right, scope)
    if operator in ("==", "!="):
        for operand, side in ((left, given.left), (right, given.right)):
            scope.work.add_value(operand, side.span)
        return is_equal(left, right) == (operator == "==")
    with told_at(given.left.span):
        first = to_number(left)
    with told_at(given.right.span):
        second = to_number(right)
    with told_at(given.span):
        return calculate(operator, first, second)


def calculate(operator: str, first: int | Decimal, second: int | Decimal) -> Value:
    """Apply an operator to two numbers.

    Raises:
        ValueFault: there is no result.
    """
    match operator:
        case "<":
            return first < second
        case ">":
            return first > second
        case "<=":
            return first <= second
        case ">=":
            return first >= second
    left, right = Decimal(first), Decimal(second)
    if operator in ("/", "%") and not right:
        raise ValueFault("a division by zero has no result")
    if isinstance(first, int) and isinstance(second, int) and operator in "+-*":
        whole = {"+": first + second, "-": first - second, "*": first * second}[operator]
        number(Decimal(whole))  # refuses one that is too large
        return whole
    result = {
        "+": PRECISION.add,
        "-": PRECISION.subtract,
        "*": PRECISION.multiply,
        "/": PRECISION.divide,
        "%": PRECISION.remainder,
    }[operator](left, right)
    return number(result)


# Collections ----------------------------------------------------------------------


def _elements(collection: ast.Expression, scope: Scope) -> list[tuple[Value, Value]]:
    value = evaluate(collection, scope)
    if isinstance(value, list):
        return list(enumerate(value))
    if isinstance(value, dict):
        return [(key, value[key]) for key in sorted(value)]
    raise collection.span.fault(f"a list or an object is needed here, not {kind_of(value)}")


def _for(given: ast.For, scope: Scope) -> Value:
    listed: list[Value] = []
    mapped: dict[str, Value] = {}
    for key, value in _elements(given.collection, scope):
        names = {given.value: value} | ({} if given.key is None else {given.key: key})
        inner = scope.with_names(names)
        if given.condition is not None:
            condition = evaluate(given.condition, inner)
            with told_at(given.condition.span):
                if not to_boolean(condition):
                    continue
        result = evaluate(given.result, inner)
        if given.result_key is None:
            listed.append(result)
        else:
            _put(mapped, given, _text_key(given.result_key, inner), result)
    return listed if given.result_key is None else mapped


def _put(mapped: dict[str, Value], given: ast.For, key: str, result: Value) -> None:
    if given.groups:
        group = mapped.setdefault(key, [])
        assert isinstance(group, list)  # noqa: S101 - nothing else is ever put there
        group.append(result)
    elif key in mapped:
        raise given.span.fault(
            f"two elements come to the key `{key}`",
            hint="`...` behind the result makes lists of those with the same key",
        )
    else:
        mapped[key] = result


# Calls ------------------------------------------------------------------------------


def _call(call: ast.Call, scope: Scope) -> Value:
    if call.name in ("try", "can"):
        return _attempt(call, scope)
    if call.name == "convert":
        return _convert(call, scope)
    function = scope.find(call.name, call.span)
    arguments = [evaluate(argument, scope) for argument in call.arguments]
    if call.expands:
        last = arguments.pop()
        if not isinstance(last, list):
            span = call.arguments[-1].span
            raise span.fault(f"a list is needed before `...`, not {kind_of(last)}")
        arguments += last
    for argument in arguments:
        scope.work.add_value(argument, call.span)
    try:
        value = function(arguments)
    except ValueFault as fault:
        raise call.span.fault(f"`{call.name}`: {fault}") from None
    scope.work.add_value(value, call.span)
    return value


def _attempt(call: ast.Call, scope: Scope) -> Value:
    """Take the first argument that has a value, or tell whether the only one has."""
    if not call.arguments:
        raise call.span.fault(f"`{call.name}` takes an argument")
    if call.name == "can" and len(call.arguments) != 1:
        raise call.span.fault("`can` takes one argument")
    for argument in call.arguments:
        try:
            value = evaluate(argument, scope)
        except BakeFileError:
            continue
        return True if call.name == "can" else value
    if call.name == "can":
        return False
    raise call.span.fault("`try`: none of these has a value")


def _convert(call: ast.Call, scope: Scope) -> Value:
    from dissolver.bake.hcl.types import fit, read_type

    if len(call.arguments) != 2:
        raise call.span.fault("`convert` takes a value and a type")
    value = evaluate(call.arguments[0], scope)
    wanted = read_type(call.arguments[1], lambda default: evaluate(default, scope))
    with told_at(call.span):
        return fit(value, wanted)
