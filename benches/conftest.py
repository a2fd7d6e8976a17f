"""Fixtures of the benchmarks, what the report says of the machine, and the table."""

from __future__ import annotations

import compileall
import os
import platform
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benches.builders import Buildah, Builder, Dissolver, Docker, Floor, Missing
from benches.contexts import make_context
from benches.table import render

BUILDERS = {"dissolver": Dissolver, "docker": Docker, "buildah": Buildah, "floor": Floor}


def pytest_sessionstart() -> None:
    """Compile the package, as an installation does, whatever changed since."""
    compileall.compile_dir(Path(__file__).parents[1] / "python", quiet=2)


@pytest.fixture(scope="session")
def place() -> Iterator[Path]:
    """Where contexts and stores of this run live: DISSOLVER_BENCH, or /var/tmp."""
    chosen = os.environ.get("DISSOLVER_BENCH")
    if chosen:
        path = Path(chosen)
        path.mkdir(parents=True, exist_ok=True)
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="dissolver-bench-", dir="/var/tmp") as made:
        yield Path(made)


@pytest.fixture(scope="session")
def made_builders(place: Path) -> Iterator[dict[str, Builder | Missing]]:
    made: dict[str, Builder | Missing] = {}
    yield made
    for builder in made.values():
        if isinstance(builder, Docker):
            builder.stop()


@pytest.fixture
def builder(request: pytest.FixtureRequest, place: Path, made_builders: dict[str, Any]) -> Builder:
    """The builder named by the parameter; skips with the reason when it is missing."""
    name = request.param
    if name not in made_builders:
        try:
            made_builders[name] = BUILDERS[name](place)
        except Missing as missing:
            made_builders[name] = missing
    if isinstance(made_builders[name], Missing):
        pytest.skip(str(made_builders[name]))
    chosen: Builder = made_builders[name]
    return chosen


@pytest.fixture
def context(request: pytest.FixtureRequest, place: Path) -> Path:
    """The generated context named by the parameter."""
    return make_context(place, request.param)


def pytest_benchmark_update_machine_info(
    config: pytest.Config, machine_info: dict[str, Any]
) -> None:
    """State kernel, file system and memory beside what pytest-benchmark finds out itself."""
    where = os.environ.get("DISSOLVER_BENCH", "/var/tmp")
    described = subprocess.run(
        ["findmnt", "-no", "FSTYPE,OPTIONS", "-T", where],
        capture_output=True,
        text=True,
        check=False,
    )
    machine_info["kernel"] = platform.release()
    machine_info["file_system"] = described.stdout.strip()
    machine_info["memory_bytes"] = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    machine_info["cores"] = os.cpu_count()


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print one table: work by builder, medians and ratios."""
    session = getattr(config, "_benchmarksession", None)
    if session is not None and session.benchmarks:
        for line in render(
            [bench.as_dict() for bench in session.benchmarks if not bench.has_error]
        ):
            terminalreporter.write_line(line)
