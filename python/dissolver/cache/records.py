"""Which earlier record a step is compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dissolver.store.packed_inputs import PackedInputs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dissolver.cache.inputs import CacheKey, Input
    from dissolver.store.packed_inputs import Inputs
    from dissolver.store.records import StepRecord, StepRecords


def nearest(
    records: StepRecords, key: CacheKey, places: Mapping[str, str], step: str
) -> StepRecord | None:
    """Find the older record that a step most likely comes from.

    That is the one of the same place, unless an instruction was inserted or removed above:
    then the step moved, and the record of another place with the same command, or the same
    destination, tells more. ``places`` are those before the build began: each step that is
    done takes the place of another one.
    """
    same = {step: places[step]} if step in places else {}
    place = next(records.serving(same), None)
    first = _first(key.inputs)
    if first is None or (place is not None and _first(place.inputs) == first):
        return place
    others = [other for other in places if _may_move(other, step)]
    # The step's own stage comes first.
    others.sort(key=lambda other: _parts(other)[0] != _parts(step)[0])
    for other in records.serving({other: places[other] for other in others}):
        if _first(other.inputs) == first:
            return other
    return place


def _may_move(place: str, other: str) -> bool:
    """Tell whether a step may have moved: to a like one of its stage, or of one without a name."""
    (stage, kind), (other_stage, other_kind) = _parts(place), _parts(other)
    is_unnamed = stage.isdecimal() and other_stage.isdecimal()
    return kind == other_kind and place != other and (stage == other_stage or is_unnamed)


def _parts(place: str) -> tuple[str, str]:
    stage, _, kind = place.rpartition("/")[0].rpartition("/")
    return stage, kind


def _first(inputs: Inputs) -> Input | None:
    """Give what tells steps of a kind apart: the command, or the destination."""
    return inputs.first if isinstance(inputs, PackedInputs) else next(iter(inputs), None)
