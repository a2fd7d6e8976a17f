"""Functions of lists, sets and objects."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from dissolver.bake.functions.table import NULLABLE, FunctionTable
from dissolver.bake.hcl.limits import refuse_larger
from dissolver.bake.hcl.values import (
    Value,
    ValueFault,
    as_set,
    distinction,
    is_equal,
    kind_of,
    to_integer,
    to_list,
    to_text,
)
from dissolver.bake.hcl.values import distinct as without_doubles

if TYPE_CHECKING:
    from decimal import Decimal

Items = list[Value]

TABLE = FunctionTable()
provide = TABLE.provide

_LARGEST_LIST = 100_000


@provide("equal", NULLABLE, NULLABLE)
def equal(first: Value, second: Value) -> Value:
    """Tell whether two values are the same."""
    return is_equal(first, second)


@provide("notequal", NULLABLE, NULLABLE)
def not_equal(first: Value, second: Value) -> Value:
    """Tell whether two values differ."""
    return not is_equal(first, second)


@provide("coalesce", NULLABLE, rest=NULLABLE)
def coalesce(*values: Value) -> Value:
    """Give the first value that is not null."""
    for value in values:
        if value is not None:
            return value
    raise ValueFault("all of them are null")


@provide("coalescelist", NULLABLE, rest=NULLABLE)
def coalesce_list(*values: Value) -> Value:
    """Give the first list that is not empty."""
    for value in values:
        if value:
            return to_list(value)
    raise ValueFault("all of them are empty")


@provide("length", "any")
def length(value: Value) -> Value:
    """Count the elements."""
    if isinstance(value, list | dict | str):
        return len(value)
    raise ValueFault(f"{kind_of(value)} has no length")


@provide("keys", "object")
def keys(value: dict[str, Value]) -> Value:
    """List the keys, in order."""
    return [*sorted(value)]


@provide("values", "object")
def values(value: dict[str, Value]) -> Value:
    """List the values, in the order of their keys."""
    return [value[key] for key in sorted(value)]


@provide("lookup", "object", "text", rest=NULLABLE)
def lookup(value: dict[str, Value], key: str, *default: Value) -> Value:
    """Give the value of a key, or else a default."""
    if key in value:
        return value[key]
    if len(default) != 1:
        raise ValueFault(f"there is no `{key}`, and no default")
    return default[0]


@provide("merge", rest=NULLABLE)
def merge(*objects: Value) -> Value:
    """Put objects together; the last value of a key counts."""
    merged: dict[str, Value] = {}
    for value in objects:
        if isinstance(value, dict):
            merged |= value
        elif value is not None:
            raise ValueFault(f"an object is needed here, not {kind_of(value)}")
    return merged


@provide("zipmap", "list", "list")
def zip_map(names: Items, items: Items) -> Value:
    """Make an object of a list of keys and one of values."""
    if len(names) != len(items):
        raise ValueFault(f"there are {len(names)} keys and {len(items)} values")
    return {to_text(name): item for name, item in zip(names, items, strict=True)}


@provide("contains", "list", "any")
def contains(items: Items, wanted: Value) -> Value:
    """Tell whether a list has a value."""
    return any(is_equal(item, wanted) for item in items)


@provide("index", "any", "any")
def index(value: Value, key: Value) -> Value:
    """Give an element of a list, or the value of a key."""
    if isinstance(value, dict):
        return lookup(value, to_text(key))
    items = to_list(value)
    place = to_integer(key)
    if not 0 <= place < len(items):
        raise ValueFault(f"there is no element {place} in a list of {len(items)}")
    return items[place]


@provide("hasindex", "any", "any")
def has_index(value: Value, key: Value) -> Value:
    """Tell whether ``index`` would have an answer."""
    try:
        index(value, key)
    except ValueFault:
        return False
    return True


@provide("indexof", "list", "any")
def index_of(items: Items, wanted: Value) -> Value:
    """Tell where in a list a value is."""
    for place, item in enumerate(items):
        if is_equal(item, wanted):
            return place
    raise ValueFault("the list does not have this value")


@provide("element", "list", "integer")
def element(items: Items, place: int) -> Value:
    """Give an element; behind the last one comes the first again."""
    if not items:
        raise ValueFault("the list is empty")
    return items[place % len(items)]


@provide("slice", "list", "integer", "integer")
def cut_out(items: Items, start: int, end: int) -> Value:
    """Take elements out of the middle."""
    if not 0 <= start <= end <= len(items):
        raise ValueFault(f"{start} to {end} is no part of a list of {len(items)}")
    return items[start:end]


@provide("concat", "list", rest="list")
def concat(*lists: Items) -> Value:
    """Put lists one behind the other."""
    return [item for items in lists for item in items]


@provide("flatten", "list")
def flatten(items: Items) -> Value:
    """Put the elements of lists within a list into its place."""
    flat: Items = []
    for item in items:
        flat += to_list(flatten(item)) if isinstance(item, list) else [item]
    return flat


@provide("distinct", "list")
def distinct(items: Items) -> Value:
    """Leave out the doubles."""
    return without_doubles(items)


@provide("compact", "list")
def compact(items: Items) -> Value:
    """Leave out the empty texts."""
    return [item for item in items if item is not None and to_text(item)]


@provide("sort", "list")
def sort(items: Items) -> Value:
    """Put texts in order."""
    return [*sorted(to_text(item) for item in items)]


@provide("reverselist", "list")
def reverse(items: Items) -> Value:
    """Begin with the last one."""
    return items[::-1]


@provide("chunklist", "list", "integer")
def chunks(items: Items, size: int) -> Value:
    """Cut a list into lists of a size; 0 leaves it whole."""
    if size < 0:
        raise ValueFault("the size cannot be negative")
    if not size:
        return [items] if items else []
    return [items[start : start + size] for start in range(0, len(items), size)]


@provide("range", "number", rest="number")
def numbers(*limits: int | Decimal) -> Value:
    """List numbers: up to a limit, between two, or with a step."""
    if len(limits) > 3:
        raise ValueFault(f"it takes 1 to 3 arguments, not {len(limits)}")
    start, end = (0, limits[0]) if len(limits) == 1 else limits[:2]
    step = limits[2] if len(limits) == 3 else (1 if start <= end else -1)
    if not step or (step > 0 and end < start) or (step < 0 and end > start):
        raise ValueFault(f"a step of {to_text(step)} never comes to the end")
    found: Items = []
    while (start < end) if step > 0 else (start > end):
        found.append(start)
        start += step
        if len(found) > _LARGEST_LIST:
            raise ValueFault(f"these are more than {_LARGEST_LIST} numbers")
    return found


# Sets ------------------------------------------------------------------------------


@provide("sethaselement", "list", "any")
def set_has(items: Items, wanted: Value) -> Value:
    """Tell whether a set has a value."""
    return contains(items, wanted)


@provide("setunion", "list", rest="list")
def union(*sets: Items) -> Value:
    """Give what one of the sets has."""
    return as_set([item for items in sets for item in items])


@provide("setintersection", "list", rest="list")
def intersection(first: Items, *others: Items) -> Value:
    """Give what all of the sets have."""
    others_have = [{distinction(item) for item in items} for items in others]
    return as_set(
        [item for item in first if all(distinction(item) in known for known in others_have)]
    )


@provide("setsubtract", "list", "list")
def subtraction(first: Items, second: Items) -> Value:
    """Give what the first set has and the second has not."""
    return as_set(_missing(first, second))


@provide("setsymmetricdifference", "list", rest="list")
def symmetric_difference(first: Items, *others: Items) -> Value:
    """Give what one of two sets has, and so on with further ones."""
    result = as_set(first)
    for other in others:
        result = as_set([*_missing(result, other), *_missing(other, result)])
    return result


def _missing(items: Items, others: Items) -> Items:
    known = {distinction(item) for item in others}
    return [item for item in items if distinction(item) not in known]


@provide("setproduct", "list", rest="list")
def combinations(*sets: Items) -> Value:
    """Give every choice of one element from each set."""
    count = 1
    for items in sets:
        count *= len(items)
        if count > _LARGEST_LIST:
            raise ValueFault(f"these are more than {_LARGEST_LIST} combinations")
    refuse_larger(count * len(sets))
    return [list(choice) for choice in product(*sets)]
