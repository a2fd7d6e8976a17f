"""Garbage collection: what nothing needs any more, removed and counted.

Everything here runs alone with the store. Rows go first, in one transaction, and
files after them: killed in between, it leaves files that nothing refers to, which
the next collection finds.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dissolver._core.tree import stat_cache_context
from dissolver.store.faults import explained
from dissolver.store.transfers import forget_unneeded, unneeded
from dissolver.store.workspace import remove_tree, sweep, sweep_unowned

if TYPE_CHECKING:
    from sqlite3 import Connection

    from dissolver.image.config import ImageConfig
    from dissolver.store import Store


STAT_CACHE_SECONDS = 30 * 24 * 60 * 60
"""A stat cache that no build used for so long goes with the next prune: what comes back
after a month reads its files once more."""


@dataclass(frozen=True, slots=True)
class PruneReport:
    """What a prune took away, and the bytes of disk that this gave back."""

    untagged: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    records: int = 0
    cache_mounts: int = 0
    reclaimed_bytes: int = 0


_UNUSED = """
SELECT id FROM images
WHERE NOT EXISTS (SELECT 1 FROM containers WHERE image = images.id)
AND (:all OR NOT EXISTS (SELECT 1 FROM refs WHERE image = images.id AND name NOT LIKE '%@%'))
"""
_LAYERS_OF = "SELECT diff_id FROM image_layers WHERE image = ?"
_FORGET_LAYERS_OF_REMOVED = """
DELETE FROM step_records WHERE diff_id IN (
    SELECT value FROM json_each(?)
    EXCEPT SELECT diff_id FROM image_layers
    EXCEPT SELECT diff_id FROM container_layers
)
"""
_FORGET = """
DELETE FROM step_records WHERE (
    :all OR (
        diff_id NOT IN (SELECT diff_id FROM image_layers)
        AND diff_id NOT IN (SELECT diff_id FROM container_layers)
    )
) AND (
    :until IS NULL OR :until > coalesce(
        (SELECT max(used_ns) FROM step_uses WHERE key = step_records.key), created_ns
    )
)
"""
_HELD = """
SELECT diff_id FROM image_layers
UNION SELECT diff_id FROM container_layers
UNION SELECT diff_id FROM step_records
"""


def prune_images(
    store: Store, *, all_: bool, may_go: Callable[[ImageConfig], bool] | None
) -> PruneReport:
    """Remove the images that nothing uses, their layers, and what led to those.

    Without ``all_`` only those without a name go, and ``may_go`` may leave some. A layer
    that another image or a container stands on stays, and so do the records of steps that
    made no layer of a removed image.
    """
    untagged: list[str] = []
    layers: set[str] = set()
    with store.database.write("remove the images") as connection:
        ids = [row[0] for row in connection.execute(_UNUSED, {"all": all_})]
        if may_go is not None:
            ids = [identity for identity in ids if may_go(store.images.get(identity).config)]
        for identity in ids:
            names = store.images.references(identity)
            untagged += [reference.familiar for reference in names]
            rows = connection.execute(_LAYERS_OF, (identity,))
            layers |= {row[0] for row in rows}
            connection.execute("DELETE FROM images WHERE id = ?", (identity,))
        forgotten = connection.execute(_FORGET_LAYERS_OF_REMOVED, (json.dumps(list(layers)),))
        records = forgotten.rowcount
    return PruneReport(tuple(untagged), tuple(ids), records=records, reclaimed_bytes=collect(store))


def prune_records(store: Store, *, all_: bool, until_ns: int | None) -> PruneReport:
    """Forget step records and remove the layers that only they held.

    Without ``all_`` the records whose layers images or containers hold anyway stay:
    they take no space, and the next build is still cached. So do cache mounts, and the
    digests of contexts that still exist and were built within 30 days. What was used since
    ``until_ns`` (nanoseconds since the epoch) stays in any case.
    """
    with store.database.write("forget the build cache") as connection:
        records = connection.execute(_FORGET, {"all": all_, "until": until_ns}).rowcount
    freed = _prune_stat_caches(store, all_=all_, until_ns=until_ns)
    mounts, mounted = store.cache_mounts.prune(until_ns=until_ns) if all_ else (0, 0)
    return PruneReport(
        records=records,
        cache_mounts=mounts,
        reclaimed_bytes=freed + mounted + collect(store),
    )


def _prune_stat_caches(store: Store, *, all_: bool, until_ns: int | None) -> int:
    """Remove the stat caches that no build will ask for again, or all that are old enough."""
    now = time.time()
    with explained("forget what contexts held"):
        return sum(
            remove_tree(path)
            for path in store.layout.stat.iterdir()
            if (all_ and (until_ns is None or path.stat().st_mtime_ns < until_ns))
            or _is_stale(path, now)
        )


def _is_stale(cache: Path, now: float) -> bool:
    if now - cache.stat().st_mtime > STAT_CACHE_SECONDS:
        return True
    # A file that tells no context is damaged, of an older version, or half written.
    context = stat_cache_context(cache)
    return context is None or not Path(context).is_dir()


def collect(store: Store) -> int:
    """Remove every file that nothing refers to; answer the bytes of disk freed.

    That is what images and records left that were removed before, what builds
    made that were killed, and what dead processes kept for themselves.
    """
    layout = store.layout
    freed = sweep(layout.tmp) + sweep_unowned(layout.tmp)
    freed += _remove_layers(store, store.layers.list())
    with explained("give back what no layer needs"):
        freed += store.layers.reclaim()
    with store.database.write("forget blobs") as connection:
        forget_unneeded(connection)
    freed += _remove_blobs(store)
    containers = {row[0] for row in store.database.read().execute("SELECT id FROM containers")}
    with explained("remove abandoned containers"):
        for directory in layout.containers.iterdir():
            if directory.name not in containers:
                freed += remove_tree(directory)
    return freed


def release(store: Store, identity: str, diff_ids: Iterable[str]) -> None:
    """Remove the files of a removed image, unless something has come to need them."""
    known = "SELECT 1 FROM images WHERE id = ?"
    if store.database.read().execute(known, (identity,)).fetchone() is None:
        store.blobs.remove(identity)
    _remove_layers(store, diff_ids)
    _remove_blobs(store)


def _remove_blobs(store: Store) -> int:
    """Remove what no image and no layer of one needs: configurations, manifests, layers."""
    connection = store.database.read()
    return sum(store.blobs.remove(digest) for digest in unneeded(store.blobs.list(), connection))


def release_layers(store: Store, diff_ids: Iterable[str]) -> None:
    """Remove layers, unless something has come to need them."""
    _remove_layers(store, diff_ids)


def _remove_layers(store: Store, candidates: Iterable[str]) -> int:
    held = held_layers(store.database.read())
    abandoned = [diff_id for diff_id in candidates if diff_id not in held]
    if not abandoned:
        return 0
    with explained("remove layers"):
        return store.layers.remove_all(abandoned)


def held_layers(connection: Connection) -> set[str]:
    """List the layers that an image, a container or a step record needs."""
    return {row[0] for row in connection.execute(_HELD)}
