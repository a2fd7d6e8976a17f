"""What differs between two image configurations, field by field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from dissolver.image.config import HistoryEntry, ImageConfig, encode_config
from dissolver.image.timestamps import format_time

_LISTS = ("Env",)
"""Lists of ``NAME=value`` texts, which are compared name by name."""


class FieldChange(msgspec.Struct, frozen=True):
    """A field that differs: where it is, and its two values; an absent one is ``None``.

    ``field`` is a path such as ``config.Env.PATH`` or ``history.3.created_by``.
    """

    field: str
    before: Any = None
    after: Any = None


def compare_configs(before: ImageConfig, after: ImageConfig) -> tuple[FieldChange, ...]:
    """List the fields in which two configurations differ, in the order of their names.

    Layers and history are lists of their own; see `compare_layers` and `compare_history`.
    """
    left, right = _fields(before), _fields(after)
    return tuple(_changes("", left, right))


def compare_layers(before: ImageConfig, after: ImageConfig) -> tuple[FieldChange, ...]:
    """List the places, bottom first and counted from 0, at which two images have other layers."""
    return tuple(_places("layers", before.diff_ids, after.diff_ids))


def compare_history(before: ImageConfig, after: ImageConfig) -> tuple[FieldChange, ...]:
    """List the fields in which the entries of two histories differ, oldest entry first."""
    return tuple(
        _places("history", tuple(map(_entry, before.history)), tuple(map(_entry, after.history)))
    )


def _fields(config: ImageConfig) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.json.decode(encode_config(config))
    for name in ("rootfs", "history"):
        document.pop(name, None)
    run = document.get("config", {})
    for name in _LISTS:
        pairs = [text.partition("=") for text in run.get(name, ())]
        if pairs:
            run[name] = {key: value for key, _, value in pairs}
    return document


def _entry(entry: HistoryEntry) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(entry)
    if entry.created is not None:
        fields["created"] = format_time(entry.created)
    return fields


def _places(name: str, before: Sequence[Any], after: Sequence[Any]) -> Iterator[FieldChange]:
    for place in range(max(len(before), len(after))):
        left = before[place] if place < len(before) else None
        right = after[place] if place < len(after) else None
        yield from _changed(f"{name}.{place}", left, right)


def _changes(
    prefix: str, before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[FieldChange]:
    for name in sorted(before.keys() | after.keys()):
        left, right = before.get(name), after.get(name)
        # A map that one side lacks is one without names, and each of them is told.
        if left is None and isinstance(right, dict) and right:
            left = {}
        if right is None and isinstance(left, dict) and left:
            right = {}
        yield from _changed(f"{prefix}{name}", left, right)


def _changed(field: str, before: Any, after: Any) -> Iterator[FieldChange]:
    if before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _changes(f"{field}.", before, after)
    else:
        yield FieldChange(field, before, after)
