"""FROM a named context: its files are the stage's first layer."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from dissolver._core import CoreError
from dissolver.errors import from_core
from dissolver.image.config import HistoryEntry
from dissolver.image.mutate import with_layer
from dissolver.store.faults import explained

if TYPE_CHECKING:
    from dissolver.build.workbench import Workbench
    from dissolver.image.config import ImageConfig
    from dissolver.plan.origins import NamedContext

COMMENT = "buildkit.exporter.image.v0"
"""The comment of a layer that no instruction made: tools tell by it that it has none."""


def on_context(bench: Workbench, config: ImageConfig, name: NamedContext) -> ImageConfig:
    """Return ``config`` with a layer of the context's files on top.

    Its history says the build's ``SOURCE_DATE_EPOCH``, or else when the layer was first made.

    Raises:
        CoreFailure: a file changed while it was read.
        DiskFull: no space is left.
    """
    from dissolver._core.copy import CopyPart, CopyPlan
    from dissolver.cache.keys import bind_key
    from dissolver.store.records import StepRecord

    store = bench.store
    origin = bench.context_of(name).origin()
    place = f"context/{name.name}"
    before = store.records.latest_like(bench.identity, place)
    predecessor = None if before is None else before.diff_id
    try:
        part = CopyPart(origin.entries, ["/"], keeps_owner=origin.keeps_owner)
        plan = CopyPlan.for_parts(
            store.layers.view([]), [part], "/", owner=None, mode=None, new_directory_mtime=0
        )
        plan.prepare(store.layers, predecessor=predecessor)
        key = bind_key(plan.digest(), plan.packed_inputs)
    except CoreError as error:
        raise from_core(error) from error
    record = store.records.find(key.digest)
    if record is None:
        with explained("store the files of the context"):
            layer = plan.write(store.layers, predecessor=predecessor)
        record = StepRecord(
            key=key.digest,
            kind="bind",
            diff_id=layer.diff_id,
            created_ns=time.time_ns(),
            build=bench.identity,
            step=place,
            inputs=key.inputs,
        )
        store.records.put(record)
    else:
        store.records.use(key.digest, bench.identity, place)
    created = bench.time_of(record.created_ns)
    history = HistoryEntry(created=created, created_by="", comment=COMMENT)
    return with_layer(config, record.diff_id, history)
