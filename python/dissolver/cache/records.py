"""Which earlier record a step is compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dissolver.store.packed_inputs import PackedInputs

if TYPE_CHECKING:
    from dissolver.cache.inputs import CacheKey
    from dissolver.store import Store
    from dissolver.store.packed_inputs import Inputs
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


def _command(inputs: Inputs) -> str | None:
    first = inputs.first if isinstance(inputs, PackedInputs) else next(iter(inputs), None)
    return first[1] if first is not None and first[0] == "command" else None
