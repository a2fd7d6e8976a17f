"""Commands that people type all day: starting up, listing images, running a program, a RUN step.

Whole commands, each engine with the same tiny image of a static busybox. ``-k step`` tells
what a RUN step costs: two builds that differ by twenty steps, of which the time is told apart.
The floor of a run is a program in new namespaces, started by nothing but ``unshare``.
"""

from __future__ import annotations

import io
import os
import shutil
import statistics
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benches.builders import Buildah, Builder, Dissolver, Docker, Missing, run
from benches.carriers import CARRIERS, Carrier, DissolverCarrier, DockerCarrier, PodmanCarrier

ROUNDS = int(os.environ.get("DISSOLVER_BENCH_ROUNDS") or 9)
BUSYBOX = Path("/bin/busybox")
IMAGES = 50
STEPS = 20

pytestmark = pytest.mark.skipif(not BUSYBOX.exists(), reason="busybox-static is not installed")


def root_file_system(name: str) -> bytes:
    """Make a tar of a root file system that differs from others by ``name``."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for path, content, mode in (
            ("bin/true", BUSYBOX.read_bytes(), 0o755),
            ("name", name.encode(), 0o644),
        ):
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), mode
            tar.addfile(entry, io.BytesIO(content))
    return made.getvalue()


@pytest.fixture(scope="session")
def engines(place: Path) -> Iterator[dict[str, Carrier | Missing]]:
    """Those that were made, each with its images."""
    made: dict[str, Carrier | Missing] = {}
    yield made
    for one in made.values():
        if isinstance(one, DockerCarrier | PodmanCarrier):
            one.stop()
        elif isinstance(one, DissolverCarrier):
            one.forget()


@pytest.fixture
def engine(request: pytest.FixtureRequest, place: Path, engines: dict[str, Any]) -> Carrier:
    """The engine named by the parameter, with fifty images."""
    name = request.param
    if name not in engines:
        try:
            engines[name] = with_images(CARRIERS[name](place / "commands"), place)
        except Missing as missing:
            engines[name] = missing
    if isinstance(engines[name], Missing):
        pytest.skip(str(engines[name]))
    chosen: Carrier = engines[name]
    return chosen


def with_images(engine: Any, place: Path) -> Any:
    engine.forget()
    archive = place / "commands.tar"
    for number in range(IMAGES):
        archive.write_bytes(root_file_system(f"{number}"))
        engine.do("import", archive, f"commands:{number}")
    archive.unlink()
    return engine


@pytest.fixture(scope="session")
def bare_root(place: Path) -> Iterator[Path]:
    """The same root file system as a directory."""
    root = place / "bare-root"
    root.mkdir()
    words = ["tar", "-xf", "-", "-C", root]
    subprocess.run(words, input=root_file_system("bare"), check=True)
    yield root
    shutil.rmtree(root)


def describe(benchmark: Any, engine: Any, work: str) -> None:
    benchmark.group = work
    benchmark.extra_info["builder"] = engine.name
    benchmark.extra_info["version"] = engine.version()


@pytest.mark.parametrize("engine", CARRIERS, indirect=True)
def test_version(benchmark: Any, engine: Any) -> None:
    describe(benchmark, engine, "--version")
    is_own = isinstance(engine, DissolverCarrier)
    words = [sys.executable, "-m", "dissolver"] if is_own else [engine.name]
    benchmark.pedantic(lambda: run(*words, "--version"), rounds=ROUNDS, warmup_rounds=1)


@pytest.mark.parametrize("engine", CARRIERS, indirect=True)
def test_images(benchmark: Any, engine: Any) -> None:
    describe(benchmark, engine, f"images, with {IMAGES} of them")
    benchmark.pedantic(lambda: engine.do("images"), rounds=ROUNDS, warmup_rounds=1)


@pytest.mark.parametrize("engine", CARRIERS, indirect=True)
def test_run(benchmark: Any, engine: Any) -> None:
    describe(benchmark, engine, "run --rm --network none IMAGE true")
    words = ["run", "--rm", "--network", "none"]
    if isinstance(engine, PodmanCarrier):
        # Its own limits are above what may be set without full privilege.
        words += ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"]
    benchmark.pedantic(
        lambda: engine.do(*words, "commands:7", "/bin/true"), rounds=ROUNDS, warmup_rounds=1
    )


def test_run_floor(benchmark: Any, bare_root: Path) -> None:
    benchmark.group = "run --rm --network none IMAGE true"
    benchmark.extra_info["builder"] = "floor (unshare, chroot)"
    kinds = ("--mount", "--pid", "--fork", "--net", "--ipc", "--uts")
    benchmark.pedantic(
        lambda: run("unshare", *kinds, "chroot", bare_root, "/bin/true"),
        rounds=ROUNDS,
        warmup_rounds=1,
    )


BUILDERS: dict[str, type[Any]] = {"dissolver": Dissolver, "docker": Docker, "buildah": Buildah}


@pytest.fixture(scope="session")
def step_contexts(place: Path) -> Iterator[dict[int, Path]]:
    """Contexts whose Dockerfiles have one step, and twenty more."""
    made = {}
    for steps in (1, 1 + STEPS):
        context = place / f"steps-{steps}"
        context.mkdir(exist_ok=True)
        shutil.copy(BUSYBOX, context / "busybox")
        text = "FROM scratch\nCOPY busybox /bin/sh\nCOPY busybox /bin/true\n"
        steps_text = "".join(f"RUN true {number}\n" for number in range(steps))
        (context / "Dockerfile").write_text(text + steps_text, encoding="utf-8")
        made[steps] = context
    yield made
    for context in made.values():
        shutil.rmtree(context)


@pytest.mark.parametrize("builder", BUILDERS)
def test_step(benchmark: Any, builder: str, place: Path, step_contexts: dict[int, Path]) -> None:
    """Twenty steps that are not cached; beside them, what a shell takes for the same."""
    try:
        made: Builder = BUILDERS[builder](place / "step-builder")
    except Missing as missing:
        pytest.skip(str(missing))
    short: list[float] = []

    def prepare() -> None:
        made.forget()
        begun = time.perf_counter()
        made.build(step_contexts[1])
        short.append(time.perf_counter() - begun)
        made.forget()

    describe(benchmark, made, f"RUN true, {1 + STEPS} steps that are not cached")
    try:
        benchmark.pedantic(
            lambda: made.build(step_contexts[1 + STEPS]), setup=prepare, rounds=ROUNDS
        )
    finally:
        made.forget()
        if isinstance(made, Docker):
            made.stop()
    whole = benchmark.stats.stats.median
    each = (whole - statistics.median(short)) / STEPS
    benchmark.extra_info["one more step"] = f"{each * 1000:.1f} ms"
    benchmark.extra_info["a shell that does it"] = f"{shell_seconds() * 1000:.1f} ms"


def shell_seconds() -> float:
    """Measure ``sh -c true`` of the same busybox."""
    times = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        subprocess.run([BUSYBOX, "sh", "-c", "true"], check=True)
        times.append(time.perf_counter() - begun)
    return statistics.median(times)
