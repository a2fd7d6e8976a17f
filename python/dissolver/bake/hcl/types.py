"""Types that variables are declared with, and values made to fit them.

See https://github.com/hashicorp/hcl/blob/main/ext/typeexpr/README.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from dissolver.bake.hcl import ast
from dissolver.bake.hcl.values import (
    Value,
    ValueFault,
    as_set,
    kind_of,
    to_boolean,
    to_list,
    to_number,
    to_object,
    to_text,
)

_SIMPLE: Mapping[str, Callable[[Value], Value]] = {
    "string": to_text,
    "number": to_number,
    "bool": to_boolean,
}
_COLLECTIONS = ("list", "set", "map")
_BOOLEANS = {"true": True, "t": True, "false": False, "f": False}
_HINT = "types are `string`, `number`, `bool`, `any`, `list(…)`, `set(…)`, `map(…)`, `object({…})`"


@dataclass(frozen=True, slots=True)
class Type:
    """A type: its name, what its elements are, or what its attributes are."""

    name: str
    element: Type | None = None
    elements: tuple[Type, ...] = ()
    attributes: Mapping[str, Type] = field(default_factory=dict)
    optional: Mapping[str, Value] = field(default_factory=dict)

    @property
    def is_simple(self) -> bool:
        """Whether a text alone can say a value of it."""
        return self.name in _SIMPLE or self.name == "any"

    @property
    def is_listed(self) -> bool:
        """Whether a line of comma-separated values can say one."""
        is_list = self.name in ("list", "set")
        return is_list and self.element is not None and self.element.is_simple

    def __str__(self) -> str:
        if self.element is not None:
            return f"{self.name}({self.element})"
        if self.name == "tuple":
            return f"tuple([{', '.join(map(str, self.elements))}])"
        if self.name == "object":
            return f"object({{{', '.join(f'{k}={v}' for k, v in self.attributes.items())}}})"
        return self.name


def read_type(expression: ast.Expression, evaluate: Callable[[ast.Expression], Value]) -> Type:
    """Read the type that an expression says; ``evaluate`` gives the defaults of attributes.

    Raises:
        BakeFileError: it says none.
    """
    if isinstance(expression, ast.Variable):
        if expression.name in (*_SIMPLE, "any"):
            return Type(expression.name)
        raise expression.span.fault(f"`{expression.name}` is no type", hint=_HINT)
    if not isinstance(expression, ast.Call):
        raise expression.span.fault("this is no type", hint=_HINT)
    if len(expression.arguments) != 1:
        raise expression.span.fault(f"`{expression.name}` takes one argument", hint=_HINT)
    (argument,) = expression.arguments
    if expression.name in _COLLECTIONS:
        return Type(expression.name, element=read_type(argument, evaluate))
    if expression.name == "tuple" and isinstance(argument, ast.ListOf):
        return Type("tuple", elements=tuple(read_type(i, evaluate) for i in argument.items))
    if expression.name == "object" and isinstance(argument, ast.ObjectOf):
        return _object(argument, evaluate)
    raise expression.span.fault(f"`{expression.name}` is no type", hint=_HINT)


def _object(given: ast.ObjectOf, evaluate: Callable[[ast.Expression], Value]) -> Type:
    attributes: dict[str, Type] = {}
    optional: dict[str, Value] = {}
    for key, value in given.items:
        name = _name(key)
        if isinstance(value, ast.Call) and value.name == "optional":
            if not 1 <= len(value.arguments) <= 2:
                raise value.span.fault("`optional` takes a type and perhaps a default")
            inner, *defaults = value.arguments
            attributes[name] = read_type(inner, evaluate)
            optional[name] = evaluate(defaults[0]) if defaults else None
        else:
            attributes[name] = read_type(value, evaluate)
    return Type("object", attributes=attributes, optional=optional)


def _name(key: ast.Expression) -> str:
    if isinstance(key, ast.Literal) and isinstance(key.value, str):
        return key.value
    raise key.span.fault("the name of an attribute has to be a plain word")


def fit(value: Value, wanted: Type) -> Value:
    """Make a value fit a type.

    Raises:
        ValueFault: it does not.
    """
    if value is None or wanted.name == "any":
        return value
    if wanted.name in _SIMPLE:
        return _SIMPLE[wanted.name](value)
    if wanted.name == "tuple":
        return _tuple(to_list(value), wanted)
    if wanted.name == "object":
        return _attributes(to_object(value), wanted)
    element = wanted.element or Type("any")
    if wanted.name == "map":
        return {key: fit(item, element) for key, item in to_object(value).items()}
    items = [fit(item, element) for item in to_list(value)]
    return as_set(items) if wanted.name == "set" else items


def _tuple(values: list[Value], wanted: Type) -> Value:
    if len(values) != len(wanted.elements):
        fault = f"{len(wanted.elements)} elements are needed here, not {len(values)}"
        raise ValueFault(fault)
    return [fit(value, element) for value, element in zip(values, wanted.elements, strict=True)]


def _attributes(values: dict[str, Value], wanted: Type) -> Value:
    fitted: dict[str, Value] = {}
    for name, kind in wanted.attributes.items():
        value = values.get(name)
        if name not in values and name not in wanted.optional:
            raise ValueFault(f"the attribute `{name}` is missing")
        fitted[name] = fit(wanted.optional.get(name) if value is None else value, kind)
    return fitted


def from_text(text: str, wanted: Type | None, default: Value) -> Value:
    """Read what an environment variable says, for a variable of a type or with a default.

    Lists are comma-separated values. Without a type, the kind of the default counts.

    Raises:
        ValueFault: it does not fit, or would have to be JSON.
    """
    if wanted is None:
        if isinstance(default, bool):
            return to_boolean(_BOOLEANS.get(text.strip().lower(), text))
        if isinstance(default, list | dict):
            raise ValueFault(
                f"{kind_of(default)} cannot be said in a variable without a declared type"
            )
        if isinstance(default, str) or default is None:
            return text
        return to_number(text.strip())
    if wanted.is_simple:
        known = _BOOLEANS.get(text.strip().lower()) if wanted.name == "bool" else None
        return fit(text if known is None else known, wanted)
    if wanted.is_listed:
        return fit(_listed(text), wanted)
    raise ValueFault(f"`{wanted}` has to be said as JSON")


def _listed(text: str) -> Value:
    import csv

    if not text:
        return []
    try:
        rows = list(csv.reader([text], strict=True))
    except csv.Error:
        raise ValueFault(f"`{text}` cannot be cut at its commas") from None
    return [item for row in rows for item in row]
