"""Functions of numbers and booleans."""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import TYPE_CHECKING

from dissolver.bake.functions.table import FunctionTable
from dissolver.bake.hcl.evaluate import calculate
from dissolver.bake.hcl.values import PRECISION, Value, ValueFault, number

if TYPE_CHECKING:
    from collections.abc import Callable

Number = int | Decimal

_LARGEST_BITS = 4000
"""Somewhat more than the largest number has that there is."""

TABLE = FunctionTable()
provide = TABLE.provide


def _operation(name: str, operator: str) -> None:
    def apply(first: Number, second: Number) -> Value:
        return calculate(operator, first, second)

    provide(name, "number", "number")(apply)


for _name, _operator in (
    ("add", "+"),
    ("subtract", "-"),
    ("multiply", "*"),
    ("divide", "/"),
    ("modulo", "%"),
    ("greaterthan", ">"),
    ("greaterthanorequalto", ">="),
    ("lessthan", "<"),
    ("lessthanorequalto", "<="),
):
    _operation(_name, _operator)


@provide("absolute", "number")
def absolute(value: Number) -> Value:
    """Give the number without its sign."""
    return value.copy_abs() if isinstance(value, Decimal) else abs(value)


@provide("negate", "number")
def negate(value: Number) -> Value:
    """Give the number with the other sign."""
    return value.copy_negate() if isinstance(value, Decimal) else -value


@provide("signum", "integer")
def signum(value: int) -> Value:
    """Give -1, 0 or 1."""
    return (value > 0) - (value < 0)


@provide("ceil", "number")
def ceil(value: Number) -> Value:
    """Give the next whole number that is not smaller."""
    return int(Decimal(value).to_integral_value(ROUND_CEILING))


@provide("floor", "number")
def floor(value: Number) -> Value:
    """Give the next whole number that is not larger."""
    return int(Decimal(value).to_integral_value(ROUND_FLOOR))


@provide("int", "number")
def whole(value: Number) -> Value:
    """Leave out the fraction."""
    return int(value)


@provide("log", "number", "number")
def log(value: Number, base: Number) -> Value:
    """Give the logarithm to a base."""
    return _real(lambda: math.log(value) / math.log(base))


@provide("pow", "number", "number")
def power(value: Number, exponent: Number) -> Value:
    """Raise a number to a power."""
    if isinstance(value, int) and isinstance(exponent, int) and 0 <= exponent <= 1000:
        if value.bit_length() * exponent > _LARGEST_BITS:
            raise ValueFault("this number is too large")
        return number(Decimal(value**exponent)) if value else value**exponent
    return _real(lambda: PRECISION.power(Decimal(value), Decimal(exponent)))


def _real(result: Callable[[], float | Decimal]) -> Value:
    try:
        return number(Decimal(repr(found)) if isinstance(found := result(), float) else found)
    except (ArithmeticError, ValueError):
        raise ValueFault("there is no such number") from None


@provide("max", "number", rest="number")
def largest(*values: Number) -> Value:
    """Give the largest number."""
    return max(values)


@provide("min", "number", rest="number")
def smallest(*values: Number) -> Value:
    """Give the smallest number."""
    return min(values)


@provide("parseint", "text", "integer")
def parse_integer(text: str, base: int) -> Value:
    """Read a whole number that is written to a base."""
    if not 2 <= base <= 62:
        raise ValueFault(f"the base has to be from 2 to 62, not {base}")
    digits = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"[:base]
    sign, bare = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    shown = bare.lower() if base <= 36 else bare
    if not shown or any(character not in digits for character in shown):
        raise ValueFault(f"`{text}` is no number to the base {base}")
    result = 0
    for character in shown:
        result = result * base + digits.index(character)
        if result.bit_length() > _LARGEST_BITS:
            raise ValueFault("this number is too large")
    return sign * number(Decimal(result))


@provide("and", "boolean", "boolean")
def both(first: bool, second: bool) -> Value:
    """Tell whether both are true."""
    return first and second


@provide("or", "boolean", "boolean")
def either(first: bool, second: bool) -> Value:
    """Tell whether one is true."""
    return first or second


@provide("not", "boolean")
def opposite(value: bool) -> Value:
    """Give the other boolean."""
    return not value
