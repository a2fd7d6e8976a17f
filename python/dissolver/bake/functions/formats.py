"""``format`` and ``formatlist``: texts with verbs such as ``%s`` and ``%05.1f``."""

from __future__ import annotations

import re
from decimal import Decimal

from dissolver.bake.functions.table import NULLABLE, FunctionTable
from dissolver.bake.hcl.limits import refuse_larger
from dissolver.bake.hcl.values import (
    Value,
    ValueFault,
    to_boolean,
    to_integer,
    to_json,
    to_number,
    to_text,
)

TABLE = FunctionTable()
provide = TABLE.provide

_VERB = re.compile(
    r"%(?P<flags>[-+ #0]*)(?P<width>\d{1,4})?(?:\.(?P<precision>\d{1,4})?)?"
    r"(?:\[(?P<index>\d{1,3})\])?(?P<verb>[a-zA-Z%])"
)
_DIGITS = {"d": "d", "b": "b", "o": "o", "x": "x", "X": "X"}


@provide("format", "text", rest=NULLABLE)
def fill_in(pattern: str, *values: Value) -> Value:
    """Put values into a text."""
    used: set[int] = set()
    place = 0
    text, end = "", 0
    for match in _VERB.finditer(pattern):
        text += _between(pattern, end, match.start())
        end = match.end()
        if match["verb"] == "%":
            text += "%"
            continue
        place = int(match["index"]) - 1 if match["index"] else place
        if not 0 <= place < len(values):
            raise ValueFault(f"there is no value for `{match[0]}`")
        used.add(place)
        text += _written(match, values[place])
        refuse_larger(len(text))
        place += 1
    text += _between(pattern, end, len(pattern))
    if len(used) < len(values):
        raise ValueFault(f"there are {len(values)} values, and {len(used)} of them are used")
    return text


def _between(pattern: str, start: int, end: int) -> str:
    part = pattern[start:end]
    if "%" in part:
        raise ValueFault(f"`{part[part.index('%') :][:4]}` is no verb")
    return part


def _written(match: re.Match[str], value: Value) -> str:
    flags, verb = match["flags"], match["verb"]
    precision = None if match["precision"] is None else int(match["precision"])
    shown = _shown(verb, flags, precision, value)
    width = int(match["width"] or 0)
    if "-" in flags:
        return shown.ljust(width)
    if "0" in flags and verb in "dboxXeEfFgG":
        sign = shown[:1] if shown[:1] in ("-", "+", " ") else ""
        return sign + shown[len(sign) :].rjust(width - len(sign), "0")
    return shown.rjust(width)


def _shown(verb: str, flags: str, precision: int | None, value: Value) -> str:
    sign = "+" if "+" in flags else " " if " " in flags else ""
    if verb == "v":
        if "#" in flags or isinstance(value, list | dict) or value is None:
            return to_json(value)
        return to_text(value)
    if value is None:
        raise ValueFault(f"`%{verb}` has no form for null")
    if verb == "t":
        return to_text(to_boolean(value))
    if verb in _DIGITS:
        return format(to_integer(value), sign + _DIGITS[verb])
    if verb in "eEfFgG":
        digits = 6 if precision is None and verb not in "gG" else precision
        spread = "" if digits is None else f".{digits}"
        return format(Decimal(to_number(value)), f"{sign}{spread}{verb}")
    if verb in "sq":
        text = to_text(value) if precision is None else to_text(value)[:precision]
        return to_json(text) if verb == "q" else text
    raise ValueFault(f"`%{verb}` is no verb")


@provide("formatlist", "text", rest=NULLABLE)
def fill_in_each(pattern: str, *values: Value) -> Value:
    """Put the elements of lists into a text, those at the same place together."""
    lengths = {len(value) for value in values if isinstance(value, list)}
    if len(lengths) > 1:
        raise ValueFault("the lists are not of one length")
    count = lengths.pop() if lengths else 1
    texts: list[Value] = []
    size = 0
    for place in range(count):
        row = (value[place] if isinstance(value, list) else value for value in values)
        text = to_text(fill_in(pattern, *row))
        size += len(text)
        refuse_larger(size)
        texts.append(text)
    return texts
