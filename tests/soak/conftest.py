"""What a soak pulls from."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from registry.servers import NO_REGISTRY, PROGRAM, RegistryServer, registry_server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    """A docker-registry that lets everybody do everything."""
    if PROGRAM is None:
        pytest.skip(NO_REGISTRY)
    with registry_server(tmp_path_factory.mktemp("registry")) as running:
        yield running
