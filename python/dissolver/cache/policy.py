"""Whether a step's result is in the cache, and if not, why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from dissolver.cache.records import nearest
from dissolver.cache.why import first_difference

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from dissolver.cache.inputs import CacheKey
    from dissolver.store import Store
    from dissolver.store.records import StepRecord

DISABLED = "the cache was not to be used"
FIRST = "this step was not built before"
LOST = "its result is not in the cache any more"


@dataclass(frozen=True, slots=True)
class Hit:
    """The step was done before with the same inputs.

    Its layer is in the store, unless ``is_elsewhere``: then a shared cache has it.
    """

    record: StepRecord
    is_elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class Miss:
    """The step has to be done; ``reason`` says in words what made the difference."""

    reason: str


class Elsewhere(Protocol):
    """What shared caches answer to a build that asks them."""

    @property
    def depots(self) -> Collection[str]:
        """The caches that the build names, whether or not they could be read."""

    def find(self, digest: str) -> StepRecord | None:
        """Answer the record with a key, if its layer can be had."""

    def nearest(self, step: str) -> StepRecord | None:
        """Answer the record that another machine last made of the step at this place."""

    def trouble(self, digest: str) -> str | None:
        """Say why a record with this key could not be used."""

    def unasked(self) -> str | None:
        """Say which caches could not be asked at all."""


def look_up(
    store: Store,
    key: CacheKey,
    *,
    no_cache: bool,
    build: str,
    step: str,
    earlier: Mapping[str, str] | None = None,
    elsewhere: Elsewhere | None = None,
) -> Hit | Miss:
    """Answer a step's earlier result, or why there is none.

    ``build`` and ``step`` name the step's place, by which its earlier inputs are
    found: in ``earlier``, the places and their keys before this build began, or what they
    are now. A hit of the store is remembered as that place's latest. What the store does not
    have, ``elsewhere`` is asked for. Hold the store lock shared until the layer is part
    of a stored image.
    """
    if no_cache:
        return Miss(DISABLED)
    depots = () if elsewhere is None else elsewhere.depots
    record = store.records.find(key.digest, depots)
    if record is not None:
        store.records.use(key.digest, build, step)
        return Hit(record)
    if elsewhere is not None:
        shared = elsewhere.find(key.digest)
        if shared is not None:
            return Hit(shared, is_elsewhere=True)
    places = store.records.places(build) if earlier is None else earlier
    return Miss(_reason(store, key, places, step, elsewhere))


def _reason(
    store: Store,
    key: CacheKey,
    places: Mapping[str, str],
    step: str,
    elsewhere: Elsewhere | None,
) -> str:
    if elsewhere is not None and (trouble := elsewhere.trouble(key.digest)):
        return trouble
    before = nearest(store.records, key, places, step)
    if before is None and elsewhere is not None:
        before = elsewhere.nearest(step)
    if before is not None:
        return _difference(before, key, () if elsewhere is None else elsewhere.depots)
    unasked = None if elsewhere is None else elsewhere.unasked()
    return FIRST if unasked is None else f"{FIRST}, and {unasked} could not be asked"


def _difference(before: StepRecord, key: CacheKey, depots: Collection[str]) -> str:
    if before.depot and not before.inputs:
        return f"the cache `{before.depot}` has the result of other inputs"
    difference = first_difference(before.inputs, key.inputs)
    if difference is None and before.depot and before.depot not in depots:
        return f"its result came from the cache `{before.depot}`, which is not asked now"
    return difference or LOST
