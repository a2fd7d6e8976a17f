"""What a build finds out before its first step: Dockerfile, rules, images, plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dissolver.build.bases import Sought, sought_base
from dissolver.build.contexts import Contexts
from dissolver.errors import AmbiguousIdentifier, DockerfileError, ImageNotFound, RegistryError
from dissolver.plan.graph import ContextBase, StageBase

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dissolver.build.bases import BaseImages
    from dissolver.build.events import OpenVertex, Progress
    from dissolver.build.fetching import Fetcher
    from dissolver.build.layer_context import Context
    from dissolver.build.request import BuildRequest
    from dissolver.build.together import Together
    from dissolver.dockerfile.ast import Dockerfile
    from dissolver.image.config import Image, ImageConfig
    from dissolver.image.platform import Platform
    from dissolver.image.reference import Reference
    from dissolver.plan.graph import Stage, StageGraph
    from dissolver.plan.lower import LoweredStage
    from dissolver.plan.steps import Step
    from dissolver.store import Store


IMAGE_SCHEME = "docker-image://"
LAYOUT_SCHEME = "oci-layout://"

SYNTAX_ARGUMENT = "BUILDKIT_SYNTAX"
"""The build argument that is said instead of the file's own ``# syntax=``."""

DOCKERFILE_SYNTAXES = ("dockerfile", "dockerfile-upstream", "dockerfile.v0")
"""Syntaxes that are built in, by the ends of their names: mirrors have them under others."""


@dataclass(frozen=True, slots=True)
class Preparation:
    """Everything that is known before the first step.

    ``bases`` and ``lowered`` hold, by the index of each needed stage, the configuration it
    starts from and its steps. ``identity`` names what is built again and again.
    """

    context: Context
    contexts: Mapping[str, Context]
    graph: StageGraph
    images: Mapping[Sought, Image]
    bases: Mapping[int, ImageConfig]
    lowered: Mapping[int, LoweredStage]
    identity: str

    @property
    def platform(self) -> Platform:
        """What the image will be for."""
        return self.lowered[self.graph.target.index].config.platform

    @property
    def steps(self) -> Iterator[Step]:
        """The steps of all stages, in the order in which they could be carried out."""
        return (step for stage in self.graph.needed for step in self.lowered[stage.index].steps)

    @property
    def base_layers(self) -> int:
        """How many layers of the target are those of the image that it is built on."""
        stage = self.graph.target
        while isinstance(stage.base, StageBase):
            stage = self.graph.stages[stage.base.index]
        base = sought_base(stage)
        return 0 if base is None else len(self.images[base].config.diff_ids)


def prepare(
    store: Store,
    request: BuildRequest,
    progress: Progress,
    bases: BaseImages,
    fetcher: Fetcher,
    together: Together,
    *,
    begins: bool = False,
) -> Preparation:
    """Read what ``request`` names, find its images, and plan; nothing waits for a listing.

    With ``begins``, a context that steps copy from begins to be listed at once.

    Raises:
        DockerfileError: a mistake in the Dockerfile.
        BuildError: a file cannot be read.
        ImageNotFound: an image is neither in the store nor to be had from its registry.
    """
    contexts = Contexts(store, request, progress, fetcher, together)
    opened = contexts.open()
    known = _named_images(store, request, bases)
    graph = _graph(opened.dockerfile, request, known)
    if begins and _copies_from_context(graph):
        opened.context.begin()
    _warn_of_unused_arguments(opened.dockerfile, request, opened.vertex)
    _warn_of_another_language(opened.dockerfile, request, opened.vertex)
    _warn_of_unknown_stages(graph, request, opened.vertex)
    graph, images = _load_metadata(bases, graph, request, progress)
    starts, lowered = _lower(graph, images, request)
    _check(graph, starts, request, opened.context, opened.vertex)
    definition = opened.definition
    identity = f"{definition.path or definition.name}\n{opened.context.identity}"
    return Preparation(
        context=opened.context,
        contexts={
            name: contexts.named(name, request.contexts[name]) for name in _used_contexts(graph)
        },
        graph=graph,
        images=images,
        bases=starts,
        lowered=lowered,
        identity=identity,
    )


def _named_images(
    store: Store, request: BuildRequest, bases: BaseImages
) -> dict[str, Reference | None]:
    """Tell images from files among the named contexts; images of layouts are taken in."""
    from dissolver.image.reference import parse_reference

    found: dict[str, Reference | None] = {}
    for name, value in request.contexts.items():
        found[name] = None
        if value.startswith(IMAGE_SCHEME):
            found[name] = parse_reference(value.removeprefix(IMAGE_SCHEME))
        elif value.startswith(LAYOUT_SCHEME):
            from dissolver.intake.layout_image import load_layout_image

            request.refuse_moved()
            image = load_layout_image(store, value.removeprefix(LAYOUT_SCHEME))
            found[name] = bases.adopt(image)
    for name, image in request.context_images.items():
        found[name] = bases.adopt(image)
    return found


def _used_contexts(graph: StageGraph) -> list[str]:
    used: dict[str, None] = {}
    for stage in graph.needed:
        if isinstance(stage.base, ContextBase):
            used[stage.base.context.name] = None
        used.update(dict.fromkeys(context.name for context in stage.contexts))
    return list(used)


def _graph(
    dockerfile: Dockerfile, request: BuildRequest, contexts: Mapping[str, Reference | None]
) -> StageGraph:
    from dissolver.build.emulation import machine_platform, wanted_platform
    from dissolver.plan.graph import stage_graph

    return stage_graph(
        dockerfile,
        build_args=request.build_args,
        target=request.target,
        platform=wanted_platform(request.platform),
        build_platform=machine_platform(),
        contexts=contexts,
    )


def _copies_from_context(graph: StageGraph) -> bool:
    """Tell whether some step surely lists the context; others may turn out to do so as well."""
    from dissolver.dockerfile.ast import Copy

    return any(
        isinstance(instruction, Copy) and instruction.sources and instruction.origin is None
        for stage in graph.needed
        for instruction in stage.instructions
    )


def _warn_of_unused_arguments(
    dockerfile: Dockerfile, request: BuildRequest, vertex: OpenVertex
) -> None:
    """Tell about ``--build-arg`` names that no ARG of the file declares."""
    from dissolver.dockerfile.ast import Arg
    from dissolver.image.platform import Platform
    from dissolver.plan.arguments import PROXY_ARGUMENTS, platform_arguments

    if not request.build_args:
        return
    nowhere = Platform("", "")
    known = {*platform_arguments(nowhere, nowhere, ""), "SOURCE_DATE_EPOCH"}
    for instruction in dockerfile.instructions:
        if isinstance(instruction, Arg):
            known.update(definition.name.text for definition in instruction.definitions)
    unused = [
        name
        for name in request.build_args
        if name not in known
        and name.upper() not in PROXY_ARGUMENTS
        and not name.startswith("BUILDKIT_")
    ]
    if unused:
        names = ", ".join(f"`{name}`" for name in unused)
        vertex.warn(
            f"one or more build arguments were not consumed: {names}",
            hint="declare them with `ARG` in the stage that uses them",
        )


def _warn_of_another_language(
    dockerfile: Dockerfile, request: BuildRequest, vertex: OpenVertex
) -> None:
    """Tell about a ``syntax`` that is not that of Dockerfiles: nothing is fetched to read it."""
    named = [(one.value, one.line) for one in dockerfile.directives if one.name == "syntax"]
    value, line = named[0] if named else ("", 1)
    frontend = (request.build_args.get(SYNTAX_ARGUMENT) or value).partition(" ")[0]
    name = frontend.partition("@")[0].rpartition("/")[2].partition(":")[0]
    if frontend and name not in DOCKERFILE_SYNTAXES:
        vertex.warn(
            f"the syntax `{frontend}` is not fetched: the file is read as a Dockerfile",
            where=dockerfile.source.where(line),
        )


def names_stage(request: BuildRequest, stage: Stage) -> bool:
    """Tell whether the steps of a stage are to be done again, whatever is cached."""
    return any(name.lower() == _label(stage).lower() for name in request.no_cache_filter)


def _label(stage: Stage) -> str:
    return stage.name or f"stage-{stage.index}"


def _warn_of_unknown_stages(graph: StageGraph, request: BuildRequest, vertex: OpenVertex) -> None:
    """Tell about ``--no-cache-filter`` names that no stage has."""
    from dissolver.dockerfile.suggest import did_you_mean

    labels = [_label(stage) for stage in graph.stages]
    for name in request.no_cache_filter:
        if name.lower() not in {label.lower() for label in labels}:
            vertex.warn(
                f"the stage `{name}` of `--no-cache-filter` does not exist",
                hint=did_you_mean(name, labels),
            )


def _load_metadata(
    bases: BaseImages, graph: StageGraph, request: BuildRequest, progress: Progress
) -> tuple[StageGraph, Mapping[Sought, Image]]:
    """Find every image, and those that triggers of others turn out to need."""
    images: dict[Sought, Image] = {}
    while True:
        asked = {sought_base(stage) for stage in graph.needed if stage.origin.platform is not None}
        for stage, sought in _image_uses(graph):
            is_base = sought == sought_base(stage)
            if sought not in images:
                name = f"[internal] load metadata for {sought.reference.canonical}"
                with progress.vertex(name):
                    images[sought] = _find(
                        bases,
                        graph,
                        stage,
                        sought,
                        is_base=is_base,
                        is_strict=request.platform is not None or sought in asked,
                    )
            if is_base:
                _check_platform(stage, images[sought])
        grown = graph
        for stage in graph.needed:
            base = sought_base(stage)
            if base is not None:
                triggers = images[base].config.config.on_build
                grown = grown.with_triggers(stage.index, triggers)
        if grown is graph:
            return graph, images
        graph = grown


def _check(
    graph: StageGraph,
    starts: Mapping[int, ImageConfig],
    request: BuildRequest,
    context: Context,
    vertex: OpenVertex,
) -> None:
    """Tell what violates the rules of docs/checks.md; fail if the file says that it should."""
    from dissolver.plan.checks.options import BUILD_ARGUMENT
    from dissolver.plan.checks.run import check, failing

    findings = check(graph, starts, build_args=request.build_args, listing=context.listing())
    for finding in findings:
        vertex.warn(finding.short, where=finding.where)
    broken = failing(graph, findings, request.build_args.get(BUILD_ARGUMENT))
    if broken:
        raise DockerfileError(
            f"lint violation found for rules: {', '.join(broken)}",
            where=graph.dockerfile.source.where(1),
            hint="`dissolver build --check` shows them in their places",
        )


def _image_uses(graph: StageGraph) -> Iterator[tuple[Stage, Sought]]:
    """List the images that needed stages start from or copy from."""
    for stage in graph.needed:
        base = sought_base(stage)
        if base is not None:
            yield stage, base
        for reference in stage.images:
            yield stage, Sought(reference, stage.platform)


def _find(
    bases: BaseImages,
    graph: StageGraph,
    stage: Stage,
    sought: Sought,
    *,
    is_base: bool,
    is_strict: bool,
) -> Image:
    """Find an image, and tell the place of the mistake where there is none."""
    from dissolver.plan.graph import misspelt_stage, place_of_image

    asked = stage.origin.platform if is_base else None
    try:
        return bases.find(sought, is_strict=is_strict or asked is not None)
    except (ImageNotFound, AmbiguousIdentifier, RegistryError) as error:
        is_other = isinstance(error, ImageNotFound) and asked is not None
        if is_other and asked:
            error.where = stage.origin.where_of(asked)
        else:
            error.where = stage.where if is_base else place_of_image(graph, stage, sought.reference)
        raise (misspelt_stage(graph, sought.reference) or error) from error.__cause__


def _check_platform(stage: Stage, image: Image) -> None:
    """Refuse an image for another kind of machine than ``FROM --platform`` asks for."""
    from dissolver.image.choice import is_for

    if stage.origin.platform is None or is_for(image.config.platform, stage.platform):
        return
    raise ImageNotFound(
        f"the local image is for `{image.config.platform}`, not for `{stage.platform}`",
        where=stage.origin.where_of(stage.origin.platform),
    )


def _lower(
    graph: StageGraph, images: Mapping[Sought, Image], request: BuildRequest
) -> tuple[dict[int, ImageConfig], dict[int, LoweredStage]]:
    """Turn every needed stage into steps on top of what it starts from."""
    from dissolver.image.media_types import INLINE_CACHE
    from dissolver.image.mutate import empty_image, with_platform, without_field
    from dissolver.plan.lower import lower_stages

    def base_of(stage: Stage) -> ImageConfig:
        base = sought_base(stage)
        if base is None:
            return empty_image(stage.platform)
        # What the image says of its own steps is not true of those on top of it.
        config = without_field(images[base].config, INLINE_CACHE)
        # What somebody asked for counts, and not what the image says of itself.
        is_asked = stage.origin.platform is not None or request.platform is not None
        return with_platform(config, stage.platform) if is_asked else config

    lowered = lower_stages(graph, base_of, build_args=request.build_args)
    bases = {
        stage.index: lowered[stage.base.index].config
        if isinstance(stage.base, StageBase)
        else base_of(stage)
        for stage in graph.needed
    }
    return bases, lowered
