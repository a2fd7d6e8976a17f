"""``--build-context``: names that take the place of images, stages and origins."""

from __future__ import annotations

import pytest

from dissolver.image.reference import Reference, parse_reference
from dissolver.plan.graph import Base, ContextBase, ImageBase, ScratchBase, StageBase
from dissolver.plan.lower import lower_stages
from dissolver.plan.origins import EmptyOrigin, NamedContext, NamedContexts, Origin
from dissolver.plan.steps import CopyStep
from plan.planning import EMPTY, graph_of

DEBIAN = parse_reference("debian:12")

BASES: list[tuple[str, dict[str, Reference | None], Base]] = [
    ("FROM node", {"node": None}, ContextBase(NamedContext("node"))),
    ("FROM node", {"node": DEBIAN}, ImageBase(DEBIAN)),
    ("FROM node:latest", {"node": DEBIAN}, ImageBase(DEBIAN)),
    ("FROM docker.io/library/node", {"node": DEBIAN}, ImageBase(DEBIAN)),
    ("FROM node", {"docker.io/library/node:latest": DEBIAN}, ImageBase(DEBIAN)),
    ("FROM node:20", {"node": DEBIAN}, ImageBase(parse_reference("node:20"))),
    ("FROM node:20", {"node:20": DEBIAN}, ImageBase(DEBIAN)),
    ("FROM other", {"node": DEBIAN}, ImageBase(parse_reference("other"))),
    ("FROM scratch", {"scratch": DEBIAN}, ScratchBase()),
    ("FROM a AS node\nFROM node", {}, StageBase(0)),
    ("FROM a AS node\nFROM node", {"node": DEBIAN}, StageBase(0)),
    ("ARG B=node\nFROM $B", {"node": DEBIAN}, ImageBase(DEBIAN)),
    ("FROM node", {"n*de": DEBIAN}, ImageBase(parse_reference("node"))),
]


@pytest.mark.parametrize(("text", "contexts", "base"), BASES)
def test_a_name_takes_the_place_of_a_base(
    text: str, contexts: dict[str, Reference | None], base: Base
) -> None:
    assert graph_of(text, contexts=contexts).target.base == base


def test_a_name_takes_the_place_of_a_whole_stage() -> None:
    text = "FROM a AS Build\nRUN make\nFROM b\nCOPY --from=build /x /y"
    graph = graph_of(text, contexts={"build": None})
    build = graph.stages[0]
    assert (build.base, build.instructions) == (ContextBase(NamedContext("build")), ())
    assert [stage.index for stage in graph.needed] == [0, 1]
    assert lower_stages(graph, lambda _: EMPTY, build_args={})[0].steps == ()


ORIGINS: list[tuple[str, Origin]] = [
    ("extra", NamedContext("extra")),
    ("EXTRA", NamedContext("extra")),
    ("mirror", DEBIAN),
    ("one", 0),
    ("0", 0),
    ("nginx", parse_reference("nginx")),
    ("scratch", EmptyOrigin()),
]


@pytest.mark.parametrize(("name", "origin"), ORIGINS)
def test_a_name_is_an_origin(name: str, origin: Origin) -> None:
    graph = graph_of(
        f"FROM a AS one\nFROM b\nCOPY --from={name} x /y",
        contexts={"extra": None, "mirror": DEBIAN},
    )
    step = lower_stages(graph, lambda _: EMPTY, build_args={})[1].steps[0]
    assert isinstance(step, CopyStep)
    assert step.from_ == origin


def test_a_stage_knows_the_contexts_it_takes_files_from() -> None:
    text = "FROM a\nCOPY --from=extra x /y\nRUN --mount=from=more,target=/x true"
    graph = graph_of(text, contexts={"extra": None, "more": None})
    assert graph.target.contexts == (NamedContext("extra"), NamedContext("more"))


def test_the_builds_own_context_has_no_other_name() -> None:
    contexts = NamedContexts({"context": None, "scratch": DEBIAN})
    assert contexts.find("context") is None
    assert contexts.find("Scratch") is None
