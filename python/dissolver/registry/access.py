"""Ways into registries: what a user's settings come to, logging in and out, and searching."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from dissolver.errors import AccessDenied, ConfigError, ImageNotFound, RegistryError
from dissolver.image.reference import DEFAULT_REGISTRY
from dissolver.registry.auth import Authorizer
from dissolver.registry.client import Registry, reach
from dissolver.registry.credentials import Credentials, CredentialStore
from dissolver.registry.endpoints import HUB_SEARCH, Endpoint, endpoints
from dissolver.registry.patience import Patience
from dissolver.registry.resolve import Sources
from dissolver.registry.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dissolver.registry.settings import RegistrySettings
    from dissolver.registry.transport import Answer

SEARCH_LIMIT = 4 << 20
MOST_FOUND = 100


@dataclass(frozen=True, slots=True)
class Found:
    """An image that a search found."""

    name: str
    description: str
    stars: int
    is_official: bool


@contextmanager
def open_sources(
    settings: RegistrySettings, is_cancelled: Callable[[], bool] = lambda: False
) -> Iterator[Sources]:
    """Open what pulls and pushes go through; connections are closed at the end.

    ``is_cancelled`` is asked often; once it says so, everything ends with ``Cancelled``.
    """
    transport = _transport(settings, is_cancelled)
    try:
        yield Sources(transport, CredentialStore(settings.docker_config))
    finally:
        transport.close()


def log_in(settings: RegistrySettings, registry: str, credentials: Credentials) -> Path | None:
    """Try credentials at a registry, and keep them if they are good.

    Answers the file where they lie open, or ``None`` where a helper has them.

    Raises:
        AccessDenied: the registry refuses them; what was kept before stays.
        RegistryUnreachable: it does not answer.
        CredentialsError: they cannot be kept.
    """
    transport = _transport(settings, lambda: False)
    try:
        endpoint = next(iter(endpoints(registry, settings, pulls=False)))
        found = reach(transport, endpoint, CredentialStore(None))
        authorizer = Authorizer(transport, endpoint, lambda: credentials)
        trial = Registry(transport, endpoint, found.base, authorizer)
        with trial.request("GET", "") as answer:
            if answer.status == 401:
                raise AccessDenied(f"`{registry}` refuses the user name or the password")
            if answer.status != 200:
                raise trial.refuse(answer, "log in")
    finally:
        transport.close()
    return CredentialStore(settings.docker_config).keep(registry, credentials)


def log_out(settings: RegistrySettings, registry: str) -> bool:
    """Forget the credentials for a registry; tell whether there were any.

    Raises:
        CredentialsError: the file or the helper fails.
    """
    return CredentialStore(settings.docker_config).forget(registry)


def search(settings: RegistrySettings, registry: str, term: str, limit: int) -> list[Found]:
    """Ask a registry for images whose name or description has ``term``.

    Raises:
        ConfigError: ``limit`` is not from 1 to 100.
        RegistryError: it does not answer, or answers no searches; most do not.
    """
    if not 1 <= limit <= MOST_FOUND:
        raise ConfigError(f"a search shows from 1 to {MOST_FOUND} images, and not {limit}")
    transport = _transport(settings, lambda: False)
    store = CredentialStore(settings.docker_config)
    host = HUB_SEARCH if registry == DEFAULT_REGISTRY else registry
    try:
        plain = next(iter(endpoints(registry, settings, pulls=False)))
        endpoint = Endpoint(registry, host, plain.schemes, is_verified=plain.is_verified)
        found = reach(transport, endpoint, store)
        query = urlencode({"q": term, "n": limit})
        # Basic credentials are for `/v2/`; a search needs none.
        url = f"{found.base}/v1/search?{query}"
        with found.request("GET", url) as answer:
            if answer.status != 200:
                raise RegistryError(
                    f"`{registry}` answers no searches (status {answer.status})",
                    hint="the distribution specification has none; few registries but "
                    f"`{DEFAULT_REGISTRY}` do",
                )
            return _read_found(answer, registry)[:limit]
    finally:
        transport.close()


def absent(missing: ImageNotFound, error: RegistryError) -> ImageNotFound:
    """Say that an image is neither in the store nor to be had from its registry."""
    told = ImageNotFound(
        f"{missing.message}, and {error.message}",
        hint=error.hint if isinstance(error, AccessDenied) else missing.hint,
        where=missing.where,
    )
    told.__cause__ = error
    return told


def _transport(settings: RegistrySettings, is_cancelled: Callable[[], bool]) -> Transport:
    from dissolver._core import version

    return Transport(settings, patience=Patience(is_cancelled), user_agent=f"dissolver/{version}")


def _read_found(answer: Answer, registry: str) -> list[Found]:
    try:
        return [
            Found(
                name=str(row["name"]),
                description=" ".join(str(row.get("description") or "").split()),
                stars=int(row.get("star_count") or 0),
                is_official=bool(row.get("is_official")),
            )
            for row in answer.json(SEARCH_LIMIT)["results"]
        ]
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        raise RegistryError(f"`{registry}` answers a search with something else") from None
