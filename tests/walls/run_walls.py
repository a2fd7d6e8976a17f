"""Takes every wall away in turn, and looks whether its tests fall: `make walls`.

    python -m walls.run_walls [WALL…]     (in the directory of the tests)

A test has fallen when an assertion in it failed; an error before that, or in collection, is none.
Where other walls hold the same attacks, they are taken away first, and the tests have to stand
without those. Exits with 1 if a test did not do what it has to, and names its wall.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

from walls.breaches import BREACHES, VARIABLE
from walls.walls import WALLS, Wall

ROOT = Path(__file__).parents[2]
TARGET = ROOT / "target" / "walls"
LIBRARY = "_core.abi3.so"
FAILED_ASSERTIONS = ("assert ", "AssertionError", "Failed: DID NOT RAISE")


class NotBuilt(Exception):
    """The core without walls could not be compiled."""


def built_core() -> Path:
    """Compile the core that can lose its walls, apart from the one that is used."""
    words = (
        *("build", "--release", "--package", "dissolver-python"),
        *("--features", "pyo3/extension-module,breach", "--target-dir", str(TARGET)),
    )
    done = subprocess.run([ROOT / "scripts" / "cargo", *words], cwd=ROOT, check=False)
    found = sorted((TARGET / "release").glob("lib*.so"))
    if done.returncode or not found:
        raise NotBuilt("the core without walls (the feature `breach`) was not built")
    return found[0]


def lay_out(place: Path, core: Path) -> Path:
    """Make a directory with the package, ``core`` in the place of its own, and the breaches."""
    package = place / "dissolver"
    package.mkdir(parents=True)
    for entry in (ROOT / "python" / "dissolver").iterdir():
        if entry.name not in (LIBRARY, "__pycache__"):
            (package / entry.name).symlink_to(entry)
    shutil.copy(core, package / LIBRARY)
    shutil.copy(ROOT / "tests" / "walls" / "breaches.py", place / "sitecustomize.py")
    return place


def outcomes(tests: Sequence[str], package: Path, gone: Sequence[str]) -> dict[str, str]:
    """Run tests without some walls; tell of each what came of it."""
    with tempfile.TemporaryDirectory() as made:
        report = Path(made) / "report.xml"
        environment = {
            **os.environ,
            VARIABLE: ",".join(gone),
            "DISSOLVER_TEST_PACKAGE": str(package),
            "PYTHONPATH": str(package),
        }
        words = ("-m", "pytest", "-q", "--no-header", "--tb=no", f"--junit-xml={report}", *tests)
        done = subprocess.run(
            [sys.executable, *words],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if not report.exists():
            return dict.fromkeys(tests, f"not run: {done.stderr.strip() or done.stdout.strip()}")
        cases = list(ElementTree.parse(report).iter("testcase"))
    found = {f"{case.get('classname')}::{case.get('name')}": _outcome(case) for case in cases}
    return {test: _of_all(test, found) for test in tests}


def _outcome(case: ElementTree.Element) -> str:
    for problem in case:
        text = problem.get("message") or ""
        if problem.tag == "failure":
            is_assertion = text.startswith(FAILED_ASSERTIONS)
            return "fell" if is_assertion else f"failed otherwise: {text.splitlines()[:1]}"
        if problem.tag in ("error", "skipped"):
            return f"{problem.tag}: {(text.splitlines() or [''])[0]}"
    return "stood"


def _of_all(test: str, found: dict[str, str]) -> str:
    """Tell the outcome of a test; of one that is named without its parameters, that of them all."""
    file, _, name = test.partition("::")
    module = file.removesuffix(".py").replace("/", ".")
    wanted = f"{module}::{name}"
    results = {
        outcome
        for case, outcome in found.items()
        if case == wanted or ("[" not in name and case.startswith(f"{wanted}["))
    }
    return " and ".join(sorted(results)) or "not found"


def judged(wall: Wall, package: Path) -> Iterator[tuple[str, bool]]:
    """Take one wall away; give a line for each test, and whether it did what it has to."""
    fallen = outcomes(wall.tests, package, [wall.name, *wall.behind])
    standing = outcomes(wall.tests, package, wall.behind) if wall.behind else {}
    for test in wall.tests:
        ends, stands = fallen[test], standing.get(test, "stood")
        is_right = (ends, stands) == ("fell", "stood")
        line = f"{wall.name} · {test.partition('::')[2]} · {ends}"
        if stands != "stood":
            line += f" · {stands} although the wall was there, without {', '.join(wall.behind)}"
        yield line, is_right


def main(names: Sequence[str]) -> int:
    """Run the walls with these names, or all of them."""
    unknown = set(names) - {wall.name for wall in WALLS}
    if unknown:
        print(f"no such wall: {', '.join(sorted(unknown))}")
        return 2
    walls = [wall for wall in WALLS if not names or wall.name in names]
    wrong: list[str] = []
    core = ROOT / "python" / "dissolver" / LIBRARY
    if any(wall.kind == "core" for wall in walls):
        try:
            core = built_core()
        except NotBuilt as problem:
            print(problem)
            wrong += [wall.name for wall in walls if wall.kind == "core"]
            walls = [wall for wall in walls if wall.kind == "package"]
    with tempfile.TemporaryDirectory(prefix="dissolver-walls-", dir="/var/tmp") as made:
        Path(made).chmod(0o755)
        package = lay_out(Path(made) / "package", core)
        for wall in walls:
            assert (wall.kind == "package") == (wall.name in BREACHES), wall.name
            for line, is_right in judged(wall, package):
                print(line, flush=True)
                if not is_right:
                    wrong.append(wall.name)
    if wrong:
        print(f"walls whose tests did not fall: {', '.join(dict.fromkeys(wrong))}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
