"""Step records: which layer a step with a certain key made, and from what inputs."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

from dissolver.store.faults import explained

if TYPE_CHECKING:
    from dissolver.store.database import Database

Inputs = Sequence[tuple[str, str]]
"""Named inputs of a key, such as ``("context/src/a.py", "5f2a…")``, in key order."""


@dataclass(frozen=True, slots=True)
class StepRecord:
    """The result of a step, under its key.

    ``build`` names what is built again and again (a context and its Dockerfile),
    ``step`` the step's place in it; ``why`` finds the record before this one by
    them. ``inputs`` are decoded only when they are looked at.
    """

    key: str
    kind: str
    diff_id: str
    created_ns: int
    build: str
    step: str
    inputs: Inputs


class StepRecords:
    """The step records of a store.

    They outlive images and survive everything but pruning. A record whose layer is
    gone is no record.
    """

    def __init__(self, database: Database, has_layer: Callable[[str], bool]) -> None:
        self._database = database
        self._has_layer = has_layer

    def find(self, key: str) -> StepRecord | None:
        """Answer the record with this key, if there is one and its layer is there."""
        with explained("look into the cache"):
            row = (
                self._database.read()
                .execute(
                    "SELECT key, kind, diff_id, created_ns, '', '', inputs"
                    " FROM step_records WHERE key = ?",
                    (key,),
                )
                .fetchone()
            )
            if row is None or not self._has_layer(row[2]):
                return None
        return _record(row)

    def put(self, record: StepRecord) -> None:
        """Store a result; an older one with the same key is replaced.

        Call it while the store lock is held shared, after the layer is stored.
        """
        with self._database.write("record the step") as connection:
            connection.execute(
                "INSERT INTO step_records (key, kind, diff_id, created_ns, inputs)"
                " VALUES (?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET"
                " diff_id = excluded.diff_id, created_ns = excluded.created_ns,"
                " inputs = excluded.inputs",
                (
                    record.key,
                    record.kind,
                    record.diff_id,
                    record.created_ns,
                    pack_inputs(record.inputs),
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

    def latest_of(self, build: str) -> list[StepRecord]:
        """List the records that last served each step of a build, the newest use first."""
        with explained("look into the cache"):
            rows = self._database.read().execute(_LIKE + " ORDER BY used_ns DESC", (_clean(build),))
            return [_record(row) for row in rows]

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
SELECT step_records.key, kind, diff_id, created_ns, build, step, inputs
FROM step_uses JOIN step_records ON step_records.key = step_uses.key
WHERE build = ?
"""


def _clean(text: str) -> str:
    """Write bytes of a path that are not UTF-8 in a way that the database takes."""
    return text.encode("utf-8", "backslashreplace").decode()


def _record(row: tuple[str, str, str, int, str, str, bytes]) -> StepRecord:
    key, kind, diff_id, created_ns, build, step, packed = row
    return StepRecord(key, kind, diff_id, created_ns, build, step, PackedInputs(packed))


def pack_inputs(inputs: Inputs) -> bytes:
    """Encode inputs for the database: names and values, separated by NUL, compressed.

    A COPY of 20,000 files has that many: 1.4 MB, 0.3 compressed. JSON would take ten
    times as long as joining; a NUL that a text should hold only blurs an explanation.
    """
    if isinstance(inputs, PackedInputs):
        return inputs.packed
    texts = [text.replace("\0", "\N{REPLACEMENT CHARACTER}") for pair in inputs for text in pair]
    return zlib.compress("\0".join(texts).encode("utf-8", "surrogateescape"), level=1)


class PackedInputs(Sequence[tuple[str, str]]):
    """Inputs as they lie in the database; a cache hit never has to decode them."""

    def __init__(self, packed: bytes) -> None:
        self.packed = packed
        self._decoded: tuple[tuple[str, str], ...] | None = None

    def _pairs(self) -> tuple[tuple[str, str], ...]:
        if self._decoded is None:
            joined = zlib.decompress(self.packed).decode("utf-8", "surrogateescape")
            texts = joined.split("\0") if joined else []
            self._decoded = tuple(zip(texts[::2], texts[1::2], strict=True))
        return self._decoded

    @overload
    def __getitem__(self, index: int) -> tuple[str, str]: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[tuple[str, str], ...]: ...

    def __getitem__(self, index: int | slice) -> tuple[str, str] | tuple[tuple[str, str], ...]:
        return self._pairs()[index]

    def __len__(self) -> int:
        return len(self._pairs())

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._pairs())

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Sequence):
            return self._pairs() == tuple(other)
        return NotImplemented

    def __hash__(self) -> int:
        return hash(self._pairs())

    def __repr__(self) -> str:
        return repr(self._pairs())
