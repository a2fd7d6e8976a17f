"""Which older layer a copy is likely to have most in common with."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from dissolver.store.packed_inputs import PackedInputs

if TYPE_CHECKING:
    from dissolver.store import Store
    from dissolver.store.records import StepRecord


class Predecessors:
    """What the steps of a build came to the last time, as it was before this one began.

    ``places`` has the keys of the records by the places of their steps. Steps may ask from
    several threads. A wrong answer costs time and a little room, never the result.
    """

    def __init__(self, store: Store, build: str) -> None:
        self._store = store
        # Now, because each step of this build takes the place of the one before.
        self.places = store.records.places(build)
        self._lock = threading.Lock()
        self._copies: list[StepRecord] | None = None

    def of(self, place: str, destination: str) -> str | None:
        """Answer the diff ID of the layer that the copy at ``place`` should share with.

        That is what the same place came to, if it was a copy to the same destination.
        Where a copy was inserted or removed above, the step has another place now; then
        it is the largest copy to that destination.
        """
        target = ("destination", "/" + destination.strip("/"))
        copies = [record for record in self._all() if _first(record) == target]
        for record in copies:
            if record.step == place:
                return record.diff_id
        return max((record.diff_id for record in copies), key=self._size, default=None)

    def _all(self) -> list[StepRecord]:
        with self._lock:
            if self._copies is None:
                records = self._store.records.serving(self.places)
                self._copies = [record for record in records if record.kind == "copy"]
            return self._copies

    def _size(self, diff_id: str) -> int:
        info = self._store.layers.info(diff_id)
        return 0 if info is None else info.tar_bytes


def _first(record: StepRecord) -> tuple[str, str] | None:
    inputs = record.inputs
    return inputs.first if isinstance(inputs, PackedInputs) else next(iter(inputs), None)
