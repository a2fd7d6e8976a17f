"""The values of expressions, and how one kind becomes another.

Texts are ``str``, numbers ``int`` or, with a fraction, ``Decimal``, and lists, tuples and
sets ``list``; maps and objects are ``dict``. A set has no doubles and is sorted.
See https://github.com/hashicorp/hcl/blob/main/spec.md#type-conversions-and-unification.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Any, TypeAlias

from dissolver.dockerfile.source import is_encodable

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

PRECISION = Context(prec=60)
"""Digits that calculations keep: more than any file shows."""

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\Z")
_LARGEST_EXPONENT = 1000


class ValueFault(Exception):
    """A value that does not fit; whoever knows the place tells it there."""


@dataclass(frozen=True)
class Lazy:
    """Something that has members and is no value itself, such as all targets.

    ``title`` is what messages call it.
    """

    title: str
    member: Callable[[str], Value]


Value: TypeAlias = "bool | int | Decimal | str | list[Value] | dict[str, Value] | Lazy | None"


def kind_of(value: Value) -> str:
    """Name the kind of a value, as messages do."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | Decimal):
        return "a number"
    if isinstance(value, str):
        return "a text"
    if isinstance(value, list):
        return "a list"
    return "an object" if isinstance(value, dict) else value.title


def number(value: Decimal) -> int | Decimal:
    """Give a number in its one form."""
    if not value.is_finite():
        raise ValueFault("this is no number that can be worked with")
    if value.adjusted() > _LARGEST_EXPONENT:
        raise ValueFault("this number is too large")
    if value and value.adjusted() < -_LARGEST_EXPONENT:
        raise ValueFault("this number is too small")
    return int(value) if value == value.to_integral_value() else value.normalize(PRECISION)


def to_text(value: Value) -> str:
    """Turn a value into a text.

    Raises:
        ValueFault: it is none, and no number or boolean.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | Decimal):
        return format(value, "f") if isinstance(value, Decimal) else str(value)
    raise ValueFault(f"a text is needed here, not {kind_of(value)}")


def to_number(value: Value) -> int | Decimal:
    """Turn a value into a number.

    Raises:
        ValueFault: it is none, and no text that says one.
    """
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and _NUMBER.match(value):
        return number(Decimal(value))
    shown = f"`{value}`" if isinstance(value, str) else kind_of(value)
    raise ValueFault(f"a number is needed here, not {shown}")


def to_integer(value: Value) -> int:
    """Turn a value into a whole number.

    Raises:
        ValueFault: it is none.
    """
    found = to_number(value)
    if isinstance(found, int):
        return found
    raise ValueFault(f"a whole number is needed here, not `{to_text(found)}`")


def to_boolean(value: Value) -> bool:
    """Turn a value into a boolean.

    Raises:
        ValueFault: it is none, and no text that says one.
    """
    if isinstance(value, bool):
        return value
    if value in ("true", "1"):
        return True
    if value in ("false", "0"):
        return False
    shown = f"`{value}`" if isinstance(value, str) else kind_of(value)
    raise ValueFault(f"`true` or `false` is needed here, not {shown}")


def to_list(value: Value) -> list[Value]:
    """Take a value for a list.

    Raises:
        ValueFault: it is none.
    """
    if isinstance(value, list):
        return value
    raise ValueFault(f"a list is needed here, not {kind_of(value)}")


def to_object(value: Value) -> dict[str, Value]:
    """Take a value for an object.

    Raises:
        ValueFault: it is none.
    """
    if isinstance(value, dict):
        return value
    raise ValueFault(f"an object is needed here, not {kind_of(value)}")


def distinction(value: Value) -> Hashable:
    """Give what tells a value from others; a text is never the same as a number."""
    if isinstance(value, bool):
        return bool, value
    if isinstance(value, list):
        return tuple(map(distinction, value))
    if isinstance(value, dict):
        return frozenset((key, distinction(item)) for key, item in value.items())
    return value


def is_equal(left: Value, right: Value) -> bool:
    """Tell whether two values are the same."""
    return distinction(left) == distinction(right)


def distinct(values: Sequence[Value]) -> list[Value]:
    """Leave out the doubles, the later ones."""
    found: dict[Hashable, Value] = {}
    for value in values:
        found.setdefault(distinction(value), value)
    return list(found.values())


def as_set(values: Sequence[Value]) -> list[Value]:
    """Make a set: no doubles, in an order of their own."""
    return sorted(distinct(values), key=_place)


def _place(value: Value) -> tuple[int, Any]:
    if isinstance(value, int | Decimal):
        return 0, value
    if isinstance(value, str):
        return 1, value
    return 2, to_json(value)


def unified(values: Sequence[Value]) -> list[Value]:
    """Give values one kind where a text stands beside numbers or booleans.

    Raises:
        ValueFault: they are of kinds that have nothing in common.
    """
    kinds = {kind_of(value) for value in values if value is not None}
    simple = {"a boolean", "a number", "a text"}
    if len(kinds) < 2:
        return list(values)
    if kinds <= simple and "a text" in kinds:
        return [None if value is None else to_text(value) for value in values]
    raise ValueFault(f"these are of different kinds: {' and '.join(sorted(kinds))}")


def to_json(value: Value, *, indent: int | None = None) -> str:
    """Write a value as JSON, the keys of objects in order."""

    def plain(item: Value) -> Any:
        if isinstance(item, Decimal):
            return float(item)
        if isinstance(item, list):
            return [plain(part) for part in item]
        if isinstance(item, dict):
            return {key: plain(item[key]) for key in sorted(item)}
        if isinstance(item, Lazy):
            raise ValueFault(f"{item.title} cannot be used as a value")
        return item

    separators = (",", ":") if indent is None else None
    return json.dumps(plain(value), ensure_ascii=False, indent=indent, separators=separators)


def from_json(text: str) -> Value:
    """Read JSON.

    Raises:
        ValueFault: it is none.
    """

    def plain(item: Any) -> Value:
        if isinstance(item, list):
            return [plain(part) for part in item]
        if isinstance(item, dict):
            return {key: plain(part) for key, part in item.items()}
        if isinstance(item, Decimal):
            return number(item)
        result: bool | int | str | None = item
        return result

    try:
        loaded = json.loads(text, parse_float=Decimal, parse_constant=_refused)
        if "\\u" in text and not is_encodable(json.dumps(loaded, ensure_ascii=False, default=str)):
            raise ValueFault("this is no JSON: a text in it has half a character")
        return plain(loaded)
    except json.JSONDecodeError as error:
        why = error.msg.lower().replace("'", "`")
        fault = f"this is no JSON: {why} at character {error.pos + 1}"
        raise ValueFault(fault) from None
    except (RecursionError, ValueError):
        raise ValueFault("this JSON has too long a number, or is nested too deeply") from None


def _refused(word: str) -> Value:
    raise ValueFault(f"this is no JSON: `{word}` is no number")
