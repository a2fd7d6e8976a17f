"""Machines that build the same, and the places that they keep their results in."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from buckets import Buckets, bucket_server
from dissolver.build.builder import build
from dissolver.build.events import Vertex, VertexStatus, Warning_
from dissolver.build.request import BuildRequest, BuildResult
from dissolver.cache.shared.options import read_exports, read_imports
from dissolver.registry.access import open_sources
from dissolver.registry.settings import RegistrySettings
from dissolver.store import Store
from registry.images import Made, layer, noise, put_image
from registry.meddler import Meddler

STAGES = """FROM {base} AS builder
WORKDIR /src
COPY a.txt b.txt ./
FROM builder AS checked
COPY c.txt /checked/
FROM {base}
WORKDIR /app
COPY --from=builder /src/a.txt ./
COPY --from=checked /checked ./checked/
LABEL x=y
"""


class Machine:
    """A store, and a copy of the same context."""

    def __init__(self, store: Store, context: Path) -> None:
        self.store = store
        self.context = context
        self.events: list[Any] = []
        context.mkdir()
        for name in ("a.txt", "b.txt", "c.txt"):
            (context / name).write_text(name, encoding="ascii")

    def build(
        self, text: str, cancel: threading.Event | None = None, **options: Any
    ) -> BuildResult:
        self.events.clear()
        (self.context / "Dockerfile").write_text(text, encoding="utf-8")
        words = {
            "cache_from": read_imports(options.pop("cache_from", ())),
            "cache_to": read_exports(options.pop("cache_to", ())),
        }
        request = BuildRequest(str(self.context), **words, **options)
        sources = partial(open_sources, RegistrySettings(is_offline=True))
        return build(self.store, request, self.events.append, cancel=cancel, open_sources=sources)

    @property
    def names(self) -> list[str]:
        last = {event.id: event.name for event in self.events if isinstance(event, Vertex)}
        return [last[number] for number in sorted(last)]

    @property
    def warnings(self) -> list[str]:
        return [event.message for event in self.events if isinstance(event, Warning_)]

    @property
    def fetched(self) -> list[str]:
        """The blobs that were told to be fetched, in no order."""
        told = [event.id for event in self.events if isinstance(event, VertexStatus)]
        return sorted({one for one in told if one.startswith("sha256:")})


def cached(result: BuildResult) -> list[bool]:
    return [step.cached for step in result.steps]


def reasons(result: BuildResult) -> dict[str, str | None]:
    return {step.name.partition("] ")[2]: step.reason for step in result.steps}


@pytest.fixture
def machine(new_store: Callable[[], Store], tmp_path: Path) -> Callable[[], Machine]:
    """Make machines, each with a store and a copy of the context in another place."""
    made: list[Machine] = []

    def make() -> Machine:
        made.append(Machine(new_store(), tmp_path / f"context-{len(made)}"))
        return made[-1]

    return make


@pytest.fixture
def stage_base(proxy: Meddler, repository: str) -> Made:
    return put_image(proxy.upstream, repository, "base", layer(big=noise(200_000)))


@pytest.fixture
def stages(proxy: Meddler, repository: str, stage_base: Made) -> str:
    """Three stages, of which the result is made of one."""
    return STAGES.format(base=proxy.name(f"{repository}:base"))


@pytest.fixture
def buckets(monkeypatch: pytest.MonkeyPatch) -> Iterator[Buckets]:
    with bucket_server() as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield running


Words = tuple[str, str]


@pytest.fixture(params=["registry", "local", "s3"])
def cache_words(
    request: pytest.FixtureRequest, proxy: Meddler, repository: str, tmp_path: Path
) -> Words:
    """What names a cache of each kind, for ``--cache-to`` and for ``--cache-from``."""
    if request.param == "registry":
        name = proxy.name(f"{repository}:cache")
        return f"type=registry,ref={name}", name
    if request.param == "local":
        place = tmp_path / "cache"
        return f"type=local,dest={place}", f"type=local,src={place}"
    buckets: Buckets = request.getfixturevalue("buckets")
    return buckets.word("prefix=ci/"), buckets.word("prefix=ci/")
