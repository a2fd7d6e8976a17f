"""The stages of one build: announced, carried out, and their layers had."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dissolver.build.bases import sought_base
from dissolver.build.origins import origins_of
from dissolver.build.preparation import names_stage
from dissolver.build.scheduler import run_all
from dissolver.build.stage import PlannedStage, PlannedStep, StageResult, build_stage
from dissolver.errors import CacheUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dissolver.build.bases import BaseImages
    from dissolver.build.events import OpenVertex, Progress
    from dissolver.build.preparation import Preparation
    from dissolver.build.request import BuildRequest
    from dissolver.build.workbench import Workbench
    from dissolver.image.config import ImageConfig
    from dissolver.plan.graph import Stage
    from dissolver.plan.lower import LoweredStage


def build_stages(
    bench: Workbench, prepared: Preparation, progress: Progress
) -> dict[int, StageResult]:
    """Carry out every stage that the target needs, and have the layers of the result.

    Everything is announced before the first step begins; answers the results by the
    indexes of the stages.

    Raises:
        BuildError: a step failed, or something it needs is missing.
        Cancelled: the build was cancelled. Ctrl-C ends it as well, and passes through.
    """
    planned, context_vertex = _announce(prepared, bench.bases, bench.request, progress)
    for stage in planned.values():
        base = sought_base(stage.lowered.stage)
        is_there = base is not None and not bench.bases.is_remote(base)
        if stage.from_vertex is not None and is_there:
            # The image is in the store: there is nothing left to do for a FROM.
            stage.from_vertex.start()
            stage.from_vertex.complete()
    if context_vertex is not None:
        bench.context.load(context_vertex)
    for name, context in bench.contexts.items():
        context.load(progress.vertex(f"[context {name}] load from client"))
    return _carry_out(bench, prepared, planned, progress)


def _carry_out(
    bench: Workbench,
    prepared: Preparation,
    planned: Mapping[int, PlannedStage],
    progress: Progress,
) -> dict[int, StageResult]:
    """Carry out the stages, and have the layers of the result.

    What a shared cache does not give although it said it has it is left out, and what that
    answered is done again: no build fails because of it.
    """
    while True:
        try:
            results = run_all(
                {stage.index: stage.depends_on for stage in prepared.graph.needed},
                lambda index, results: build_stage(bench, planned[index], results),
                bench.cancellation,
            )
            _load_result(bench, results[prepared.graph.target.index].config, progress)
        except CacheUnavailable as failure:
            if bench.sharing is None:
                raise
            name = f"[internal] go on without {failure.blob or failure.depot}"
            with progress.vertex(name) as vertex:
                bench.sharing.leave_out(failure, bench.supply, vertex)
            bench.sharing.restart()
            bench.cancellation.renew()
            for stage in planned.values():
                for step in stage.steps:
                    if step.vertex is not None:
                        step.vertex.reopen()
        else:
            return results


def _load_result(bench: Workbench, config: ImageConfig, progress: Progress) -> None:
    """Have the layers of the result in the store."""
    if not bench.supply.lacks(config.diff_ids):
        return
    failure = None
    with progress.vertex("[internal] load cached layers") as vertex:
        try:
            bench.supply.have(config.diff_ids, vertex)
        except CacheUnavailable as error:
            failure = error  # No failure of the build: it goes on without that cache.
    if failure is not None:
        raise failure


def _announce(
    prepared: Preparation, bases: BaseImages, request: BuildRequest, progress: Progress
) -> tuple[dict[int, PlannedStage], OpenVertex | None]:
    """Tell about everything that will be done, before the first of it begins."""
    from dissolver.plan.numbering import number_steps

    context_vertex: OpenVertex | None = None
    planned: dict[int, PlannedStage] = {}
    for stage in prepared.graph.needed:
        lowered = prepared.lowered[stage.index]
        numbers = number_steps(lowered)
        from_vertex = _announce_base(prepared, bases, stage, numbers.base, progress)
        if context_vertex is None and _reads_context(lowered):
            context_vertex = progress.vertex("[internal] load build context")
        steps = tuple(_announce_steps(lowered, numbers.steps, request, progress))
        base = prepared.bases[stage.index]
        planned[stage.index] = PlannedStage(lowered, base, from_vertex, steps)
    return planned, context_vertex


def _reads_context(lowered: LoweredStage) -> bool:
    return any(origin is None for step in lowered.steps for origin in origins_of(step))


def _announce_base(
    prepared: Preparation,
    bases: BaseImages,
    stage: Stage,
    label: str | None,
    progress: Progress,
) -> OpenVertex | None:
    """Announce a FROM that takes an image, with the digest of what it stands for."""
    base = sought_base(stage)
    if label is None or base is None:
        return None
    digest = bases.digest(base, prepared.images[base])
    return progress.vertex(f"{label}FROM {base.reference.name}@{digest}")


def _announce_steps(
    lowered: LoweredStage, labels: Sequence[str | None], request: BuildRequest, progress: Progress
) -> Iterator[PlannedStep]:
    is_done_again = request.no_cache or names_stage(request, lowered.stage)
    stage = lowered.stage.name or str(lowered.stage.index)
    places: dict[str, int] = {}
    for step, label in zip(lowered.steps, labels, strict=True):
        vertex = None if label is None else progress.vertex(label + step.display)
        kind = type(step).__name__
        places[kind] = places.get(kind, 0) + 1
        yield PlannedStep(step, vertex, f"{stage}/{kind}/{places[kind]}", is_done_again)
