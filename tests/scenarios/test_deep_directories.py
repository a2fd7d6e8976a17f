"""Directories in one another, further down than paths, stacks and open files reach."""

from __future__ import annotations

import re

import pytest

from forms import in_both_forms
from scene import Cli

NEST = "i=0; while [ $i -lt 2200 ]; do mkdir d && cd d || break; i=$((i+1)); done"


@pytest.fixture
def nesting(box: Cli) -> str:
    """A Dockerfile of whose image no path names all that it holds."""
    return f"FROM box\nRUN {NEST}\n"


@in_both_forms
def test_a_container_that_nests_directories_deeply_can_be_removed(box: Cli) -> None:
    box("run", "--name", "deep", "-v", "data:/data", "-w", "/data", "box", "sh", "-c", NEST)
    box("run", "--name", "deeper", "box", "sh", "-c", NEST)
    assert box("system", "df").returncode == 0
    box("rm", "deep", "deeper")
    assert list((box.root / "containers").iterdir()) == []
    box("volume", "rm", "data")
    assert list((box.root / "volumes").iterdir()) == []


@in_both_forms
def test_a_step_that_nests_directories_deeply_does_not_break_the_store(
    box: Cli, nesting: str
) -> None:
    context = box.directory("deep", {"Dockerfile": nesting})
    box("build", "-t", "deep", context)
    again = box.directory("after", {"Dockerfile": "FROM deep\nRUN true\n"})
    box("build", "-t", "deep", again)
    assert box("system", "df").returncode == 0
    assert box("system", "check").returncode == 0
    box("rmi", "deep")
    said = box.out("system", "prune", "-a", "-f")
    assert re.search(r"reclaimed space: \d", said)
    assert list((box.root / "layers").iterdir()) == list((box.root / "tmp").iterdir()) == []
