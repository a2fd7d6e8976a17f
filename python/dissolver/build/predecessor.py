"""Which older layer a copy is likely to have most in common with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dissolver.store.packed_inputs import PackedInputs

if TYPE_CHECKING:
    from dissolver.store import Store
    from dissolver.store.records import StepRecord


def predecessor_of(store: Store, build: str, place: str, destination: str) -> str | None:
    """Answer the diff ID of the layer that a copy should share with, or ``None``.

    That is what the same place of the same build came to the last time, if it was a copy
    to the same destination. Where an instruction was inserted or removed above, the
    step has another place now; then it is the largest copy to that destination. A wrong
    answer costs time and a little room, never the result.
    """
    target = ("destination", "/" + destination.strip("/"))
    before = store.records.latest_like(build, place)
    if before is not None and _is_copy(before, target):
        return before.diff_id
    others = [record for record in store.records.latest_of(build) if _is_copy(record, target)]
    return max((record.diff_id for record in others), key=lambda d: _size(store, d), default=None)


def _is_copy(record: StepRecord, target: tuple[str, str]) -> bool:
    inputs = record.inputs
    first = inputs.first if isinstance(inputs, PackedInputs) else next(iter(inputs), None)
    return record.kind == "copy" and first == target


def _size(store: Store, diff_id: str) -> int:
    info = store.layers.info(diff_id)
    return 0 if info is None else info.tar_bytes
