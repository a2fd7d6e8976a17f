"""Rules that the sources keep, each checked over every tracked file."""

from __future__ import annotations

import re
import subprocess
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LONGEST_FILE_LINES = 500

# Tables of data may be longer than code that someone has to follow.
DATA_TABLES = {"python/dissolver/sandbox/seccomp_policy.py"}


def tracked(*suffixes: str) -> list[Path]:
    """List the files git tracks, and those it does not ignore, with one of ``suffixes``."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    files = [ROOT / line for line in listing.stdout.splitlines()]
    return sorted(f for f in set(files) if f.suffix in suffixes and f.is_file())


def test_files_stay_short() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in tracked(".py", ".rs", ".pyi")
        if (lines := path.read_text(encoding="utf-8").count("\n")) > LONGEST_FILE_LINES
        and str(path.relative_to(ROOT)) not in DATA_TABLES
    }
    assert long == {}


def test_only_the_sys_crate_says_unsafe() -> None:
    for library in ROOT.glob("rust/*/src/lib.rs"):
        if library.parts[-3] != "sys":
            assert "#![forbid(unsafe_code)]" in library.read_text(encoding="utf-8"), library


def test_every_unsafe_block_has_its_reason() -> None:
    for path in (ROOT / "rust" / "sys").rglob("*.rs"):
        lines = path.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines):
            if re.search(r"\bunsafe \{", line) and not line.lstrip().startswith("//"):
                before = "\n".join(lines[max(0, number - 6) : number + 1])
                assert "SAFETY" in before, f"{path.relative_to(ROOT)}:{number + 1}"


def test_nothing_reads_as_unfinished() -> None:
    # Written so that this line does not find itself.
    words = re.compile(r"\b(TO[D]O|FIX[M]E|XX[X]|NotImplemente[d]Error|unimplemente[d]!|tod[o]!)")
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in tracked(".py", ".rs", ".pyi")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if words.search(line)
    ]
    assert found == []


@pytest.mark.parametrize("name", ["utils", "helpers", "common", "manager", "misc"])
def test_no_module_has_a_name_that_says_nothing(name: str) -> None:
    assert not [p for p in tracked(".py", ".rs") if p.stem == name]


def test_only_config_reads_the_environment() -> None:
    readers = re.compile(r"os\.(environ|getenv)\b")
    allowed = {"python/dissolver/config.py"}
    found = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "python").rglob("*.py")
        if readers.search(path.read_text(encoding="utf-8"))
    }
    assert found <= allowed


def test_every_directory_of_tests_is_collected(pytestconfig: pytest.Config) -> None:
    passed_over = pytestconfig.getini("norecursedirs")
    for path in (ROOT / "tests").rglob("test_*.py"):
        inside = path.relative_to(ROOT)
        if "context" not in inside.parts:
            hidden = [part for part in inside.parts for rule in passed_over if fnmatch(part, rule)]
            assert not hidden, f"{inside} is never run"
