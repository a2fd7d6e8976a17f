"""Whole plans as text, against files, and the numbers of steps.

``plans/NAME.txt`` holds a Dockerfile, a line ``----``, and its plan. Set
``DISSOLVER_UPDATE_GOLDEN`` to write the plans anew.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dissolver.plan.explain import explain
from dissolver.plan.numbering import Numbering, number_steps
from plan.planning import graph_of, lower, lower_all

CASES = sorted((Path(__file__).parent / "plans").glob("*.txt"))


def test_there_are_plans() -> None:
    assert len(CASES) >= 5


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_a_plan_reads(case: Path) -> None:
    text, _, expected = case.read_text().partition("----\n")
    graph = graph_of(text)
    found = explain(graph, lower_all(graph))
    if os.environ.get("DISSOLVER_UPDATE_GOLDEN"):
        case.write_text(f"{text}----\n{found}")
    else:
        assert found == expected


NUMBERS = [
    ("FROM a", "[1/1] ", ()),
    ("FROM scratch\nCOPY a /b", None, ("[1/1] ",)),
    ("FROM a\nENV A=1\nRUN x\nCMD y", "[1/2] ", (None, "[2/2] ", None)),
    ("FROM a\nWORKDIR /\nRUN x", "[1/3] ", (None, "[2/3] ")),
    ("FROM a AS b\nFROM b AS c\nRUN x", None, ("[c 1/1] ",)),
    ("FROM a\nFROM b\nRUN x", "[stage-1 1/2] ", ("[stage-1 2/2] ",)),
]  # fmt: skip


@pytest.mark.parametrize(("text", "base", "steps"), NUMBERS)
def test_steps_have_numbers(text: str, base: str | None, steps: tuple[str | None, ...]) -> None:
    assert number_steps(lower(text)) == Numbering(base, steps)


def test_numbers_are_as_wide_as_the_total() -> None:
    numbering = number_steps(lower("FROM a\n" + "RUN x\n" * 9))
    assert numbering.base == "[ 1/10] "
    assert (numbering.steps[0], numbering.steps[-1]) == ("[ 2/10] ", "[10/10] ")
