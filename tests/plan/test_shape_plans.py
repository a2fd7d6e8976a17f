"""Plans of the Dockerfiles in ``tests/shapes``, without their bases, against files beside them.

Set ``DISSOLVER_UPDATE_GOLDEN`` to write the plans anew.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

from dissolver.image.reference import parse_reference
from dissolver.plan.explain import explain
from plan.planning import graph_of, lower_all

SHAPES = sorted((Path(__file__).parents[1] / "shapes").glob("*/shape.toml"))
IMAGE = "docker-image://"


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.parent.name)
def test_a_shape_is_planned(shape: Path) -> None:
    says = tomllib.loads(shape.read_text())
    arguments = says.get("args", {})
    contexts = {
        name: parse_reference(where.removeprefix(IMAGE)) if where.startswith(IMAGE) else None
        for name, where in says.get("contexts", {}).items()
    }
    graph = graph_of(
        shape.with_name("Dockerfile").read_text(),
        target=says.get("target"),
        build_args=arguments,
        contexts=contexts,
    )
    found = explain(graph, lower_all(graph, build_args=arguments))
    expected = shape.with_name("plan.txt")
    if os.environ.get("DISSOLVER_UPDATE_GOLDEN"):
        expected.write_text(found)
    else:
        assert found == expected.read_text()
