"""Which earlier record a step is compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dissolver.cache.inputs import CacheKey
    from dissolver.store import Store
    from dissolver.store.records import StepRecord


def nearest(store: Store, key: CacheKey, *, build: str, step: str) -> StepRecord | None:
    """Find the older record that a step most likely comes from.

    That is the one of the same place in the same build, unless an instruction was
    inserted or removed above: then the command moved, and the record that has the
    same command tells more.
    """
    place = store.records.latest_like(build, step)
    command = _command(key.inputs)
    if place is None or command is None or _command(place.inputs) == command:
        return place
    for other in store.records.latest_of(build):
        if other.kind == place.kind and _command(other.inputs) == command:
            return other
    return place


def _command(inputs: object) -> str | None:
    from collections.abc import Sequence

    if isinstance(inputs, Sequence) and inputs and inputs[0][0] == "command":
        return str(inputs[0][1])
    return None
