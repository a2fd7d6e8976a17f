"""The whole of a build: prepare, carry out the stages, store the image."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from dissolver.build import commit
from dissolver.build.bases import BaseImages, sought_base
from dissolver.build.epoch import epoch_of
from dissolver.build.events import Progress
from dissolver.build.fetching import Fetcher
from dissolver.build.origins import origins_of
from dissolver.build.outputs import Exporter, Target, check_outputs
from dissolver.build.predecessor import Predecessors
from dissolver.build.preparation import names_stage, prepare
from dissolver.build.request import BuildResult
from dissolver.build.rights import check_steps
from dissolver.build.scheduler import Cancellation, run_all
from dissolver.build.ssh_agents import Agents
from dissolver.build.stage import PlannedStage, PlannedStep, StageResult, build_stage
from dissolver.build.supply import Supply
from dissolver.build.together import Together
from dissolver.build.workbench import Workbench
from dissolver.errors import CacheUnavailable
from dissolver.image.annotations import annotations_for
from dissolver.image.reference import parse_new_name

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Mapping, Sequence

    from dissolver.build.bases import OpenSources
    from dissolver.build.events import OnEvent, OpenVertex
    from dissolver.build.preparation import Preparation
    from dissolver.build.request import BuildRequest
    from dissolver.image.config import ImageConfig
    from dissolver.plan.graph import Stage
    from dissolver.plan.lower import LoweredStage
    from dissolver.store import Store


def build(
    store: Store,
    request: BuildRequest,
    on_event: OnEvent | None = None,
    *,
    cancel: threading.Event | None = None,
    open_sources: OpenSources | None = None,
) -> BuildResult:
    """Build what ``request`` describes, and leave behind what it wants.

    By default that is the image in the store, under its tags.

    The store's lock is held shared meanwhile, and what killed builds left half done
    is removed first. Steps that were finished when a build fails or is cancelled stay
    cached; nothing else stays. The same inputs give the same image ID.

    Raises:
        DockerfileError: a mistake in the Dockerfile.
        BuildError: a step failed, or something it needs is missing.
        ImageNotFound: a base is neither in the store nor to be had from its registry; without
            ``open_sources`` none is asked.
        Cancelled: ``cancel`` was set. Ctrl-C ends the build as well, and passes through.
    """
    return build_within(Together(on_event, cancel, open_sources), store, request)


def build_within(
    together: Together,
    store: Store,
    request: BuildRequest,
    *,
    label: str = "",
) -> BuildResult:
    """Build as ``build`` does, beside others; the display calls it by its ``label``."""
    began = time.monotonic()
    tags = tuple(parse_new_name(tag) for tag in request.tags)
    epoch_ns = epoch_of(request.build_args)
    check_outputs(request)
    progress = together.progress.labelled(label)
    cancellation = Cancellation(together.cancellation)
    is_over = cancellation.is_requested
    temporary: list[str] = []
    with ExitStack() as stack:
        stack.callback(store.release_layers, temporary)
        stack.enter_context(store.lock_shared())
        bases = stack.enter_context(
            BaseImages(
                store,
                together.open_sources,
                progress,
                cancellation,
                asks_first=request.pull,
                turns=together.turns,
            )
        )
        store.sweep()
        agents = stack.enter_context(Agents(store, request.ssh))
        fetcher = Fetcher(store, request, bases, agents, cancellation, temporary, together.turns)
        prepared = prepare(store, request, progress, bases, fetcher, together)
        check_steps(request, prepared.steps)
        annotations = annotations_for(request.annotations, prepared.platform)
        sharing = None
        if request.shares_cache:
            from dissolver.build.sharing import Sharing

            ways = together.open_sources
            sharing = stack.enter_context(Sharing(store, request, ways, progress, is_over))
        supply = Supply(store, bases, is_over, is_lazy=bool(request.cache_from))
        bench = Workbench(
            store=store,
            request=request,
            context=prepared.context,
            contexts=prepared.contexts,
            images=prepared.images,
            bases=bases,
            cancellation=cancellation,
            identity=prepared.identity,
            agents=agents,
            fetcher=fetcher,
            predecessors=Predecessors(store, prepared.identity),
            epoch_ns=epoch_ns,
            turns=together.turns,
            sharing=sharing,
            supply=supply,
        )
        if sharing is not None:
            sharing.open(prepared.graph, supply)
        results = _build_stages(bench, prepared, progress)
        config = commit.finished(results[prepared.graph.target.index].config, request, epoch_ns)
        if sharing is not None:
            config = sharing.inscribed(config)
        target = Target(config, prepared.base_layers, tags, annotations, epoch_ns)
        exporter = Exporter(store, target, bases, progress, cancellation, temporary)
        image, exported = exporter.run(request.outputs)
        if sharing is not None:
            sharing.export()
    outcomes = [
        outcome for stage in prepared.graph.needed for outcome in results[stage.index].outcomes
    ]
    return BuildResult(
        image, tuple(outcomes), time.monotonic() - began, annotations=annotations, outputs=exported
    )


def explain_plan(
    store: Store, request: BuildRequest, open_sources: OpenSources | None = None
) -> str:
    """Say in words what a build of ``request`` would do; nothing is run.

    What has to be fetched to know that is kept for the build.

    Raises:
        DockerfileError: a mistake in the Dockerfile.
        BuildError: a file cannot be read.
        ImageNotFound: as for ``build``.
    """
    from dissolver.plan.explain import explain

    temporary: list[str] = []
    with ExitStack() as stack:
        stack.callback(store.release_layers, temporary)
        stack.enter_context(store.lock_shared())
        silent, cancellation = Progress(None), Cancellation()
        bases = stack.enter_context(BaseImages(store, open_sources, silent, cancellation))
        agents = stack.enter_context(Agents(store, request.ssh))
        fetcher = Fetcher(store, request, bases, agents, cancellation, temporary)
        prepared = prepare(store, request, silent, bases, fetcher, Together())
    return explain(prepared.graph, prepared.lowered)


def _build_stages(
    bench: Workbench, prepared: Preparation, progress: Progress
) -> dict[int, StageResult]:
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
