"""``# check=``: at the top of the file, above an instruction, and as a build argument."""

from __future__ import annotations

import pytest

from dissolver.errors import DockerfileError
from dissolver.plan.checks.options import CheckOptions, parse_options
from dissolver.plan.checks.run import failing
from plan.checking import findings_of
from plan.planning import graph_of

OPTIONS = [
    ("", CheckOptions()),
    ("skip=A", CheckOptions(skip=frozenset({"A"}))),
    ("skip=A,B", CheckOptions(skip=frozenset({"A", "B"}))),
    ("skip=A,B;error=true", CheckOptions(skip=frozenset({"A", "B"}), fails=True)),
    ("skip=all", CheckOptions(skip=frozenset({"all"}))),
    ("error=false", CheckOptions()),
    ("error=1", CheckOptions(fails=True)),
    ("experimental=all", CheckOptions(experimental=frozenset({"all"}))),
    ("error=true;experimental=A;skip=B",
     CheckOptions(frozenset({"B"}), frozenset({"A"}), fails=True)),
    ("skip=A # why", CheckOptions(skip=frozenset({"A"}))),
    ("skip=", CheckOptions()),
]  # fmt: skip


@pytest.mark.parametrize(("text", "options"), OPTIONS)
def test_options_are_read(text: str, options: CheckOptions) -> None:
    assert parse_options(text) == options


FAULTS = [
    ("skip", "invalid check option `skip`", "they are `skip=`, `error=` and `experimental=`"),
    ("skp=A", "invalid check option `skp`", "did you mean `skip`?"),
    ("error=maybe", "invalid check option `error=maybe`", "it is `true` or `false`"),
    ("skip=A;", "invalid check option ``", "they are `skip=`, `error=` and `experimental=`"),
]


@pytest.mark.parametrize(("text", "message", "hint"), FAULTS)
def test_other_options_are_refused(text: str, message: str, hint: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        findings_of(f"# check={text}\nFROM a")
    assert (caught.value.message, caught.value.hint) == (message, hint)
    assert caught.value.where is not None
    assert caught.value.where.line == 1


BOTH = "FROM a as b\nMAINTAINER c"

TOLD = [
    (BOTH, ["FromAsCasing", "MaintainerDeprecated"]),
    (f"# check=skip=FromAsCasing\n{BOTH}", ["MaintainerDeprecated"]),
    (f"# check=skip=all\n{BOTH}", []),
    (f"# check=skip=NoSuchRule\n{BOTH}", ["FromAsCasing", "MaintainerDeprecated"]),
    (f"# check=skip=fromascasing\n{BOTH}", ["FromAsCasing", "MaintainerDeprecated"]),
    ("FROM a as b\n# check=skip=MaintainerDeprecated\nMAINTAINER c", ["FromAsCasing"]),
    ("FROM a as b\n# check=skip=all\nMAINTAINER c\nMAINTAINER d",
     ["FromAsCasing", "MaintainerDeprecated"]),
    ("FROM a as b\n# check=nonsense\nMAINTAINER c", ["FromAsCasing", "MaintainerDeprecated"]),
    ("FROM a as b\n# check=skip=all\n\nMAINTAINER c", ["FromAsCasing", "MaintainerDeprecated"]),
    ("FROM a\n# check=experimental=InvalidDefinitionDescription\n# no\nARG A",
     ["InvalidDefinitionDescription"]),
    ("FROM a\n# no\nARG A", []),
]  # fmt: skip


@pytest.mark.parametrize(("text", "names"), TOLD)
def test_rules_are_left_out_or_asked_for(text: str, names: list[str]) -> None:
    assert [finding.rule.name for finding in findings_of(text)] == names


def test_a_build_argument_takes_the_place_of_the_directive() -> None:
    text = f"# check=skip=all\n{BOTH}"
    found = findings_of(text, build_args={"BUILDKIT_DOCKERFILE_CHECK": "skip=FromAsCasing"})
    assert [finding.rule.name for finding in found] == ["MaintainerDeprecated"]


FAILING = [
    (f"# check=error=true\n{BOTH}", None, ["FromAsCasing", "MaintainerDeprecated"]),
    (f"# check=error=true;skip=FromAsCasing\n{BOTH}", None, ["MaintainerDeprecated"]),
    ("# check=error=true\nFROM a", None, []),
    (BOTH, None, []),
    (BOTH, "error=true", ["FromAsCasing", "MaintainerDeprecated"]),
    (f"# check=error=true\n{BOTH}", "error=false", []),
    # What only this project tells is advice.
    ("# check=error=true\nFROM a\nCOPY .env /x", None, []),
]


@pytest.mark.parametrize(("text", "argument", "names"), FAILING)
def test_findings_make_a_build_fail_if_the_file_says_so(
    text: str, argument: str | None, names: list[str]
) -> None:
    arguments = {} if argument is None else {"BUILDKIT_DOCKERFILE_CHECK": argument}
    found = findings_of(text, build_args=arguments)
    assert failing(graph_of(text), found, argument) == names


def test_only_needed_stages_are_looked_at_where_a_target_is_named() -> None:
    text = "FROM a AS one\nCMD x\nFROM a AS two\nCMD y"
    assert [finding.where.line for finding in findings_of(text)] == [2, 4]
    assert [finding.where.line for finding in findings_of(text, target="one")] == [2]
