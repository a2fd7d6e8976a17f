"""The whole of a build: read, plan, carry out, store."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from dissolver.build import commit
from dissolver.build.context import BuildContext
from dissolver.build.definition import check_context, read_definition, read_ignore_file
from dissolver.build.events import Progress
from dissolver.build.request import BuildResult
from dissolver.build.scheduler import Cancellation, run_all
from dissolver.build.stage import PlannedStage, PlannedStep, StageResult, build_stage
from dissolver.build.workbench import Workbench
from dissolver.errors import ImageNotFound
from dissolver.image.reference import DEFAULT_TAG, parse_reference
from dissolver.plan.graph import ImageBase, StageBase
from dissolver.plan.steps import CopyStep

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from dissolver.build.definition import Definition
    from dissolver.build.events import OnEvent, OpenVertex
    from dissolver.build.request import BuildRequest
    from dissolver.dockerfile.ast import Dockerfile
    from dissolver.errors import Where
    from dissolver.image.config import Image, ImageConfig
    from dissolver.image.reference import Reference
    from dissolver.plan.graph import Stage, StageGraph
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
    is removed first. Steps that were finished when a
    build fails or is cancelled stay cached; nothing else stays. The same inputs
    give the same image ID.

    Raises:
        DockerfileError: a mistake in the Dockerfile.
        BuildError: a step failed, or something it needs is missing.
        ImageNotFound: a base is no local image.
        Cancelled: ``cancel`` was set. Ctrl-C ends the build as well, and passes through.
    """
    began = time.monotonic()
    tags = [parse_reference(tag) for tag in request.tags]
    root = check_context(request.context)
    progress = Progress(on_event)
    with ExitStack() as stack:
        stack.enter_context(store.lock_shared())
        store.sweep()
        definition, dockerfile = _load_definition(request, root, progress)
        context = _load_ignore_rules(store, definition, root, progress)
        graph = _graph(dockerfile, request)
        images = _load_metadata(store, graph, progress)
        bench = Workbench(
            store=store,
            request=request,
            context=context,
            images=images,
            cancellation=Cancellation(cancel),
            identity=f"{definition.path or definition.name}\n{root}",
            workspace=stack.enter_context(store.workspace()),
        )
        results = _carry_out(bench, graph, progress)
        image = commit.export(store, results[graph.target.index].config, tags, progress)
    outcomes = [outcome for stage in graph.needed for outcome in results[stage.index].outcomes]
    return BuildResult(image, tuple(outcomes), time.monotonic() - began)


def _load_definition(
    request: BuildRequest, root: Path, progress: Progress
) -> tuple[Definition, Dockerfile]:
    from dissolver.dockerfile.parse import parse

    name = (request.dockerfile or "Dockerfile").rpartition("/")[2]
    with progress.vertex(f"[internal] load build definition from {name}") as vertex:
        with vertex.status("transferring dockerfile:") as status:
            definition = read_definition(request, root)
            status.reached(definition.size)
        return definition, parse(definition.text, name=definition.name)


def _load_ignore_rules(
    store: Store, definition: Definition, root: Path, progress: Progress
) -> BuildContext:
    from dissolver.dockerfile.ignore import read_ignore

    with progress.vertex("[internal] load .dockerignore") as vertex:
        with vertex.status("transferring context:") as status:
            ignore = read_ignore_file(definition, root)
            # BuildKit tells 2 bytes where nothing had to be sent.
            status.reached(max(ignore.size, 2))
        patterns = read_ignore(ignore.text, name=ignore.name)
        context = BuildContext(root, ignore, patterns, store.stat_cache(root))
        if patterns:
            context.rules  # noqa: B018 - a malformed pattern is this vertex's error
    return context


def _graph(dockerfile: Dockerfile, request: BuildRequest) -> StageGraph:
    import os

    from dissolver.image.platform import platform_of_machine
    from dissolver.plan.graph import stage_graph

    return stage_graph(
        dockerfile,
        build_args=request.build_args,
        target=request.target,
        platform=platform_of_machine(os.uname().machine),
    )


def _image_uses(graph: StageGraph) -> Iterator[tuple[Reference, Where]]:
    """List the images that needed stages start from or copy from, and where they say so."""
    for stage in graph.needed:
        if isinstance(stage.base, ImageBase):
            yield stage.base.reference, stage.where
        for reference in stage.images:
            yield reference, stage.where


def _load_metadata(
    store: Store, graph: StageGraph, progress: Progress
) -> Mapping[Reference, Image]:
    images: dict[Reference, Image] = {}
    for reference, where in _image_uses(graph):
        if reference in images:
            continue
        with progress.vertex(f"[internal] load metadata for {reference.canonical}"):
            images[reference] = _resolve(store, graph, reference, where)
    return images


def _resolve(store: Store, graph: StageGraph, reference: Reference, where: Where) -> Image:
    """Find a local image by name, digest or ID prefix."""
    from dissolver.plan.graph import misspelt_stage

    try:
        return store.images.resolve(reference.familiar)
    except ImageNotFound as error:
        # A bare word may be the beginning of an ID, which has no tag.
        if reference.tag == DEFAULT_TAG and reference.digest is None:
            with suppress(ImageNotFound):
                return store.images.resolve(reference.name_familiar)
        error.where = where
        raise (misspelt_stage(graph, reference) or error) from None


def _carry_out(bench: Workbench, graph: StageGraph, progress: Progress) -> dict[int, StageResult]:
    from dissolver.plan.numbering import number_steps

    lowered = _lower(bench, graph)
    context_vertex: OpenVertex | None = None
    planned: dict[int, PlannedStage] = {}
    for stage in graph.needed:
        base, low = lowered[stage.index]
        numbers = number_steps(low)
        from_vertex = _announce_base(bench, stage, numbers.base, progress)
        if context_vertex is None and _reads_context(low):
            context_vertex = progress.vertex("[internal] load build context")
        planned[stage.index] = PlannedStage(
            low, base, from_vertex, tuple(_announce_steps(low, numbers.steps, progress))
        )
    if context_vertex is not None:
        bench.context.load(context_vertex)
    return run_all(
        {stage.index: stage.depends_on for stage in graph.needed},
        lambda index, results: build_stage(bench, planned[index], results),
        bench.cancellation,
    )


def _lower(bench: Workbench, graph: StageGraph) -> dict[int, tuple[ImageConfig, LoweredStage]]:
    """Turn every needed stage into steps; answer them with what they start from."""
    from dissolver.plan.lower import lower_stage

    lowered: dict[int, tuple[ImageConfig, LoweredStage]] = {}
    for stage in graph.needed:
        base, args = _base(bench, stage, lowered)
        low = lower_stage(
            graph, stage, base, build_args=bench.request.build_args, inherited_args=args
        )
        lowered[stage.index] = base, low
    return lowered


def _base(
    bench: Workbench, stage: Stage, lowered: Mapping[int, tuple[ImageConfig, LoweredStage]]
) -> tuple[ImageConfig, Mapping[str, str | None]]:
    from dissolver.image.mutate import empty_image

    if isinstance(stage.base, StageBase):
        below = lowered[stage.base.index][1]
        return below.config, below.args
    if isinstance(stage.base, ImageBase):
        return bench.images[stage.base.reference].config, {}
    return empty_image(stage.platform), {}


def _reads_context(stage: LoweredStage) -> bool:
    return any(isinstance(step, CopyStep) and step.from_ is None for step in stage.steps)


def _announce_steps(
    low: LoweredStage, labels: Sequence[str | None], progress: Progress
) -> Iterator[PlannedStep]:
    places: dict[str, int] = {}
    for step, label in zip(low.steps, labels, strict=True):
        vertex = None if label is None else progress.vertex(label + step.display)
        kind = type(step).__name__
        places[kind] = places.get(kind, 0) + 1
        stage = low.stage
        yield PlannedStep(step, vertex, f"{stage.name or stage.index}/{kind}/{places[kind]}")


def _announce_base(
    bench: Workbench, stage: Stage, label: str | None, progress: Progress
) -> OpenVertex | None:
    """Announce a FROM that takes an image, with the digest of what it stands for."""
    if label is None or not isinstance(stage.base, ImageBase):
        return None
    image = bench.images[stage.base.reference]
    return progress.vertex(f"{label}FROM {stage.base.reference.name}@{image.id}")
