"""ONBUILD: kept for those who build on an image, carried out by them, and then gone."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from dissolver.errors import DissolverError
from dissolver.image.config import ImageConfig, RunConfig
from dissolver.image.reference import parse_reference
from dissolver.plan.lower import LoweredStage, lower_stages
from dissolver.plan.numbering import Numbering, number_steps
from dissolver.plan.steps import CopyStep, RunStep
from plan.planning import EMPTY, failure_of, graph_of, lower, lower_all


def image(*triggers: str) -> ImageConfig:
    return replace(EMPTY, config=RunConfig(on_build=triggers))


RECORDED = [
    ("ONBUILD RUN make", ("RUN make",)),
    ("onbuild run make", ("run make",)),
    ("ONBUILD COPY $A /x", ("COPY $A /x",)),
    ("ONBUILD RUN a \\\n  && b", ("RUN a   && b",)),
    ("ONBUILD RUN a\nONBUILD RUN b", ("RUN a", "RUN b")),
    ("ONBUILD RUN cat <<EOF\n$A\nEOF", ("RUN cat <<EOF\n$A\nEOF",)),
    ('ONBUILD CMD ["a"]', ('CMD ["a"]',)),
]


@pytest.mark.parametrize(("text", "triggers"), RECORDED)
def test_triggers_are_kept_as_they_are_written(text: str, triggers: tuple[str, ...]) -> None:
    lowered = lower(text)
    assert lowered.config.config.on_build == triggers
    assert lowered.steps == ()


def test_triggers_of_an_image_come_before_the_stages_own_instructions() -> None:
    lowered = lower("FROM node\nRUN own", base=image("ENV A=1", "RUN echo $A", "WORKDIR /w"))
    assert [step.display for step in lowered.steps] == [
        "ONBUILD ENV A=1",
        "ONBUILD RUN echo 1",
        "ONBUILD WORKDIR /w",
        "RUN own",
    ]
    assert [step.created_by for step in lowered.steps] == [
        "ENV A=1",
        "RUN /bin/sh -c echo $A # buildkit",
        "WORKDIR /w",
        "RUN /bin/sh -c own # buildkit",
    ]
    own = lowered.steps[-1]
    assert isinstance(own, RunStep)
    assert (dict(own.env)["A"], own.cwd) == ("1", "/w")


def test_triggers_are_dropped_once_they_are_carried_out() -> None:
    assert lower("FROM node", base=image("RUN a")).config.config.on_build == ()
    text = "FROM node AS one\nFROM one AS two\nFROM two"
    lowered = lower_all(graph_of(text), base=image("RUN a"))
    assert [len(lowered[index].steps) for index in range(3)] == [1, 0, 0]


def test_a_stage_that_has_triggers_and_own_ones_keeps_only_its_own() -> None:
    lowered = lower("FROM node\nONBUILD RUN b", base=image("RUN a"))
    assert [step.display for step in lowered.steps] == ["ONBUILD RUN a"]
    assert lowered.config.config.on_build == ("RUN b",)


def test_triggers_of_a_stage_of_the_same_file_are_carried_out() -> None:
    text = "FROM a AS base\nENV A=1\nONBUILD RUN echo $A\nFROM base AS child\nFROM child"
    lowered = lower_all(graph_of(text))
    assert lowered[0].config.config.on_build == ("RUN echo $A",)
    (step,) = lowered[1].steps
    assert step.display == "ONBUILD RUN echo 1"
    assert (step.where.file, step.where.line) == ("Dockerfile", 3)
    assert lowered[2].steps == ()
    assert lowered[2].config.config.on_build == ()


def test_a_trigger_may_name_stages_and_images_of_the_file_that_fires_it() -> None:
    graph = graph_of("FROM a AS assets\nFROM b AS unused\nFROM node\nRUN own")
    assert [stage.index for stage in graph.needed] == [2]
    grown = graph.with_triggers(
        2, ("COPY --from=assets /x /y", "RUN --mount=from=nginx,target=/x true")
    )
    assert [stage.index for stage in grown.needed] == [0, 2]
    assert grown.target.images == (parse_reference("nginx"),)
    lowered = lower_stages(grown, lambda _: EMPTY, build_args={})
    step = lowered[2].steps[0]
    assert isinstance(step, CopyStep)
    assert step.from_ == 0
    assert graph.target.triggers == ()


def test_telling_the_graph_twice_changes_nothing() -> None:
    graph = graph_of("FROM node").with_triggers(0, ("RUN a",))
    assert graph.with_triggers(0, ("RUN a",)) is graph
    assert graph.with_triggers(0, ()) is graph


def test_a_trigger_of_a_stage_needs_what_it_names_only_where_it_fires() -> None:
    text = "FROM a AS tools\nFROM b AS base\nONBUILD COPY --from=tools /x /y\nFROM base"
    assert [stage.index for stage in graph_of(text).needed] == [0, 1, 2]
    assert [stage.index for stage in graph_of(text, target="base").needed] == [1]


def test_triggers_count_in_the_total() -> None:
    def numbers(lowered: LoweredStage) -> Numbering:
        return number_steps(lowered)

    found = numbers(lower("FROM node\nRUN own", base=image("ENV A=1", "RUN a")))
    assert found == Numbering("[1/4] ", (None, "[2/4] ", "[3/4] "))


FAULTS = [
    (("NOPE x",), "unknown instruction `NOPE`", "ONBUILD of node:latest"),
    (("RUN a\nRUN b",), "a trigger of `node:latest` is not one instruction but 2", "Dockerfile"),
    (("FROM x",), "`FROM` isn't allowed as an `ONBUILD` trigger", "ONBUILD of node:latest"),
    (("COPY --from=9 a /b",), "invalid stage index `9`", "ONBUILD of node:latest"),
    (("COPY a",), "`COPY` requires at least two arguments, but only one was provided",
     "ONBUILD of node:latest"),
]  # fmt: skip


@pytest.mark.parametrize(("triggers", "message", "file"), FAULTS)
def test_a_bad_trigger_is_shown_with_its_text(
    triggers: tuple[str, ...], message: str, file: str
) -> None:
    error: DissolverError | None = failure_of(
        lambda: graph_of("FROM node").with_triggers(0, triggers)
    )
    assert error is not None
    assert error.message == message
    assert error.where is not None
    assert error.where.file == file
    assert error.where.source
