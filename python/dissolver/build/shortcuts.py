"""Shortcuts: what a step's result is found by before the layers that it reads are here.

A key says what a step reads, so what it reads has to be there: a COPY looks into the layers
below its destination, and into those of the stage that it copies from. A shortcut says the
same of the layers' diff IDs. It is stricter, as other layers may hold the same files; but
it needs none of them. docs/cache-keys.md describes the layout.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import msgspec

from dissolver._core import CoreError
from dissolver.cache.keys import shortcut_key
from dissolver.plan.sources import LocalSource
from dissolver.plan.steps import AddStep, CopyStep, RunStep, TransferStep, WorkdirStep

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dissolver._core.copy import CopyPart
    from dissolver.build.origins import Origins
    from dissolver.build.workbench import Workbench
    from dissolver.image.platform import Platform
    from dissolver.plan.steps import Step


_ASIDE = frozenset({"where", "display", "created_by", "config", "is_trigger", "from_"})
"""What makes no difference for a step's layer, and the origin, which is told by its content."""


def needed_layers(step: Step, parents: Sequence[str], origins: Origins) -> tuple[str, ...]:
    """List the layers that have to be in the store to derive the key of ``step``."""
    if isinstance(step, RunStep):
        return origins.layers
    return (*_below(step, parents), *origins.layers)


def shortcut_of(
    bench: Workbench,
    step: Step,
    parents: Sequence[str],
    origins: Origins,
    place: str,
    platform: Platform,
) -> str:
    """Derive the shortcut of ``step``; empty where its key needs no layer, or it has none.

    A step that fetches what it adds has none: its layer depends on what comes.
    """
    if isinstance(step, RunStep):
        return _of_run(bench, step, parents, origins, place, platform) if origins.layers else ""
    if isinstance(step, WorkdirStep):
        return shortcut_key("workdir", (("path", step.path), ("user", step.user)), parents)
    if isinstance(step, TransferStep):
        if isinstance(step, AddStep) and not all(
            isinstance(source, LocalSource) for source in step.sources
        ):
            return ""
        try:
            return _of_transfer(bench, step, parents, origins)
        except CoreError:
            return ""  # The step itself says what is wrong, with its place.
    return ""


def _below(step: Step, parents: Sequence[str]) -> Sequence[str]:
    # As for BuildKit, a linked copy that changes modes is an ordinary one.
    is_linked = isinstance(step, TransferStep) and step.link and step.chmod is None
    return () if is_linked else parents


def _of_run(
    bench: Workbench,
    step: RunStep,
    parents: Sequence[str],
    origins: Origins,
    place: str,
    platform: Platform,
) -> str:
    from dissolver.build.run_mounts import shortcut_inputs
    from dissolver.build.run_step import key_of_run

    mounts = shortcut_inputs(bench, step, origins, place)
    key = key_of_run(bench, step, parents, platform, mounts)
    return shortcut_key("run", (("key", key.digest),), ())


def _of_transfer(
    bench: Workbench, step: TransferStep, parents: Sequence[str], origins: Origins
) -> str:
    inputs = [("step", _described(step))]
    from_ = step.from_ if isinstance(step, CopyStep) else None
    layers = origins.layers_of(from_)
    if layers is None:
        inputs.append(("listing", _listing(bench, step, origins)))
    else:
        inputs += [(f"origin.{number}", layer) for number, layer in enumerate(layers)]
    return shortcut_key(
        "add" if isinstance(step, AddStep) else "copy", inputs, _below(step, parents)
    )


def _described(step: TransferStep) -> str:
    """Write down everything that a transfer says of itself."""
    said = {
        name: msgspec.to_builtins(getattr(step, name))
        for name in step.__struct_fields__
        if name not in _ASIDE
    }
    return json.dumps(said, sort_keys=True)


def _listing(bench: Workbench, step: TransferStep, origins: Origins) -> str:
    """Digest what a transfer selects of a context, without a look at where it goes."""
    from dissolver._core.copy import CopyPart
    from dissolver.build.copy_step import as_plain, excluded

    excludes = excluded(step)
    if isinstance(step, CopyStep):
        if not step.sources:
            return ""
        origin = origins.find(step.from_)
        part = CopyPart(
            origin.entries,
            step.sources,
            keeps_owner=origin.keeps_owner,
            pivots=step.pivots or None,
            excludes=excludes,
        )
        return _digest(bench, step, part)
    sources = step.sources if isinstance(step, AddStep) else ()
    names = [source.path for source in sources if isinstance(source, LocalSource)]
    if not names:
        return ""
    origin = origins.find(None)

    def part_of(name: str) -> CopyPart:
        return CopyPart(origin.entries, [name], keeps_owner=origin.keeps_owner, excludes=excludes)

    # Each by itself: of two archives with one name, both are unpacked.
    selected = [path for name in names for path, _ in part_of(name).selected()]
    parts = (part_of(as_plain(f"/{os.fsdecode(path)}")) for path in selected)
    return " ".join(_digest(bench, step, part) for part in parts)


def _digest(bench: Workbench, step: TransferStep, part: CopyPart) -> str:
    from dissolver._core.copy import CopyPlan

    plan = CopyPlan.for_parts(
        bench.store.layers.view(()),
        [part],
        step.destination,
        owner=None,
        mode=None,
        new_directory_mtime=0,
    )
    return plan.digest()
