"""Planning in tests: from a text to lowered stages, without a store."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from dissolver.dockerfile.parse import parse
from dissolver.errors import DissolverError
from dissolver.image.config import ImageConfig
from dissolver.image.mutate import empty_image
from dissolver.image.platform import Platform
from dissolver.image.reference import Reference
from dissolver.plan.graph import StageGraph, stage_graph
from dissolver.plan.lower import LoweredStage, lower_stages

MACHINE = Platform("linux", "amd64")
EMPTY = empty_image(MACHINE)


def graph_of(
    text: str,
    *,
    target: str | None = None,
    build_args: Mapping[str, str] | None = None,
    platform: Platform = MACHINE,
    contexts: Mapping[str, Reference | None] | None = None,
    has_all: bool = False,
) -> StageGraph:
    return stage_graph(
        parse(text),
        build_args=build_args or {},
        target=target,
        platform=platform,
        build_platform=MACHINE,
        contexts=contexts,
        has_all=has_all,
    )


def lower_all(
    graph: StageGraph,
    *,
    base: ImageConfig = EMPTY,
    build_args: Mapping[str, str] | None = None,
) -> dict[int, LoweredStage]:
    """Lower every needed stage; ``base`` stands for all images, and its triggers fire."""
    for stage in graph.stages:
        graph = graph.with_triggers(stage.index, base.config.on_build)
    return lower_stages(graph, lambda _: base, build_args=build_args or {})


def lower(
    text: str,
    *,
    base: ImageConfig = EMPTY,
    build_args: Mapping[str, str] | None = None,
    target: str | None = None,
) -> LoweredStage:
    """Plan a Dockerfile and return its target stage; a missing FROM is added."""
    if "FROM " not in text:
        text = "FROM image\n" + text
    graph = graph_of(text, target=target, build_args=build_args)
    return lower_all(graph, base=base, build_args=build_args)[graph.target.index]


def failure_of(work: Callable[[], object]) -> DissolverError | None:
    """Return how ``work`` failed, if it did."""
    try:
        work()
    except DissolverError as error:
        return error
    return None
