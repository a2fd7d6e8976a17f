"""One stage: its steps in turn, each from the cache or carried out."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dissolver.build import commit, copy_step, run_step
from dissolver.build.context_base import on_context
from dissolver.build.origins import take_origins
from dissolver.build.request import StepOutcome
from dissolver.cache.policy import Hit, look_up
from dissolver.errors import CoreFailure
from dissolver.plan.graph import ContextBase, StageBase
from dissolver.plan.steps import AddStep, CopyStep, RunStep, WorkdirStep

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dissolver.build.add_step import AddWork
    from dissolver.build.copy_step import CopyWork
    from dissolver.build.events import OpenVertex
    from dissolver.build.origins import Origins
    from dissolver.build.run_step import RunWork
    from dissolver.build.scheduler import Results
    from dissolver.build.shared_steps import SharedStep
    from dissolver.build.workbench import Workbench
    from dissolver.image.config import ImageConfig
    from dissolver.image.platform import Platform
    from dissolver.plan.graph import Stage
    from dissolver.plan.lower import LoweredStage
    from dissolver.plan.steps import Step

    Work = AddWork | CopyWork | RunWork


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """A step, its vertex if it has one, and its place: what it is compared with later.

    One that ``is_done_again`` has no use for earlier results.
    """

    step: Step
    vertex: OpenVertex | None
    place: str
    is_done_again: bool


@dataclass(frozen=True, slots=True)
class PlannedStage:
    """A stage whose steps are known and announced.

    ``base`` is the configuration it starts from, without the layers of a stage
    that is not built yet.
    """

    lowered: LoweredStage
    base: ImageConfig
    from_vertex: OpenVertex | None
    steps: tuple[PlannedStep, ...]


@dataclass(frozen=True, slots=True)
class StageResult:
    """What a stage came to: an image that is not stored yet, and how it came about."""

    label: str
    config: ImageConfig
    outcomes: tuple[StepOutcome, ...]


@dataclass(frozen=True, slots=True)
class Ground:
    """What a step is carried out on: layers, bottom first, and what they are for.

    ``mtime_ns`` is the time of directories that steps make: the same for the same base.
    """

    parents: Sequence[str]
    mtime_ns: int
    platform: Platform


@dataclass(frozen=True, slots=True)
class _Layer:
    """A layer of the store, and how it came about."""

    diff_id: str
    created_ns: int
    reason: str | None


def build_stage(
    bench: Workbench, planned: PlannedStage, results: Results[StageResult]
) -> StageResult:
    """Carry out the steps of a stage, waiting for other stages where it needs them.

    Raises:
        BuildError: a step failed; what was made before it stays cached.
        Cancelled: the build was cancelled, or a stage that this one needs failed.
    """
    stage = planned.lowered.stage
    config = planned.base
    if isinstance(stage.base, StageBase):
        config = results.wait(stage.base.index).config
    elif isinstance(stage.base, ContextBase):
        config = on_context(bench, config, stage.base.context)
    if bench.supply.is_lazy:
        _leave_where_it_is(planned)
    else:
        bench.bases.fetch_for(stage, planned.from_vertex)
    mtime_ns = planned.base.created or 0
    outcomes: list[StepOutcome] = []
    for number, item in enumerate(planned.steps):
        bench.cancellation.check()
        step, vertex = item.step, item.vertex
        if not step.makes_layer or vertex is None:
            config = commit.with_step(config, step, None, bench.epoch_ns)
            continue
        origins = take_origins(bench, step, stage.platform, results)
        ground = Ground(config.diff_ids, mtime_ns, planned.base.platform)
        layer = _perform(bench, item, vertex, ground, origins, (stage.index, number))
        config = commit.with_step(config, step, layer.diff_id, bench.time_of(layer.created_ns))
        outcomes.append(
            StepOutcome(
                name=vertex.value.name,
                stage=_label(stage),
                cached=layer.reason is None,
                reason=layer.reason,
                diff_id=layer.diff_id,
                seconds=vertex.seconds,
            )
        )
    config = commit.with_start_values(config, planned.lowered.config)
    return StageResult(_label(stage), config, tuple(outcomes))


def _leave_where_it_is(planned: PlannedStage) -> None:
    """Tell that a FROM is done: what is needed of its image is fetched when it is."""
    if planned.from_vertex is not None:
        planned.from_vertex.start()
        planned.from_vertex.complete()


def _label(stage: Stage) -> str:
    return stage.name or f"stage-{stage.index}"


def _perform(
    bench: Workbench,
    item: PlannedStep,
    vertex: OpenVertex,
    ground: Ground,
    origins: Origins,
    order: tuple[int, int],
) -> _Layer:
    """Answer a step's layer, from the cache or by doing the work."""

    def attempt() -> _Layer:
        with ExitStack() as scratch:
            shared = _share(bench, item, ground, origins, order)
            early = _early(bench, item, vertex, ground, origins, shared)
            if early is not None:
                return early
            work = _plan(bench, item, vertex, ground, origins, scratch)
            return _answer(bench, item, vertex, work, shared)

    with vertex:
        if not origins.reads_directories:
            return attempt()
        seen = origins.seen()
        try:
            return attempt()
        except CoreFailure as error:
            # Somebody saved a file since the context was listed, perhaps minutes
            # ago: what counts is what the step finds now. A file that keeps
            # changing is an error.
            if error.kind != "changed-while-read":
                raise
            for context, tree in seen:
                context.again(tree)
            return attempt()


def _plan(
    bench: Workbench,
    item: PlannedStep,
    vertex: OpenVertex,
    ground: Ground,
    origins: Origins,
    scratch: ExitStack,
) -> Work:
    step, parents, mtime_ns = item.step, ground.parents, ground.mtime_ns
    if isinstance(step, RunStep):
        return run_step.plan_run(bench, step, parents, origins, item.place, ground.platform)
    if isinstance(step, CopyStep):
        source = origins.find(step.from_)
        return copy_step.plan_copy(bench, step, parents, source, mtime_ns, item.place, scratch)
    if isinstance(step, AddStep):
        from dissolver.build import add_step

        return add_step.plan_add(bench, step, parents, mtime_ns, item.place, vertex, scratch)
    if isinstance(step, WorkdirStep):
        return copy_step.plan_workdir(bench, step, parents, mtime_ns)
    raise TypeError(f"a {type(step).__name__} makes no layer")


def _share(
    bench: Workbench,
    item: PlannedStep,
    ground: Ground,
    origins: Origins,
    order: tuple[int, int],
) -> SharedStep | None:
    """Prepare what shared caches are asked and told, if the build names any."""
    if bench.sharing is None:
        return None
    from dissolver.build.shared_steps import share

    return share(
        bench,
        bench.sharing,
        item.step,
        ground.parents,
        origins,
        ground.platform,
        order=order,
        place=item.place,
    )


def _early(
    bench: Workbench,
    item: PlannedStep,
    vertex: OpenVertex,
    ground: Ground,
    origins: Origins,
    shared: SharedStep | None,
) -> _Layer | None:
    """Answer a step whose layers below are not here; else have those that its key needs."""
    if shared is None:
        return None
    from dissolver.build.shortcuts import needed_layers

    needed = needed_layers(item.step, ground.parents, origins)
    if not bench.supply.lacks(needed):
        return None
    record = None if _ignores_cache(item) else shared.early()
    if record is not None:
        vertex.cached()
        return _Layer(record.diff_id, record.created_ns, None)
    bench.supply.have(needed, vertex)
    return None


def _ignores_cache(item: PlannedStep) -> bool:
    # As for BuildKit, `--no-cache` runs again what has an effect of its own; a
    # directory that exists has none.
    return item.is_done_again and not isinstance(item.step, WorkdirStep)


def _answer(
    bench: Workbench,
    item: PlannedStep,
    vertex: OpenVertex,
    work: Work,
    shared: SharedStep | None,
) -> _Layer:
    """Look the work's key up, do the work on a miss, and record the result."""
    ignores = _ignores_cache(item)
    with bench.turns.of(work.key.digest, bench.cancellation):
        known = bench.turns.made(work.key.digest) if ignores else None
        if known is not None:
            # Another build of those at the same time has just done it again.
            vertex.cached()
            if shared is not None:
                shared.done(known, work.key)
            return _Layer(known.diff_id, known.created_ns, None)
        return _answer_alone(bench, item, vertex, work, shared, ignores=ignores)


def _answer_alone(
    bench: Workbench,
    item: PlannedStep,
    vertex: OpenVertex,
    work: Work,
    shared: SharedStep | None,
    *,
    ignores: bool,
) -> _Layer:
    from dissolver.store.records import StepRecord

    found = look_up(
        bench.store,
        work.key,
        no_cache=ignores,
        build=bench.identity,
        step=item.place,
        earlier=bench.predecessors.places,
        elsewhere=bench.sharing,
    )
    if isinstance(found, Hit):
        reason = None
        if shared is not None:
            note = shared.found if found.is_elsewhere else shared.done
            note(found.record, work.key)
            reason = shared.reason(work.key)
        if reason is None:
            vertex.cached()
        return _Layer(found.record.diff_id, found.record.created_ns, reason)
    if shared is not None:
        shared.missed(work.key, found.reason)
    layer = work.make(bench, vertex)
    records = bench.store.records
    # Another build may have made the same layer meanwhile. Taking its result
    # lets both go on alike, and share what follows.
    made = None if ignores else records.find(work.key.digest)
    if made is not None:
        if shared is not None:
            shared.done(made, work.key)
        return _Layer(made.diff_id, made.created_ns, found.reason)
    record = StepRecord(
        key=work.key.digest,
        kind=work.kind,
        diff_id=layer.diff_id,
        created_ns=time.time_ns(),
        build=bench.identity,
        step=item.place,
        inputs=work.key.inputs,
    )
    records.put(record)
    bench.turns.keep(record)
    if shared is not None:
        shared.done(record, work.key)
    return _Layer(record.diff_id, record.created_ns, found.reason)
