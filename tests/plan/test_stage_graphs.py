"""Stages, what they are based on, and what they need."""

from __future__ import annotations

import pytest

from dissolver.errors import BadReference, DockerfileError, UnknownStage
from dissolver.image.platform import Platform
from dissolver.image.reference import parse_reference
from dissolver.plan.graph import ImageBase, ScratchBase, StageBase, misspelt_stage
from plan.planning import graph_of

BASES = [
    ("FROM node", "docker.io/library/node:latest"),
    ("FROM node:20", "docker.io/library/node:20"),
    ("FROM ghcr.io/a/b", "ghcr.io/a/b:latest"),
    ("ARG V=20\nFROM node:$V", "docker.io/library/node:20"),
    ("ARG V=20\nARG I=node:$V\nFROM $I-slim", "docker.io/library/node:20-slim"),
    ('FROM "node"', "docker.io/library/node:latest"),
    ("FROM ${IMAGE:-node}", "docker.io/library/node:latest"),
    ("FROM node-$TARGETARCH", "docker.io/library/node-amd64:latest"),
]


@pytest.mark.parametrize(("text", "canonical"), BASES)
def test_a_base_is_an_image(text: str, canonical: str) -> None:
    base = graph_of(text).target.base
    assert isinstance(base, ImageBase)
    assert base.reference.canonical == canonical


def test_scratch_is_nothing_at_all() -> None:
    assert graph_of("FROM scratch").target.base == ScratchBase()


@pytest.mark.parametrize("name", ["builder", "Builder", "BUILDER"])
def test_a_base_is_an_earlier_stage_in_any_case(name: str) -> None:
    assert graph_of(f"FROM a AS Builder\nFROM {name}").target.base == StageBase(0)


def test_a_stage_name_wins_over_an_image_name() -> None:
    assert graph_of("FROM node AS node\nFROM node").target.base == StageBase(0)


def test_a_later_stage_is_no_base() -> None:
    graph = graph_of("FROM b AS a\nFROM a AS b\nFROM b")
    assert [stage.base for stage in graph.stages] == [
        ImageBase(parse_reference("b")),
        StageBase(0),
        StageBase(1),
    ]


def test_the_nearest_of_several_stages_with_one_name_is_meant() -> None:
    graph = graph_of("FROM x AS a\nFROM y AS a\nFROM a\nCOPY --from=a x /y")
    assert graph.target.base == StageBase(1)
    assert graph.target.depends_on == {1}


LABELS = [
    ("FROM a", [""]),
    ("FROM a AS x", [""]),
    ("FROM a\nFROM b", ["stage-0", "stage-1"]),
    ("FROM a AS Build\nFROM b", ["build", "stage-1"]),
    ("FROM a\nCOPY --from=b x /y", ["stage-0"]),
]


@pytest.mark.parametrize(("text", "labels"), LABELS)
def test_stages_have_labels_where_there_are_several(text: str, labels: list[str]) -> None:
    assert [stage.label for stage in graph_of(text).stages] == labels


FILE = """\
FROM debian AS base
FROM base AS one
FROM base AS two
COPY --from=one /a /b
FROM node AS Unused
FROM scratch AS final
COPY --from=two /c /d
COPY --from=1 /e /f
COPY --from=nginx:1 /g /h
"""

TARGETS = [
    (None, 4, [0, 1, 2, 4]),
    ("final", 4, [0, 1, 2, 4]),
    ("FINAL", 4, [0, 1, 2, 4]),
    ("4", 4, [0, 1, 2, 4]),
    ("two", 2, [0, 1, 2]),
    ("one", 1, [0, 1]),
    ("1", 1, [0, 1]),
    ("0", 0, [0]),
    ("unused", 3, [3]),
    ("base", 0, [0]),
]


@pytest.mark.parametrize(("target", "index", "needed"), TARGETS)
def test_only_what_the_target_needs_is_built(
    target: str | None, index: int, needed: list[int]
) -> None:
    graph = graph_of(FILE, target=target)
    assert graph.target.index == index
    assert [stage.index for stage in graph.needed] == needed


def test_stages_know_what_they_copy_from() -> None:
    final = graph_of(FILE).target
    assert final.depends_on == {1, 2}
    assert final.images == (parse_reference("nginx:1"),)


UNKNOWN = [
    ("finnal", "did you mean `final`?"),
    ("Tow", "did you mean `two`?"),
    ("5", "`Dockerfile` has the stages `base`, `one`, `two`, `unused`, `final`"),
    ("production", "`Dockerfile` has the stages `base`, `one`, `two`, `unused`, `final`"),
]


@pytest.mark.parametrize(("target", "hint"), UNKNOWN)
def test_an_unknown_target_gets_a_suggestion(target: str, hint: str) -> None:
    with pytest.raises(UnknownStage) as caught:
        graph_of(FILE, target=target)
    assert caught.value.message == f"target stage `{target}` could not be found"
    assert caught.value.hint == hint


def test_an_unknown_target_of_a_file_without_names_has_no_hint() -> None:
    with pytest.raises(UnknownStage) as caught:
        graph_of("FROM a", target="b")
    assert caught.value.hint is None


def test_an_image_that_is_not_found_may_be_a_misspelt_stage() -> None:
    graph = graph_of("FROM node AS builder\nRUN x\nFROM nginx\nCOPY --from=bulider /a /b\n")
    error = misspelt_stage(graph, parse_reference("bulider"))
    assert error is not None
    assert error.message == "unknown stage `bulider`"
    assert error.hint == "did you mean `builder`, defined on line 1?"
    assert error.where is not None
    assert (error.where.line, error.where.column, error.where.length) == (4, 12, 7)


def test_so_may_a_base() -> None:
    graph = graph_of("FROM node AS builder\nFROM bulider\n")
    error = misspelt_stage(graph, parse_reference("bulider"))
    assert error is not None
    assert error.where is not None
    assert (error.where.line, error.where.column) == (2, 5)


def test_an_image_like_no_stage_is_just_not_there() -> None:
    graph = graph_of("FROM node AS builder\nFROM nginx\nCOPY --from=composer /a /b\n")
    assert misspelt_stage(graph, parse_reference("composer")) is None
    assert misspelt_stage(graph, parse_reference("nginx")) is None
    assert misspelt_stage(graph, parse_reference("busybox")) is None


FAULTS = [
    ("FROM $NOPE", DockerfileError, "base name `$NOPE` should not be blank"),
    ("FROM Node", BadReference, "the name `Node` in `Node` must be lower case"),
    ("FROM a\nCOPY --from=B@C x /y", BadReference,
     "the digest of `B@C` is not valid: `C` is not a digest"),
    ("FROM a\nCOPY --from=3 x /y", UnknownStage, "invalid stage index `3`"),
    ("FROM a AS b\nCOPY --from=b x /y", DockerfileError,
     "circular dependency detected on stage `b`"),
    ("FROM a AS b\nCOPY --from=c x /y\nFROM b AS c", DockerfileError,
     "cannot copy from stage `c`, it needs to be defined before current stage `b`"),
    ("FROM a AS b\nCOPY --from=1 x /y\nFROM b", DockerfileError,
     "cannot copy from stage `stage-1`, it needs to be defined before current stage `b`"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "kind", "message"), FAULTS)
def test_mistakes_between_stages_are_named(
    text: str, kind: type[DockerfileError], message: str
) -> None:
    with pytest.raises(kind) as caught:
        graph_of(text)
    assert caught.value.message == message
    assert caught.value.where is not None


def test_mistakes_between_stages_matter_only_where_they_are_needed() -> None:
    text = "FROM a AS old\nCOPY --from=later x /y\nFROM b AS new\nFROM c AS later"
    assert graph_of(text, target="new").target.index == 1
    with pytest.raises(DockerfileError, match="cannot copy from stage `later`"):
        graph_of(text, target="old")


PLATFORMS = [
    ("FROM a", "linux/arm/v7"),
    ("FROM --platform=linux/arm64 a", "linux/arm64"),
    ("FROM --platform=$BUILDPLATFORM a", "linux/amd64"),
    ("FROM --platform=$TARGETPLATFORM a", "linux/arm/v7"),
    ("ARG P=linux/s390x\nFROM --platform=$P a", "linux/s390x"),
]


@pytest.mark.parametrize(("text", "platform"), PLATFORMS)
def test_a_stage_has_a_platform(text: str, platform: str) -> None:
    graph = graph_of(text, platform=Platform("linux", "arm", "v7"))
    assert str(graph.target.platform) == platform


def test_platforms_are_arguments() -> None:
    graph = graph_of("FROM a AS Final", platform=Platform("linux", "arm", "v7"))
    assert dict(graph.global_args) == {
        "TARGETPLATFORM": "linux/arm/v7",
        "TARGETOS": "linux",
        "TARGETOSVERSION": "",
        "TARGETARCH": "arm",
        "TARGETVARIANT": "v7",
        "BUILDPLATFORM": "linux/amd64",
        "BUILDOS": "linux",
        "BUILDOSVERSION": "",
        "BUILDARCH": "amd64",
        "BUILDVARIANT": "",
        "TARGETSTAGE": "final",
    }


ARGUMENTS = [
    ("ARG A=1", {}, "1"),
    ("ARG A=1", {"A": "2"}, "2"),
    ("ARG A", {}, None),
    ("ARG A", {"A": "2"}, "2"),
    ("ARG A=1\nARG A=2", {}, "2"),
    ("ARG B=x\nARG A=$B$B", {}, "xx"),
    ("ARG B=x A=$B", {}, "x"),
    ("ARG B\nARG A=${B:-none}", {}, "none"),
    ("ARG A=$TARGETOS", {}, "linux"),
    ("ARG A=1", {"a": "2"}, "1"),
    ("", {"A": "2"}, None),
]


@pytest.mark.parametrize(("lines", "build_args", "value"), ARGUMENTS)
def test_arguments_before_from_have_values(
    lines: str, build_args: dict[str, str], value: str | None
) -> None:
    graph = graph_of(f"{lines}\nFROM a", build_args=build_args)
    assert graph.global_args.get("A") == value


def test_a_build_argument_replaces_a_platform() -> None:
    graph = graph_of("FROM a-$TARGETARCH", build_args={"TARGETARCH": "riscv64"})
    assert graph.target.base == ImageBase(parse_reference("a-riscv64"))


def test_the_target_stage_is_an_argument() -> None:
    text = "FROM a AS one\nFROM b\n"
    assert graph_of(text).global_args["TARGETSTAGE"] == "default"
    assert graph_of(text, target="one").global_args["TARGETSTAGE"] == "one"
