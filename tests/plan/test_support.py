"""What the builder does not carry out yet is refused by name, and never left out.

The list gets shorter as the builder grows; these tests ask about what it holds.
"""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from dissolver.errors import NotSupportedYet
from dissolver.image.config import RunConfig
from dissolver.plan import support
from dissolver.plan.lower import lower_stage
from plan.planning import EMPTY, failure_of, graph_of, lower

NOT_CARRIED_OUT = support.NOT_CARRIED_OUT

SAMPLES = {
    "`RUN --security=insecure`": "RUN --security=insecure a",
}


@pytest.fixture(autouse=True)
def the_real_list(the_whole_language: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(support, "NOT_CARRIED_OUT", NOT_CARRIED_OUT)


@pytest.mark.parametrize("name", [feature.name for feature in NOT_CARRIED_OUT])
def test_a_feature_is_refused_by_name(name: str) -> None:
    def plan() -> None:
        graph = graph_of(f"FROM image\n{SAMPLES[name]}", contexts={"extra": None})
        stage = graph.target
        lower_stage(graph, stage, EMPTY, build_args={}, inherited_args={})

    error = failure_of(plan)
    assert isinstance(error, NotSupportedYet)
    assert error.message == f"{name} is not supported yet"
    assert error.where is not None
    assert error.where.line == 2


def test_what_the_builder_carries_out_passes() -> None:
    lower("ENV A=1\nWORKDIR /x\nCOPY --chown=a --chmod=755 a /x\nRUN --network=none a")


def test_triggers_that_nobody_gave_to_the_graph_are_refused() -> None:
    base = replace(EMPTY, config=RunConfig(on_build=("RUN x",)))
    graph = graph_of("FROM image\nUSER x")
    with pytest.raises(NotSupportedYet, match="`ONBUILD` instructions"):
        lower_stage(graph, graph.target, base, build_args={}, inherited_args={})
