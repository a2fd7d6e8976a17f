"""What can be said of a target: the attributes, their kinds, and how two of them go together.

See https://docs.docker.com/build/bake/reference/.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, TypeAlias

from dissolver.bake.entries import Entry, merged_attestations, read_entries, without_doubles
from dissolver.bake.hcl.values import (
    Value,
    ValueFault,
    kind_of,
    to_boolean,
    to_list,
    to_object,
    to_text,
)
from dissolver.sandbox.confining_options import options_of


class Kind(Enum):
    """What the value of an attribute is."""

    TEXT = auto()
    SWITCH = auto()
    TEXTS = auto()
    NAMED = auto()
    ENTRIES = auto()


Content: TypeAlias = "str | bool | list[str] | dict[str, str | None] | list[Entry]"
"""A text, a switch, texts, texts by name, or records."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One attribute: its kind, and whether a later value is added to an earlier one."""

    kind: Kind
    adds: bool = False


RULES: Mapping[str, Rule] = {
    "description": Rule(Kind.TEXT),
    "inherits": Rule(Kind.TEXTS, adds=True),
    "annotations": Rule(Kind.TEXTS, adds=True),
    "attest": Rule(Kind.ENTRIES, adds=True),
    "context": Rule(Kind.TEXT),
    "contexts": Rule(Kind.NAMED, adds=True),
    "dockerfile": Rule(Kind.TEXT),
    "dockerfile-inline": Rule(Kind.TEXT),
    "args": Rule(Kind.NAMED, adds=True),
    "labels": Rule(Kind.NAMED, adds=True),
    "tags": Rule(Kind.TEXTS),
    "cache-from": Rule(Kind.ENTRIES, adds=True),
    "cache-to": Rule(Kind.ENTRIES),
    "target": Rule(Kind.TEXT),
    "secret": Rule(Kind.ENTRIES, adds=True),
    "ssh": Rule(Kind.ENTRIES, adds=True),
    "platforms": Rule(Kind.TEXTS),
    "output": Rule(Kind.ENTRIES),
    "pull": Rule(Kind.SWITCH),
    "no-cache": Rule(Kind.SWITCH),
    "network": Rule(Kind.TEXT),
    "no-cache-filter": Rule(Kind.TEXTS, adds=True),
    **{
        option.attribute: Rule(Kind.TEXTS, adds=True) if option.is_repeatable else Rule(Kind.TEXT)
        for option in options_of("build")
        if option.attribute is not None
    },
    "call": Rule(Kind.TEXT),
    "entitlements": Rule(Kind.TEXTS, adds=True),
    "extra-hosts": Rule(Kind.NAMED, adds=True),
}
"""The attributes in the order in which they are shown."""

UNSUPPORTED = ("policy", "resources")
"""Attributes of buildx that need a builder which this is not."""


def read_content(attribute: str, value: Value) -> Content:
    """Take a value for what an attribute holds.

    Raises:
        ValueFault: it does not fit.
    """
    match RULES[attribute].kind:
        case Kind.TEXT:
            return to_text(value)
        case Kind.SWITCH:
            return bool(value) if value in (0, 1) else to_boolean(value)
        case Kind.TEXTS:
            return [to_text(item) for item in to_list(value) if item is not None]
        case Kind.ENTRIES:
            return read_entries(attribute, value)
    named: dict[str, str | None] = {}
    for name, item in to_object(value).items():
        if isinstance(item, list | dict):
            raise ValueFault(f"`{name}` has to be a text, not {kind_of(item)}")
        named[name] = None if item is None else to_text(item)
    return named


def combined(attribute: str, first: Content | None, second: Content) -> Content:
    """Put a later value of an attribute to an earlier one, as the rules of merging say."""
    if isinstance(second, dict):
        # A null says nothing, and so leaves alone what is there.
        said: dict[str, str | None] = {
            name: text for name, text in second.items() if text is not None
        }
        return {**first, **said} if isinstance(first, dict) else said
    if not RULES[attribute].adds or first is None:
        return second
    if attribute == "attest":
        return merged_attestations(first, second)  # type: ignore[arg-type]
    together: list[Any] = [*first, *second]  # type: ignore[misc]
    # Of parents, the last time that one is named counts. Of the rest, doubles would double at
    # every step of what is inherited on two ways.
    return together if attribute == "inherits" else _without_doubles(together)


def _without_doubles(items: list[Any]) -> list[Any]:
    if all(isinstance(item, str) for item in items):
        return list(dict.fromkeys(items))
    return without_doubles(items)


def tidied(content: Content) -> Content | None:
    """Leave out doubles and empty texts; nothing if nothing is left."""
    if isinstance(content, list):
        return [item for item in _without_doubles(content) if item] or None
    if isinstance(content, dict):
        return content or None
    return content
