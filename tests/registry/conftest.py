"""A registry, a store, and ways between them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dissolver.image.platform import Platform
from dissolver.image.reference import parse_reference
from dissolver.registry.credentials import CredentialStore
from dissolver.registry.patience import Patience
from dissolver.registry.pull import Pulled, pull
from dissolver.registry.push import Pushed, push
from dissolver.registry.resolve import Sources
from dissolver.registry.settings import RegistrySettings
from dissolver.registry.transport import Transport
from dissolver.store import Store
from registry.machines import buckets, cache_words, machine, stage_base, stages
from registry.meddler import Meddler, meddler
from registry.servers import NO_REGISTRY, PROGRAM, RegistryServer, registry_server
from shelf import store

__all__ = ["buckets", "cache_words", "machine", "stage_base", "stages", "store"]

AMD64 = Platform("linux", "amd64")


class Ways:
    """Pulls and pushes of one user, without long waits."""

    def __init__(
        self, store: Store, settings: RegistrySettings | None = None, scale: float = 0.01
    ) -> None:
        self.store = store
        self.settings = settings or RegistrySettings()
        self.patience = Patience(scale=scale)
        self.transport = Transport(self.settings, patience=self.patience)
        self.sources = Sources(self.transport, CredentialStore(self.settings.docker_config))
        self.events: list[Any] = []

    def pull(self, name: str, platform: Platform = AMD64, *, is_strict: bool = False) -> Pulled:
        reference = parse_reference(name)
        return pull(
            self.store,
            self.sources,
            reference,
            platform,
            is_strict=is_strict,
            on_event=self.events.append,
        )

    def push(self, name: str, **options: Any) -> Pushed:
        reference = parse_reference(name)
        return push(self.store, self.sources, reference, on_event=self.events.append, **options)

    def tag(self, image: str, name: str) -> None:
        self.store.images.tag(image, parse_reference(name))

    def states(self, layer: str) -> list[str]:
        """List what was told of a layer, each state once."""
        told = [event.state for event in self.events if getattr(event, "layer", "") == layer]
        return list(dict.fromkeys(told))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    """A docker-registry that lets everybody do everything."""
    if PROGRAM is None:
        pytest.skip(NO_REGISTRY)
    with registry_server(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
def proxy(server: RegistryServer) -> Iterator[Meddler]:
    """A proxy before that registry, which does as it is told."""
    with meddler(server) as running:
        yield running


@pytest.fixture
def repository() -> str:
    """A repository that no other test uses."""
    return f"r{uuid.uuid4().hex[:12]}"


@pytest.fixture
def ways(store: Store) -> Iterator[Ways]:
    """Pulls into and pushes from the test's store."""
    made = Ways(store)
    yield made
    made.transport.close()


@pytest.fixture
def new_store(tmp_path: Path) -> Iterator[Callable[[], Store]]:
    """Make further stores: other machines."""
    made: list[Store] = []

    def make() -> Store:
        number = len(made)
        made.append(Store(tmp_path / f"store-{number}", tmp_path / f"run-{number}"))
        return made[-1]

    yield make
    for one in made:
        one.close()


def nothing_half_done(store: Store) -> None:
    """Check that a failure left nothing behind: no layer, no blob, no name, no work in progress.

    What was received of an unfinished blob may stay, to go on from there.
    """
    assert [one for one in store.check() if one.kind != "leftover"] == []
    left = [path.name for path in store.layout.tmp.iterdir()]
    assert [name for name in left if not name.startswith("part-")] == []
    assert store.images.list() == []
