"""Files from elsewhere, kept as layers of the store so that they are fetched once.

A record names what was fetched and what the server said about it. Its layer is part
of no image: steps copy from it as from a stage.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from dissolver._core import CoreError
from dissolver.errors import from_core
from dissolver.store.faults import explained

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dissolver.store import Store
    from dissolver.store.records import StepRecord

VERSION = 1
"""Part of every key: raising it has everything fetched again."""


def key_of(kind: str, *parts: str) -> str:
    """Derive the key under which something fetched is recorded."""
    from dissolver.cache.inputs import digest_inputs

    return digest_inputs(kind, VERSION, ((str(n), part) for n, part in enumerate(parts)))


def find_files(store: Store, key: str, build: str) -> StepRecord | None:
    """Find what was fetched under ``key``, and remember that it was used."""
    found = store.records.find(key)
    if found is not None:
        store.records.use(key, build, key)
    return found


def keep_files(
    store: Store,
    directory: Path,
    *,
    key: str,
    kind: str,
    build: str,
    inputs: Sequence[tuple[str, str]],
    without: Sequence[str] = (),
) -> str:
    """Store what a directory holds as a layer of root's files, and answer its diff ID.

    ``without`` are patterns of what is left out; ``inputs`` are kept with the record.

    Raises:
        CoreFailure: a name that layers reserve, or a file that cannot be read.
        DiskFull: no space is left.
    """
    from dissolver._core.copy import CopyPart, CopyPlan
    from dissolver._core.tree import IgnoreRules, Tree

    try:
        tree = Tree.scan(directory, ignore=IgnoreRules(without) if without else None)
        part = CopyPart(tree, ["/"], keeps_owner=False)
        plan = CopyPlan.for_parts(
            store.layers.view([]), [part], "/", owner=None, mode=None, new_directory_mtime=0
        )
    except CoreError as error:
        raise from_core(error) from error
    with explained("store what was fetched"):
        layer = plan.write(store.layers)
    keep_layer(store, layer.diff_id, key=key, kind=kind, build=build, inputs=inputs)
    return layer.diff_id


def keep_layer(
    store: Store,
    layer: str,
    *,
    key: str,
    kind: str,
    build: str,
    inputs: Sequence[tuple[str, str]],
) -> None:
    """Record a layer that no step made, such as what was fetched, so that it is found again."""
    from dissolver.store.records import StepRecord

    store.records.put(
        StepRecord(
            key=key,
            kind=kind,
            diff_id=layer,
            created_ns=time.time_ns(),
            build=build,
            step=key,
            inputs=tuple(inputs),
        )
    )
