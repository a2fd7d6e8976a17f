"""Step records: which layer a step with a certain key made, and from what inputs."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dissolver.store.faults import explained
from dissolver.store.packed_inputs import Inputs, PackedInputs, pack_inputs

if TYPE_CHECKING:
    from dissolver.store.database import Database


@dataclass(frozen=True, slots=True)
class StepRecord:
    """The result of a step, under its key.

    ``build`` names what is built again and again (a context and its Dockerfile),
    ``step`` the step's place in it; ``why`` finds the record before this one by
    them. ``inputs`` are decoded only when they are looked at. ``depot`` names the
    shared cache that it came from, and is empty for what was made here.
    """

    key: str
    kind: str
    diff_id: str
    created_ns: int
    build: str
    step: str
    inputs: Inputs
    depot: str = ""


class StepRecords:
    """The step records of a store.

    They outlive images and survive everything but pruning. A record whose layer is
    gone is no record.
    """

    def __init__(self, database: Database, has_layer: Callable[[str], bool]) -> None:
        self._database = database
        self._has_layer = has_layer

    def find(self, key: str, depots: Collection[str] = ()) -> StepRecord | None:
        """Answer the record with this key, if there is one and its layer is there.

        One that came from a shared cache counts only where that is among ``depots``: what
        one cache said is no answer for those who ask others, or none.
        """
        with explained("look into the cache"):
            row = (
                self._database.read()
                .execute(
                    "SELECT key, kind, diff_id, created_ns, '', '', inputs, depot"
                    " FROM step_records WHERE key = ?",
                    (key,),
                )
                .fetchone()
            )
            if row is None or not (row[7] == "" or row[7] in depots):
                return None
            if not self._has_layer(row[2]):
                return None
        return _record(row)

    def put(self, record: StepRecord) -> None:
        """Store a result; an older one with the same key is replaced.

        Call it while the store lock is held shared, after the layer is stored.
        """
        with self._database.write("record the step") as connection:
            connection.execute(
                "INSERT INTO step_records (key, kind, diff_id, created_ns, inputs, depot)"
                " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET"
                " diff_id = excluded.diff_id, created_ns = excluded.created_ns,"
                " inputs = excluded.inputs, depot = excluded.depot",
                (
                    record.key,
                    record.kind,
                    record.diff_id,
                    record.created_ns,
                    pack_inputs(record.inputs),
                    record.depot,
                ),
            )
            place = (_clean(record.build), _clean(record.step))
            connection.execute(_USE, (*place, record.key, time.time_ns()))

    def use(self, key: str, build: str, step: str) -> None:
        """Remember that the record served this step, for the next ``why``.

        Costs one query when it did so the last time too.
        """
        place = (_clean(build), _clean(step))
        with explained("look into the cache"):
            row = (
                self._database.read()
                .execute("SELECT key FROM step_uses WHERE build = ? AND step = ?", place)
                .fetchone()
            )
        if row is not None and row[0] == key:
            return
        with self._database.write("record the step") as connection:
            exists = "SELECT 1 FROM step_records WHERE key = ?"
            if connection.execute(exists, (key,)).fetchone():
                connection.execute(_USE, (*place, key, time.time_ns()))

    def latest_like(self, build: str, step: str) -> StepRecord | None:
        """Answer the record that last served the same step of the same build."""
        with explained("look into the cache"):
            row = (
                self._database.read()
                .execute(_LIKE + " AND step_uses.step = ?", (_clean(build), _clean(step)))
                .fetchone()
            )
        return None if row is None else _record(row)

    def places(self, build: str) -> dict[str, str]:
        """Tell what last served each step of a build: keys by step, the newest use first."""
        with explained("look into the cache"):
            rows = self._database.read().execute(
                "SELECT step, key FROM step_uses WHERE build = ? ORDER BY used_ns DESC",
                (_clean(build),),
            )
            return dict(rows.fetchall())

    def serving(self, places: Mapping[str, str]) -> Iterator[StepRecord]:
        """Yield the records of ``places`` that are still there, in their order."""
        for step, key in places.items():
            with explained("look into the cache"):
                row = (
                    self._database.read()
                    .execute(
                        "SELECT key, kind, diff_id, created_ns, '', ?, inputs, depot"
                        " FROM step_records WHERE key = ?",
                        (step, key),
                    )
                    .fetchone()
                )
            if row is not None:
                yield _record(row)

    def count(self) -> int:
        """Count the records."""
        with explained("look into the cache"):
            found = self._database.read().execute("SELECT count(*) FROM step_records").fetchone()
        return int(found[0])


_USE = """
INSERT INTO step_uses (build, step, key, used_ns) VALUES (?, ?, ?, ?)
ON CONFLICT (build, step) DO UPDATE SET key = excluded.key, used_ns = excluded.used_ns
"""
_LIKE = """
SELECT step_records.key, kind, diff_id, created_ns, build, step, inputs, depot
FROM step_uses JOIN step_records ON step_records.key = step_uses.key
WHERE build = ?
"""


def _clean(text: str) -> str:
    """Write bytes of a path that are not UTF-8 in a way that the database takes."""
    return text.encode("utf-8", "backslashreplace").decode()


def _record(row: tuple[str, str, str, int, str, str, bytes, str]) -> StepRecord:
    key, kind, diff_id, created_ns, build, step, packed, depot = row
    inputs = PackedInputs(packed)
    return StepRecord(key, kind, diff_id, created_ns, build, step, inputs, depot)
