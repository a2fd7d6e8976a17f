"""The registry, the stores and the ways between them that the tests of registries have."""

from __future__ import annotations

from registry.conftest import new_store, proxy, repository, server, store, ways

__all__ = ["new_store", "proxy", "repository", "server", "store", "ways"]
