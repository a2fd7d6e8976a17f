"""Searches: few registries answer them."""

from __future__ import annotations

import json

import pytest

from dissolver.errors import ConfigError, DissolverError, RegistryError
from dissolver.registry.access import search
from dissolver.registry.settings import RegistrySettings
from registry.meddler import Meddler
from registry.servers import RegistryServer


@pytest.fixture
def settings() -> RegistrySettings:
    return RegistrySettings()


def test_a_registry_without_searches_says_so(
    server: RegistryServer, settings: RegistrySettings
) -> None:
    with pytest.raises(RegistryError) as caught:
        search(settings, server.host, "node", 25)
    assert caught.value.message == f"`{server.host}` answers no searches (status 404)"


def test_what_a_search_found_is_read(proxy: Meddler, settings: RegistrySettings) -> None:
    rows = [
        {"name": "node", "description": "A\n runtime", "star_count": 7, "is_official": True},
        {"name": "x/node", "description": None, "star_count": 0},
    ]
    proxy.answers("/v1/search", 200, json.dumps({"results": rows}).encode())
    found = search(settings, proxy.host, "no de&x", 1)
    assert [(one.name, one.description, one.stars, one.is_official) for one in found] == [
        ("node", "A runtime", 7, True)
    ]
    assert proxy.asked[-1].path == "/v1/search?q=no+de%26x&n=1"


@pytest.mark.parametrize("limit", [-5, 0, 101])
def test_a_search_for_nothing_or_too_much_is_refused(
    settings: RegistrySettings, limit: int
) -> None:
    with pytest.raises(ConfigError) as caught:
        search(settings, "127.0.0.1:1", "node", limit)
    assert caught.value.message == f"a search shows from 1 to 100 images, and not {limit}"


BAD_ANSWERS = [
    b"",
    b"[]",
    b"[" * 100_000,
    b'{"results": [{}]}',
    b'{"results": 7}',
    b'{"results": [{"name": "x", "star_count": 1e999}]}',
]


@pytest.mark.parametrize("body", BAD_ANSWERS)
def test_what_is_no_answer_to_a_search_is_refused(
    proxy: Meddler, settings: RegistrySettings, body: bytes
) -> None:
    proxy.answers("/v1/search", 200, body)
    with pytest.raises(DissolverError) as caught:
        search(settings, proxy.host, "node", 25)
    assert caught.value.message == f"`{proxy.host}` answers a search with something else"
