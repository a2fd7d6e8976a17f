"""All functions by their names, and how their arguments are checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from dissolver.bake.hcl.evaluate import Function
from dissolver.bake.hcl.values import (
    Value,
    ValueFault,
    kind_of,
    to_boolean,
    to_integer,
    to_list,
    to_number,
    to_object,
    to_text,
)

_KINDS: Mapping[str, Callable[[Value], Value]] = {
    "text": to_text,
    "number": to_number,
    "integer": to_integer,
    "boolean": to_boolean,
    "list": to_list,
    "object": to_object,
    "any": lambda value: value,
}
NULLABLE = "any or null"

UNSUPPORTED = {
    "bcrypt": "it needs a library for passwords, and makes another hash every time",
    "rsadecrypt": "it needs a library for keys",
}
"""Functions of buildx that are refused, and why."""


class FunctionTable(dict[str, Function]):
    """Functions of one area, which its module fills in."""

    def provide(
        self, name: str, *kinds: str, rest: str | None = None
    ) -> Callable[[Callable[..., Value]], Callable[..., Value]]:
        """Offer a function as ``name``, with arguments of ``kinds`` and any number of ``rest``."""

        def offer(function: Callable[..., Value]) -> Callable[..., Value]:
            self[name] = _checked(function, kinds, rest)
            return function

        return offer


def _checked(function: Callable[..., Value], kinds: Sequence[str], rest: str | None) -> Function:
    def call(arguments: Sequence[Value]) -> Value:
        count = len(arguments)
        if count < len(kinds) or (rest is None and count > len(kinds)):
            least = "at least " if rest is not None else ""
            plural = "" if len(kinds) == 1 else "s"
            raise ValueFault(f"it takes {least}{len(kinds)} argument{plural}, not {count}")
        wanted = [*kinds, *[rest or ""] * (count - len(kinds))]
        return function(*(_argument(i, kind, arguments[i]) for i, kind in enumerate(wanted)))

    return call


def _argument(index: int, kind: str, value: Value) -> Any:
    if kind == NULLABLE:
        return value
    if value is None:
        raise ValueFault(f"argument {index + 1} is null")
    try:
        return _KINDS[kind](value)
    except ValueFault as fault:
        if kind in ("list", "object"):
            wanted = "a list" if kind == "list" else "an object"
            raise ValueFault(f"argument {index + 1} is {kind_of(value)}, not {wanted}") from None
        raise ValueFault(f"argument {index + 1}: {fault}") from None


@cache
def standard_functions() -> Mapping[str, Function]:
    """Give all functions by their names."""
    from dissolver.bake.functions import (
        collections,
        encodings,
        formats,
        networks,
        numbers,
        texts,
        times,
        versions,
    )

    found: dict[str, Function] = {}
    for module in (collections, encodings, formats, networks, numbers, texts, times, versions):
        found |= module.TABLE
    return found
