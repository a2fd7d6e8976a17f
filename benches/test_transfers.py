"""Images to and from a registry: pulled until they run, pushed, loaded, and pushed again.

All engines use one registry (Debian's) on this machine, in one run. The image has two
layers: one with 19,000 files and one with 1,000, of which one changes. Its contents
compress to about a half, as those of images do. ``-k half`` is quick and never quoted.
"""

from __future__ import annotations

import itertools
import os
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from benches.builders import Missing
from benches.carriers import CARRIERS, Carrier, DissolverCarrier
from benches.contexts import SEED
from benches.counting import counted
from registry.servers import NO_REGISTRY, PROGRAM, RegistryServer, registry_server

ROUNDS = int(os.environ.get("DISSOLVER_BENCH_ROUNDS") or 5)
SIZES = {"image": (20_000, 500_000_000), "half": (2_000, 50_000_000)}
"""Files and bytes: of the image that is quoted, and of one for a quick look."""

BUSYBOX = Path("/bin/busybox")
NAMES = itertools.count()


@dataclass
class Parcel:
    """An image in every form that it is taken from: its archive, and its name in the registry."""

    label: str
    context: Path
    archive: Path
    name: str
    server: RegistryServer


@pytest.fixture(scope="session")
def depot(place: Path) -> Iterator[RegistryServer]:
    """A registry for everybody."""
    if PROGRAM is None:
        pytest.skip(NO_REGISTRY)
    with registry_server(place / "depot") as running:
        yield running
    shutil.rmtree(place / "depot")


def write_context(directory: Path, files: int, total: int) -> Path:
    """Write what the image is made of; half of each file is random, half is text."""
    done = directory.with_name(f"{directory.name}.complete")
    if done.exists():
        return directory
    chance = random.Random(SEED)
    noise, text = chance.randbytes(1 << 20), b"the quick brown fox\n" * (1 << 16)
    for number in range(files):
        part = "deps" if number % 20 else "src"
        path = directory / part / f"d{number % 900:03d}" / f"f{number:05d}"
        path.parent.mkdir(parents=True, exist_ok=True)
        size = int(total / files * chance.uniform(0.2, 1.8))
        start = chance.randrange(1 << 19)
        half = size // 2
        path.write_bytes(noise[start : start + half] + text[: size - half])
    shutil.copy(BUSYBOX, directory / "busybox")
    (directory / "Dockerfile").write_text(
        'FROM scratch\nCOPY busybox /bin/true\nCOPY deps /deps\nCOPY src /src\nCMD ["/bin/true"]\n',
        encoding="utf-8",
    )
    os.sync()
    done.touch()
    return directory


@pytest.fixture(scope="session", params=sorted(SIZES, reverse=True))
def parcel(request: pytest.FixtureRequest, place: Path, depot: RegistryServer) -> Parcel:
    """The image, built here once and pushed from here."""
    if not BUSYBOX.exists():
        pytest.skip("busybox-static is not installed (`make setup` installs it)")
    label = request.param
    context = write_context(place / f"transfer-{label}-{SEED}", *SIZES[label])
    made = Parcel(label, context, place / f"transfer-{label}.tar", depot.name(f"{label}:v1"), depot)
    builder = DissolverCarrier(place / "maker")
    builder.do("build", "-q", "-t", made.name, context)
    builder.push(made.name)
    builder.do("save", "-o", made.archive, made.name)
    return made


@pytest.fixture(scope="session")
def made_carriers(place: Path) -> Iterator[dict[str, Carrier | Missing]]:
    made: dict[str, Carrier | Missing] = {}
    yield made
    for carrier in made.values():
        stop = getattr(carrier, "stop", None)
        if stop is not None:
            stop()


@pytest.fixture(params=list(CARRIERS))
def carrier(
    request: pytest.FixtureRequest, place: Path, made_carriers: dict[str, Any]
) -> Iterator[Carrier]:
    """Each engine; skips with the reason where it is missing."""
    name = request.param
    if name not in made_carriers:
        try:
            made_carriers[name] = CARRIERS[name](place)
        except Missing as missing:
            made_carriers[name] = missing
    if isinstance(made_carriers[name], Missing):
        pytest.skip(str(made_carriers[name]))
    chosen: Carrier = made_carriers[name]
    yield chosen
    chosen.forget()


def describe(benchmark: Any, carrier: Carrier, parcel: Parcel, work: str) -> None:
    benchmark.group = f"{parcel.label}: {work}"
    benchmark.extra_info["builder"] = carrier.name
    benchmark.extra_info["version"] = carrier.version()


def remember_peak(benchmark: Any, carrier: Carrier, peaks: list[int]) -> None:
    benchmark.extra_info["peak memory"] = f"{max(peaks) / 1e6:.0f} MB"


def test_pull(benchmark: Any, carrier: Carrier, parcel: Parcel) -> None:
    peaks: list[int] = []

    def pull() -> None:
        carrier.pull(parcel.name)
        peaks.append(carrier.peak)

    describe(benchmark, carrier, parcel, "pull")
    benchmark.pedantic(pull, setup=carrier.forget, rounds=ROUNDS, iterations=1)
    remember_peak(benchmark, carrier, peaks)


def test_pull_and_first_run(benchmark: Any, carrier: Carrier, parcel: Parcel) -> None:
    """What is left for the first run counts as well."""

    def pull_and_run() -> None:
        carrier.pull(parcel.name)
        carrier.run(parcel.name)

    describe(benchmark, carrier, parcel, "pull and first run")
    benchmark.pedantic(pull_and_run, setup=carrier.forget, rounds=ROUNDS, iterations=1)


def test_load(benchmark: Any, carrier: Carrier, parcel: Parcel) -> None:
    peaks: list[int] = []

    def load() -> None:
        carrier.load(parcel.archive, parcel.name)
        peaks.append(carrier.peak)

    describe(benchmark, carrier, parcel, "load")
    benchmark.pedantic(load, setup=carrier.forget, rounds=ROUNDS, iterations=1)
    remember_peak(benchmark, carrier, peaks)


@pytest.fixture
def empty(place: Path) -> Iterator[RegistryServer]:
    """Another registry, which has nothing."""
    if PROGRAM is None:
        pytest.skip(NO_REGISTRY)
    with registry_server(place / "empty") as running:
        yield running
    shutil.rmtree(place / "empty")


def test_push(benchmark: Any, carrier: Carrier, parcel: Parcel, empty: RegistryServer) -> None:
    """Everything is sent: the registry has nothing, and nothing is remembered."""
    name = empty.name(f"{parcel.label}:v1")
    peaks: list[int] = []

    def prepare() -> None:
        shutil.rmtree(empty.data, ignore_errors=True)
        carrier.forget()
        carrier.load(parcel.archive, parcel.name)
        carrier.tag(parcel.name, name)

    def push() -> None:
        carrier.push(name)
        peaks.append(carrier.peak)

    describe(benchmark, carrier, parcel, "push")
    benchmark.pedantic(push, setup=prepare, rounds=ROUNDS, iterations=1)
    remember_peak(benchmark, carrier, peaks)


def test_push_after_a_change(
    benchmark: Any, carrier: Carrier, parcel: Parcel, place: Path, empty: RegistryServer
) -> None:
    """One file of the small layer has changed since the last push; bytes are counted."""
    changed = sorted((parcel.context / "src").rglob("f*"))[0]
    before = changed.read_bytes()
    maker = DissolverCarrier(place / "maker")
    archive = place / "changed.tar"
    with counted(empty.host) as counter:
        first = f"{counter.host}/{parcel.label}:v1"
        carrier.forget()
        carrier.load(parcel.archive, parcel.name)
        carrier.tag(parcel.name, first)
        carrier.push(first)
        names: list[str] = []

        def prepare() -> None:
            number = next(NAMES)
            names.append(f"{counter.host}/{parcel.label}:change-{number}")
            changed.write_bytes(b"changed %d\n" % number + before)
            maker.do("build", "-q", "-t", names[-1], parcel.context)
            maker.do("save", "-o", archive, names[-1])
            carrier.load(archive, names[-1])
            counter.reset()

        try:
            describe(benchmark, carrier, parcel, "push after a change of one file")
            benchmark.pedantic(
                lambda: carrier.push(names[-1]), setup=prepare, rounds=ROUNDS, iterations=1
            )
            benchmark.extra_info["sent"] = f"{counter.sent / 1e6:.1f} MB"
        finally:
            changed.write_bytes(before)
            archive.unlink(missing_ok=True)
