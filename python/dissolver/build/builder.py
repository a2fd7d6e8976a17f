"""The whole of a build: prepare, carry out the stages, store the image."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from dissolver.build import commit
from dissolver.build.events import Progress
from dissolver.build.preparation import prepare
from dissolver.build.request import BuildResult
from dissolver.build.scheduler import Cancellation, run_all
from dissolver.build.stage import PlannedStage, PlannedStep, StageResult, build_stage
from dissolver.build.workbench import Workbench
from dissolver.image.reference import parse_reference
from dissolver.plan.graph import ImageBase
from dissolver.plan.steps import CopyStep

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Sequence

    from dissolver.build.events import OnEvent, OpenVertex
    from dissolver.build.preparation import Preparation
    from dissolver.build.request import BuildRequest
    from dissolver.plan.graph import Stage
    from dissolver.plan.lower import LoweredStage
    from dissolver.store import Store


def build(
    store: Store,
    request: BuildRequest,
    on_event: OnEvent | None = None,
    *,
    cancel: threading.Event | None = None,
) -> BuildResult:
    """Build the image that ``request`` describes, and store it under its tags.

    The store's lock is held shared meanwhile, and what killed builds left half done
    is removed first. Steps that were finished when a build fails or is cancelled stay
    cached; nothing else stays. The same inputs give the same image ID.

    Raises:
        DockerfileError: a mistake in the Dockerfile.
        BuildError: a step failed, or something it needs is missing.
        ImageNotFound: a base is no local image.
        Cancelled: ``cancel`` was set. Ctrl-C ends the build as well, and passes through.
    """
    began = time.monotonic()
    tags = [parse_reference(tag) for tag in request.tags]
    progress = Progress(on_event)
    with store.lock_shared():
        store.sweep()
        prepared = prepare(store, request, progress)
        results = _carry_out(store, request, prepared, progress, Cancellation(cancel))
        config = results[prepared.graph.target.index].config
        image = commit.export(store, config, tags, progress)
    outcomes = [
        outcome for stage in prepared.graph.needed for outcome in results[stage.index].outcomes
    ]
    return BuildResult(image, tuple(outcomes), time.monotonic() - began)


def explain_plan(store: Store, request: BuildRequest) -> str:
    """Say in words what a build of ``request`` would do; nothing is run or written.

    Raises:
        DockerfileError: a mistake in the Dockerfile.
        BuildError: a file cannot be read.
        ImageNotFound: a base is no local image.
    """
    from dissolver.plan.explain import explain

    prepared = prepare(store, request, Progress(None))
    return explain(prepared.graph, prepared.lowered)


def _carry_out(
    store: Store,
    request: BuildRequest,
    prepared: Preparation,
    progress: Progress,
    cancellation: Cancellation,
) -> dict[int, StageResult]:
    bench = Workbench(
        store=store,
        request=request,
        context=prepared.context,
        images=prepared.images,
        cancellation=cancellation,
        identity=prepared.identity,
    )
    planned, context_vertex = _announce(prepared, progress)
    for stage in planned.values():
        if stage.from_vertex is not None:
            # The image is in the store: there is nothing left to do for a FROM.
            stage.from_vertex.start()
            stage.from_vertex.complete()
    if context_vertex is not None:
        bench.context.load(context_vertex)
    return run_all(
        {stage.index: stage.depends_on for stage in prepared.graph.needed},
        lambda index, results: build_stage(bench, planned[index], results),
        cancellation,
    )


def _announce(
    prepared: Preparation, progress: Progress
) -> tuple[dict[int, PlannedStage], OpenVertex | None]:
    """Tell about everything that will be done, before the first of it begins."""
    from dissolver.plan.numbering import number_steps

    context_vertex: OpenVertex | None = None
    planned: dict[int, PlannedStage] = {}
    for stage in prepared.graph.needed:
        lowered = prepared.lowered[stage.index]
        numbers = number_steps(lowered)
        from_vertex = _announce_base(prepared, stage, numbers.base, progress)
        if context_vertex is None and _reads_context(lowered):
            context_vertex = progress.vertex("[internal] load build context")
        steps = tuple(_announce_steps(lowered, numbers.steps, progress))
        base = prepared.bases[stage.index]
        planned[stage.index] = PlannedStage(lowered, base, from_vertex, steps)
    return planned, context_vertex


def _reads_context(lowered: LoweredStage) -> bool:
    return any(isinstance(step, CopyStep) and step.from_ is None for step in lowered.steps)


def _announce_base(
    prepared: Preparation, stage: Stage, label: str | None, progress: Progress
) -> OpenVertex | None:
    """Announce a FROM that takes an image, with the digest of what it stands for."""
    if label is None or not isinstance(stage.base, ImageBase):
        return None
    image = prepared.images[stage.base.reference]
    return progress.vertex(f"{label}FROM {stage.base.reference.name}@{image.id}")


def _announce_steps(
    lowered: LoweredStage, labels: Sequence[str | None], progress: Progress
) -> Iterator[PlannedStep]:
    stage = lowered.stage.name or str(lowered.stage.index)
    places: dict[str, int] = {}
    for step, label in zip(lowered.steps, labels, strict=True):
        vertex = None if label is None else progress.vertex(label + step.display)
        kind = type(step).__name__
        places[kind] = places.get(kind, 0) + 1
        yield PlannedStep(step, vertex, f"{stage}/{kind}/{places[kind]}")
