"""``build --check``, ``--call`` and ``--plan``: which question is asked, and its answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dissolver.build.inquiry import CheckReport, FixReport
from dissolver.cli.build_calls import Call, read_call
from dissolver.cli.words import UsageSlip
from dissolver.errors import DockerfileError, Where
from dissolver.plan.checks import rules
from dissolver.plan.checks.findings import Edit, Finding
from dissolver.plan.outline import Argument, Lent, Outline, Target

PLACE = Where("Dockerfile", 1, 1, ("FROM a as b",))
FINDING = Finding(
    rules.FROM_AS_CASING, "'as' and 'FROM' keywords' casing do not match", PLACE,
    (Edit(1, 7, 1, 9, "AS"),),
)  # fmt: skip
TEXT = "FROM a as b\n"
FOUND = CheckReport("Dockerfile", TEXT, "/x/Dockerfile", (FINDING,))
CLEAN = CheckReport("Dockerfile", TEXT, "/x/Dockerfile", ())

CALLS: list[tuple[dict[str, Any], Call | None]] = [
    ({}, None),
    ({"call": "build"}, None),
    ({"check": True}, Call("check")),
    ({"call": "check"}, Call("check")),
    ({"call": "lint"}, Call("check")),
    ({"check": True, "call": "check"}, Call("check")),
    ({"check": True, "fix": True}, Call("check", fixes=True)),
    ({"check": True, "format_": "json"}, Call("check", is_json=True)),
    ({"call": "check,format=json"}, Call("check", is_json=True)),
    ({"call": "check,format=json", "format_": "text"}, Call("check")),
    ({"call": "outline"}, Call("outline")),
    ({"call": "targets,format=json"}, Call("targets", is_json=True)),
    ({"plan": True}, Call("plan")),
]
NOTHING = {"call": None, "check": False, "fix": False, "plan": False, "format_": None}


@pytest.mark.parametrize(("words", "call"), CALLS)
def test_words_ask_a_question(words: dict[str, Any], call: Call | None) -> None:
    assert read_call(**(NOTHING | words)) == call


SLIPS: list[tuple[dict[str, Any], str]] = [
    ({"call": "nope"}, "unknown method `nope` in `--call`"),
    ({"call": "check,format=xml"}, "unknown format `xml`"),
    ({"call": "check,verbose=1"}, "unknown option `verbose=1` in `--call`"),
    ({"check": True, "plan": True}, "`--check`, `--plan` and `--call` ask different questions"),
    ({"check": True, "call": "targets"},
     "`--check`, `--plan` and `--call` ask different questions"),
    ({"fix": True}, "`--fix` goes with `--check`"),
    ({"fix": True, "call": "outline"}, "`--fix` goes with `--check`"),
    ({"format_": "json"}, "`--format` goes with `--check` or `--call`"),
    ({"plan": True, "format_": "json"}, "`--format` goes with `--check` or `--call`"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "message"), SLIPS)
def test_other_words_are_slips(words: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageSlip, match=message.replace("(", r"\(")):
        read_call(**(NOTHING | words))


def test_a_check_passes_every_word_on(line: Any) -> None:
    line.engine.answers["check_dockerfile"] = CLEAN
    done = line(
        *("build", "--check", "-f", "a.Dockerfile", "--target", "b", "--build-arg", "C=d"),
        *("--build-context", "e=docker-image://f", "--platform", "linux/arm64", "here"),
    )
    arguments, named = line.asked("check_dockerfile")
    assert (done.code, done.out) == (0, "Check complete, no warnings found.\n")
    assert arguments == ("here",)
    assert named == {
        "dockerfile": "a.Dockerfile",
        "dockerfile_text": None,
        "target": "b",
        "build_args": {"C": "d"},
        "contexts": {"e": "docker-image://f"},
        "platform": "linux/arm64",
    }


def test_findings_are_told_with_their_lines(line: Any) -> None:
    line.engine.answers["check_dockerfile"] = FOUND
    done = line("build", "--check", ".")
    assert (done.code, done.err) == (1, "")
    assert done.out == (
        "Check complete, 1 warning has been found!\n"
        "\nWARNING: FromAsCasing - "
        "https://docs.docker.com/go/dockerfile/rule/from-as-casing/\n"
        "'as' and 'FROM' keywords' casing do not match\n"
        "Dockerfile:1\n--------------------\n"
        "   1 | >>> FROM a as b\n   2 |\n--------------------\n"
    )


def test_findings_are_told_as_json(line: Any) -> None:
    line.engine.answers["check_dockerfile"] = FOUND
    done = line("build", "--call=check,format=json", ".")
    assert done.code == 1
    assert json.loads(done.out)["warnings"][0]["ruleName"] == "FromAsCasing"


def test_a_mistake_is_told_behind_the_findings(line: Any) -> None:
    error = DockerfileError("no", where=PLACE)
    line.engine.answers["check_dockerfile"] = CheckReport("D", TEXT, None, (FINDING,), error)
    done = line("build", "--check", ".")
    assert done.code == 1
    assert done.out.startswith("Check complete, 1 warning has been found!")
    assert done.err.startswith("error: no\n  Dockerfile:1\n")
    as_json = line("build", "--check", "--format", "json", ".")
    assert (as_json.code, as_json.err) == (1, "")
    assert json.loads(as_json.out)["buildError"]["message"] == "no"


def test_a_mistake_alone_is_an_error_and_no_report(line: Any) -> None:
    error = DockerfileError("no", where=PLACE)
    line.engine.answers["check_dockerfile"] = CheckReport("D", TEXT, None, (), error)
    done = line("build", "--check", ".")
    assert (done.code, done.out) == (1, "")


def test_a_fix_is_written_and_shown(line: Any, tmp_path: Path) -> None:
    file = tmp_path / "Dockerfile"
    file.write_text(TEXT)
    link = tmp_path / "link"
    link.symlink_to(file)
    left = CheckReport("Dockerfile", "FROM a AS b\n", str(link), ())
    line.engine.answers["fix_dockerfile"] = FixReport(
        TEXT, "FROM a AS b\n", "-FROM a as b\n+FROM a AS b\n", (FINDING,), left
    )
    done = line("build", "--check", "--fix", ".")
    assert (done.code, done.err) == (0, "")
    assert done.out == (
        "-FROM a as b\n+FROM a AS b\n\n1 warning fixed\nCheck complete, no warnings found.\n"
    )
    assert file.read_text() == "FROM a AS b\n"
    assert link.is_symlink()


def test_a_text_from_standard_input_is_fixed_on_paper(line: Any) -> None:
    left = CheckReport("Dockerfile", "FROM a AS b\n", None, (FINDING,))
    line.engine.answers["fix_dockerfile"] = FixReport(TEXT, "x", "+x\n", (FINDING,), left)
    done = line("build", "--check", "--fix", ".")
    assert done.code == 1
    assert done.out.startswith("+x\n\n1 warning fixed\nCheck complete, 1 warning")


def test_an_outline_is_a_table(line: Any) -> None:
    line.engine.answers["outline"] = Outline(
        "app", "the application",
        (Argument("VERSION", "1.2", "what to build", 1), Argument("B", "", "", 2)),
        (Lent("npm", True, 3), Lent("token", False, 4)),
        (Lent("default", False, 5),),
    )  # fmt: skip
    done = line("build", "--call", "outline", ".")
    assert done.out == (
        "TARGET:        app\nDESCRIPTION:   the application\n\n"
        "BUILD ARG   VALUE   DESCRIPTION\nVERSION     1.2     what to build\nB\n\n"
        "SECRET   REQUIRED\nnpm      true\ntoken\n\n"
        "SSH       REQUIRED\ndefault\n\n"
    )
    document = json.loads(line("build", "--call", "outline,format=json", ".").out)
    assert document["args"][0] == {
        "name": "VERSION",
        "value": "1.2",
        "description": "what to build",
        "location": {"ranges": [{"start": {"line": 1}, "end": {"line": 1}}]},
    }
    assert document["secrets"][0]["required"] is True
    assert "required" not in document["secrets"][1]


def test_targets_are_a_table(line: Any) -> None:
    line.engine.answers["targets"] = (
        Target("base", "what all need", False, "debian", 1),
        Target("", "", True, "base", 3),
    )
    done = line("build", "--call", "targets", ".")
    assert done.out == "TARGET    DESCRIPTION\nbase      what all need\n(default)\n"
    document = json.loads(line("build", "--call", "targets,format=json", ".").out)
    assert [target.get("default", False) for target in document["targets"]] == [False, True]


def test_a_plan_is_printed(line: Any) -> None:
    line.engine.answers["plan"] = "plan of Dockerfile\n"
    done = line("build", "--plan", "--target", "x", ".")
    assert (done.code, done.out) == (0, "plan of Dockerfile\n")
    assert line.asked("plan")[1]["target"] == "x"
    assert line.engine.names == ["plan"]
