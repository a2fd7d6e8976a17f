"""What a target takes from those who build it, and which targets there are."""

from __future__ import annotations

import pytest

from dissolver.dockerfile.parse import parse
from dissolver.plan.outline import Argument, Lent, Target, outline, targets
from plan.planning import graph_of

FILE = """\
# VERSION is what to build
ARG VERSION=1.2
ARG UNUSED=x
ARG BASE=debian:$VERSION

# base has what all need
FROM $BASE AS base
RUN --mount=type=secret,id=npm,required true

# tools is not needed
FROM base AS tools
ARG TOOL=y

# App is the application
FROM base AS App
# MODE of the build
ARG MODE=release
ARG VERSION
ARG TARGETARCH
RUN --mount=type=secret,id=npm --mount=type=secret,id=token,env=T true
RUN --mount=type=ssh,required true
"""


def test_an_outline_has_what_the_target_and_its_stages_take() -> None:
    found = outline(graph_of(FILE, target="app"), {})
    assert (found.name, found.description) == ("app", "is the application")
    assert found.arguments == (
        Argument("VERSION", "1.2", "is what to build", 2),
        Argument("BASE", "debian:1.2", "", 4),
        Argument("MODE", "release", "of the build", 17),
    )
    assert found.secrets == (Lent("npm", True, 8), Lent("token", False, 20))
    assert found.agents == (Lent("default", True, 21),)


VALUES = [
    ("FROM a\nARG A=1", {}, [("A", "1")]),
    ("FROM a\nARG A=1", {"A": "2"}, [("A", "2")]),
    ("FROM a\nARG A", {}, [("A", "")]),
    ("FROM a\nARG A", {"A": "2"}, [("A", "2")]),
    ("ARG A=g\nFROM a\nARG A", {}, [("A", "g")]),
    ("ARG A=g\nFROM a\nARG A=s", {}, [("A", "s")]),
    ("ARG A=g\nFROM a", {}, []),
    ("ARG A=g\nFROM a:$A", {"A": "x"}, [("A", "x")]),
    ("ARG A=g\nARG B=$A\nFROM a:$B", {}, [("A", "g"), ("B", "g")]),
    ("FROM a\nARG A=1\nARG B=$A-x", {}, [("A", "1"), ("B", "1-x")]),
    ("FROM a\nENV E=e\nARG A=$E", {}, [("A", "e")]),
    ("FROM a AS b\nARG A=1\nFROM b\nARG B=$A", {}, [("A", "1"), ("B", "1")]),
    ("FROM a AS b\nARG A=1\nFROM c\nARG B=2", {}, [("B", "2")]),
    ("FROM a\nARG TARGETOS", {}, []),
]


@pytest.mark.parametrize(("text", "build_args", "arguments"), VALUES)
def test_arguments_have_values(
    text: str, build_args: dict[str, str], arguments: list[tuple[str, str]]
) -> None:
    found = outline(graph_of(text, build_args=build_args), build_args)
    assert [(argument.name, argument.value) for argument in found.arguments] == arguments


def test_every_stage_is_a_target() -> None:
    assert targets(parse(FILE)) == (
        Target("base", "has what all need", False, "$BASE", 7),
        Target("tools", "is not needed", False, "base", 11),
        Target("app", "is the application", True, "base", 15),
    )
    assert targets(parse("FROM a")) == (Target("", "", True, "a", 1),)
