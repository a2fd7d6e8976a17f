"""The whole of a build: prepare, carry out the stages, store the image."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from dissolver.build.bases import BaseImages
from dissolver.build.epoch import epoch_of
from dissolver.build.events import Progress
from dissolver.build.fetching import Fetcher
from dissolver.build.preparation import prepare
from dissolver.build.request import BuildResult
from dissolver.build.scheduler import Cancellation
from dissolver.build.ssh_agents import Agents
from dissolver.build.together import Together
from dissolver.image.reference import parse_new_name

if TYPE_CHECKING:
    import threading

    from dissolver.build.bases import OpenSources
    from dissolver.build.events import OnEvent
    from dissolver.build.request import BuildRequest
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
    if request.outputs:
        from dissolver.build.outputs import check_outputs

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
        agents = stack.enter_context(Agents(store, request.ssh, request.refuse_moved))
        fetcher = Fetcher(store, request, bases, agents, cancellation, temporary, together.turns)
        prepared = prepare(store, request, progress, bases, fetcher, together, begins=True)
        # The context is being listed: what is left to import is imported meanwhile.
        from dissolver.build import commit
        from dissolver.build.outputs import Exporter, Target
        from dissolver.build.predecessor import Predecessors
        from dissolver.build.rights import check_steps
        from dissolver.build.stages import build_stages
        from dissolver.build.supply import Supply
        from dissolver.build.workbench import Workbench
        from dissolver.image.annotations import annotations_for

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
            request.refuse_moved()
            sharing.open(prepared.graph, supply)
        results = build_stages(bench, prepared, progress)
        config = commit.finished(results[prepared.graph.target.index].config, request, epoch_ns)
        if sharing is not None:
            config = sharing.inscribed(config)
        target = Target(config, prepared.base_layers, tags, annotations, epoch_ns)
        exporter = Exporter(store, target, bases, progress, cancellation, temporary, request)
        image, exported = exporter.run(request.outputs)
        if sharing is not None:
            request.refuse_moved()
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
        agents = stack.enter_context(Agents(store, request.ssh, request.refuse_moved))
        fetcher = Fetcher(store, request, bases, agents, cancellation, temporary)
        prepared = prepare(store, request, silent, bases, fetcher, Together())
    return explain(prepared.graph, prepared.lowered)
