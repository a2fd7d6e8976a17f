"""Whether a step's result is in the cache, and if not, why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dissolver.cache.records import nearest
from dissolver.cache.why import first_difference

if TYPE_CHECKING:
    from dissolver.cache.inputs import CacheKey
    from dissolver.store import Store
    from dissolver.store.records import StepRecord

DISABLED = "the cache was not to be used"
FIRST = "this step was not built before"
LOST = "its result is not in the cache any more"


@dataclass(frozen=True, slots=True)
class Hit:
    """The step was done before with the same inputs; its layer is in the store."""

    record: StepRecord


@dataclass(frozen=True, slots=True)
class Miss:
    """The step has to be done; ``reason`` says in words what made the difference."""

    reason: str


def look_up(store: Store, key: CacheKey, *, no_cache: bool, build: str, step: str) -> Hit | Miss:
    """Answer a step's earlier result, or why there is none.

    ``build`` and ``step`` name the step's place, by which its earlier inputs are
    found. A hit is remembered as that place's latest. Hold the store lock shared
    until the layer is part of a stored image.
    """
    if no_cache:
        return Miss(DISABLED)
    record = store.records.find(key.digest)
    if record is not None:
        store.records.use(key.digest, build, step)
        return Hit(record)
    before = nearest(store, key, build=build, step=step)
    if before is None:
        return Miss(FIRST)
    return Miss(first_difference(before.inputs, key.inputs) or LOST)
