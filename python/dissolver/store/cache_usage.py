"""What the build cache holds, entry by entry: results of steps, and cache mounts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dissolver.store.faults import explained
from dissolver.store.packed_inputs import PackedInputs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dissolver.store import Store

_RECORDS = """
SELECT step_records.key, kind, diff_id, inputs,
       coalesce(max(step_uses.used_ns), created_ns),
       diff_id IN (SELECT diff_id FROM image_layers)
       OR diff_id IN (SELECT diff_id FROM container_layers)
FROM step_records LEFT JOIN step_uses ON step_uses.key = step_records.key
GROUP BY step_records.key
"""

_KINDS = {"bind": "source.local", "http": "source.http", "git": "source.git.checkout"}
_NAMES = {"workdir": "WORKDIR", "copy": "COPY", "add": "ADD", "times": "times set back in"}


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """One thing that the cache keeps.

    ``kind`` is BuildKit's word: ``regular`` for the result of a step, ``source.local`` for
    files of a context that a step has mounted, ``source.http`` and ``source.git.checkout``
    for what was fetched, ``exec.cachemount``. ``is_shared`` tells
    that an image or a container has the layer as well, so that forgetting the entry
    gives nothing back.
    """

    id: str
    kind: str
    description: str
    size_bytes: int
    used_ns: int
    is_shared: bool


def list_cache(store: Store) -> tuple[CacheEntry, ...]:
    """List what the cache keeps, what was used last first."""
    with explained("measure the build cache"):
        entries = [*_records(store), *_mounts(store)]
    return tuple(sorted(entries, key=lambda entry: (-entry.used_ns, entry.id)))


def _records(store: Store) -> Iterator[CacheEntry]:
    for key, kind, diff_id, packed, used_ns, is_shared in store.database.read().execute(_RECORDS):
        yield CacheEntry(
            id=key.removeprefix("sha256:"),
            kind=_KINDS.get(kind, "regular"),
            description=_described(kind, packed),
            size_bytes=store.layers.disk_bytes_of([diff_id]),
            used_ns=used_ns,
            is_shared=bool(is_shared),
        )


def _mounts(store: Store) -> Iterator[CacheEntry]:
    for usage in store.cache_mounts.usage():
        namespace = f"{usage.name.namespace}/" if usage.name.namespace else ""
        yield CacheEntry(
            id=usage.digest,
            kind="exec.cachemount",
            description=f"cache mount {namespace}{usage.name.id}",
            size_bytes=usage.size_bytes,
            used_ns=usage.used_ns,
            is_shared=False,
        )


def _described(kind: str, packed: bytes) -> str:
    import json

    first = PackedInputs(packed).first
    name, value = first if first is not None else ("", "")
    if kind == "bind":
        return "files of a context, mounted"
    if kind == "git":
        return f"commit {value}"
    if kind == "http":
        return f"file {value}"
    if name == "command":
        return f"RUN {' '.join(json.loads(value))}"
    return f"{_NAMES.get(kind, kind)} {value}".rstrip()
