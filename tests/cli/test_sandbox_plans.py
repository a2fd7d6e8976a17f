"""``--debug`` tells what a sandbox is made of, before it starts."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dissolver._core import sandbox
from dissolver.cli import sandbox_plans

WORDS = ["mount overlay on `/root`", "execute `/bin/\x1b[2Jsh`"]
TOLD = "sandbox: 2 operations\n   1  mount overlay on `/root`\n   2  execute `/bin/\\x1b[2Jsh`\n"


@pytest.fixture(autouse=True)
def _made_up_sandboxes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "describe", lambda spec: WORDS if spec == b"{}" else [])
    monkeypatch.setattr(sandbox, "start", lambda spec, **streams: (spec, streams))


def test_a_step_is_told_and_then_started(capsys: pytest.CaptureFixture[str]) -> None:
    sandbox_plans.tell_plans_of_steps()
    started: Any = sandbox.start(b"{}", stdin=None, stdout=1, stderr=2)
    assert started == (b"{}", {"stdin": None, "stdout": 1, "stderr": 2})
    assert capsys.readouterr().err == TOLD


def test_a_container_is_told_from_its_directory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = tmp_path / "containers" / "c"
    directory.mkdir(parents=True)
    (directory / "spec.json").write_bytes(b"{}")
    sandbox_plans.tell_plan_of_container(tmp_path, "c")
    assert capsys.readouterr().err == TOLD


def test_a_container_that_is_gone_is_not_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sandbox_plans.tell_plan_of_container(tmp_path, "c")
    assert capsys.readouterr().err == ""


def test_run_tells_the_plan_when_asked(line: Any) -> None:
    directory = line.root / "containers" / "c"
    directory.mkdir(parents=True)
    (directory / "spec.json").write_bytes(b"{}")
    line.engine.answers |= {
        "create": "c",
        "attach": 0,
        "run": SimpleNamespace(container="c"),
    }
    assert line("--debug", "run", "box").err == TOLD
    assert line("--debug", "run", "-d", "box").err == TOLD
    assert line("run", "box").err == ""
