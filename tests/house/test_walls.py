"""Every wall has tests that exist, what takes it away, and a place in the documentation."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from walls.breaches import BREACHES
from walls.walls import WALLS, Wall

ROOT = Path(__file__).parents[2]
NAMES = [wall.name for wall in WALLS]


@pytest.fixture(scope="module")
def collected() -> set[str]:
    """The tests that there are in the files which the table names, as pytest calls them."""
    files = sorted({test.partition("::")[0] for wall in WALLS for test in wall.tests})
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", *files],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.splitlines())


@pytest.mark.parametrize("wall", WALLS, ids=NAMES)
def test_the_tests_of_a_wall_exist(wall: Wall, collected: set[str]) -> None:
    assert wall.tests
    for test in wall.tests:
        assert test in collected or any(name.startswith(f"{test}[") for name in collected), test


def test_walls_have_names_of_their_own_and_are_behind_others() -> None:
    assert len(set(NAMES)) == len(NAMES)
    for wall in WALLS:
        assert set(wall.behind) <= set(NAMES) - {wall.name}


def test_each_wall_of_the_package_has_something_that_takes_it_away() -> None:
    assert {wall.name for wall in WALLS if wall.kind == "package"} == set(BREACHES)


@pytest.mark.parametrize("name", NAMES)
def test_the_documentation_has_every_wall(name: str) -> None:
    assert f"`{name}`" in (ROOT / "docs" / "security.md").read_text(encoding="utf-8")


def test_the_product_has_no_switch_for_its_walls() -> None:
    for path in (ROOT / "python").rglob("*.py"):
        assert "BREACH" not in path.read_text(encoding="utf-8"), path
