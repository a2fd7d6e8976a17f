"""Builds of large contexts: cold, unchanged, and after each kind of small change.

Every work is done by each builder that is installed, in one run, so that the ratios
mean something. ``-k monorepo`` is the table of the README; ``DISSOLVER_BENCH`` keeps
the generated contexts between runs.
"""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benches.builders import Builder, Dissolver
from benches.contexts import middle_file

ROUNDS = 5
PEERS = ["dissolver", "docker", "buildah"]
COUNT = itertools.count()
RUN = os.urandom(4).hex()
"""Contexts are kept between runs, and so are caches: no change may be one of an earlier run."""
MODES = iter(random.sample(range(0o400, 0o700), 0o300))


def change_one_file(context: Path) -> None:
    path = middle_file_of(context)
    size = path.stat().st_size
    line = f"changed {RUN} {next(COUNT)}\n".encode()
    path.write_bytes((line * size)[:size])


def add_one_file(context: Path) -> None:
    name = f"added-{RUN}-{next(COUNT)}.txt"
    (middle_file_of(context).parent / name).write_text("new", encoding="utf-8")


def change_one_mode(context: Path) -> None:
    middle_file_of(context).chmod(next(MODES))


def touch_nothing(context: Path) -> None:
    """Leave the context as it is."""


_MIDDLE: dict[Path, Path] = {}


def middle_file_of(context: Path) -> Path:
    if context not in _MIDDLE:
        _MIDDLE[context] = middle_file(context)
    return _MIDDLE[context]


def ignore_lines() -> str:
    """Write 200 patterns of the kinds that people write; they exclude a tenth of the files."""
    kinds = ("**/cache{0}", "dir{0:05d}/tmp", "*.tmp{0}", "!keep{0}/**", "**/*{0:02d}7.dat")
    return "\n".join(kinds[n % 5].format(n) for n in range(200)) + "\n"


def measure(benchmark: Any, builder: Builder, work: str, context: Path, **how: Any) -> None:
    benchmark.group = f"{context.name.rsplit('-', 1)[0]}: {work}"
    benchmark.extra_info["builder"] = builder.name
    benchmark.extra_info["version"] = builder.version()
    benchmark.pedantic(builder.build, args=(context,), rounds=ROUNDS, iterations=1, **how)


@pytest.mark.parametrize("builder", [*PEERS, "floor"], indirect=True)
@pytest.mark.parametrize("context", ["small", "monorepo", "tiny", "large", "huge"], indirect=True)
def test_cold(benchmark: Any, builder: Builder, context: Path) -> None:
    measure(benchmark, builder, "cold", context, setup=builder.forget)


CHANGES: dict[str, Callable[[Path], None]] = {
    "nothing changed": touch_nothing,
    "one file changed": change_one_file,
    "one file added": add_one_file,
    "one mode changed": change_one_mode,
}


@pytest.mark.parametrize("builder", PEERS, indirect=True)
@pytest.mark.parametrize("work", CHANGES)
@pytest.mark.parametrize("context", ["small", "monorepo", "tiny", "large"], indirect=True)
def test_again(benchmark: Any, builder: Builder, context: Path, work: str) -> None:
    builder.build(context)
    before = builder.stored_bytes() if isinstance(builder, Dissolver) else 0
    measure(benchmark, builder, work, context, setup=lambda: CHANGES[work](context))
    if isinstance(builder, Dissolver):
        growth = (builder.stored_bytes() - before) / ROUNDS
        benchmark.extra_info["store growth for each build"] = f"{growth / 1e6:.2f} MB"


@pytest.mark.parametrize("builder", PEERS, indirect=True)
@pytest.mark.parametrize("context", ["small", "monorepo"], indirect=True)
def test_ignore_file_with_200_patterns(benchmark: Any, builder: Builder, context: Path) -> None:
    ignore = context / ".dockerignore"
    ignore.write_text(ignore_lines(), encoding="utf-8")
    try:
        measure(benchmark, builder, ".dockerignore of 200, cold", context, setup=builder.forget)
    finally:
        ignore.unlink()
