"""What stands between a command and its first step: parsing, planning and checking a long file.

The floor reads the same file and cuts it into lines and words, which nobody who looks
at all of it can leave out.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benches.dockerfiles import make_dockerfile
from dissolver.dockerfile.parse import parse
from dissolver.dockerfile.source import decode_source
from dissolver.image.mutate import empty_image
from dissolver.image.platform import Platform
from dissolver.plan.checks.run import check
from dissolver.plan.graph import StageGraph, stage_graph
from dissolver.plan.lower import lower_stages

LINES = 5_000
MACHINE = Platform("linux", "amd64")
BASE = empty_image(MACHINE)


@pytest.fixture(scope="module")
def dockerfile(place: Path) -> Path:
    path = place / f"Dockerfile-{LINES}"
    path.write_text(make_dockerfile(LINES), encoding="utf-8")
    return path


def cut(path: Path) -> int:
    return sum(len(line.split()) for line in decode_source(path.read_bytes()).split("\n"))


def graph_of(path: Path) -> StageGraph:
    return stage_graph(
        parse(decode_source(path.read_bytes())),
        build_args={"RELEASE": "7"},
        target=None,
        platform=MACHINE,
        build_platform=MACHINE,
    )


def plan(path: Path) -> int:
    lowered = lower_stages(graph_of(path), lambda _: BASE, build_args={"RELEASE": "7"})
    return sum(len(stage.steps) for stage in lowered.values())


def plan_and_check(path: Path) -> int:
    graph = graph_of(path)
    lower_stages(graph, lambda _: BASE, build_args={})
    return len(check(graph, {stage.index: BASE for stage in graph.stages}, build_args={}))


WORKS: dict[str, tuple[str, Callable[[Path], int]]] = {
    "floor (read and cut)": ("planned", cut),
    "dissolver": ("planned", plan),
    "dissolver, with all checks": ("with all checks", plan_and_check),
}


@pytest.mark.parametrize("work", WORKS)
def test_a_long_dockerfile(benchmark: Any, dockerfile: Path, work: str) -> None:
    kind, carry_out = WORKS[work]
    benchmark.group = f"Dockerfile of {LINES:,} lines: {kind}"
    benchmark.extra_info["builder"] = work.partition(",")[0]
    found = benchmark.pedantic(carry_out, args=(dockerfile,), rounds=9, warmup_rounds=1)
    assert found > 0
