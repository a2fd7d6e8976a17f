"""Where a registry answers: from its name in a reference to addresses."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from dissolver.image.reference import DEFAULT_REGISTRY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dissolver.registry.settings import RegistrySettings

HUB_HOST = "registry-1.docker.io"
"""Where the registry that references call ``docker.io`` answers."""

HUB_LOGIN = "https://index.docker.io/v1/"
"""The name under which Docker keeps the credentials for ``docker.io``."""

HUB_SEARCH = "index.docker.io"
"""Where ``docker.io`` answers searches."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address to try: where, by which schemes, and on whose authority.

    ``host`` has the port if one was given; ``prefix`` is a path before ``/v2/``, without a
    slash at its end. ``schemes`` are tried in order. ``name`` is what settings and
    credentials of the host are kept under. ``is_verified`` tells that its certificate counts.
    """

    name: str
    host: str
    schemes: tuple[str, ...] = ("https",)
    prefix: str = ""
    is_verified: bool = True
    is_mirror: bool = False


def endpoints(registry: str, settings: RegistrySettings, *, pulls: bool) -> Iterator[Endpoint]:
    """List where ``registry`` may be asked, in the order to try.

    Mirrors come first and serve pulls only: what is pushed goes to the registry itself.
    """
    if pulls:
        for mirror in settings.host(registry).mirrors:
            yield _mirror(mirror, settings)
    host = HUB_HOST if registry == DEFAULT_REGISTRY else registry
    yield _endpoint(registry, host, settings)


def login_server(registry: str) -> str:
    """Name a registry as Docker's ``config.json`` does."""
    return HUB_LOGIN if registry in (DEFAULT_REGISTRY, HUB_HOST, HUB_SEARCH) else registry


def named_registry(text: str) -> str:
    """Read the registry that ``login`` and ``logout`` are given: a name, or a URL of old.

    Empty means the default one.
    """
    name = text.strip()
    name = (name.partition("://")[2] or name).partition("/")[0].rpartition("@")[2]
    return DEFAULT_REGISTRY if name in ("", HUB_HOST, HUB_SEARCH) else name


def is_loopback(host: str) -> bool:
    """Tell whether ``host`` (with or without a port) is this machine."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        if name == "localhost" or name.endswith(".localhost"):
            return True
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _mirror(text: str, settings: RegistrySettings) -> Endpoint:
    if "://" not in text:
        return _endpoint(text, text, settings, is_mirror=True)
    parts = urlsplit(text)
    plain = _endpoint(parts.netloc, parts.netloc, settings, is_mirror=True)
    return Endpoint(
        name=plain.name,
        host=plain.host,
        schemes=(parts.scheme,),
        prefix=parts.path.rstrip("/").removesuffix("/v2"),
        is_verified=plain.is_verified,
        is_mirror=True,
    )


def _endpoint(
    name: str, host: str, settings: RegistrySettings, *, is_mirror: bool = False
) -> Endpoint:
    known = settings.host(name)
    # As for Docker: this machine may speak plain HTTP, unless somebody says otherwise.
    insecure = (
        (is_loopback(host) and known.ca is None) if known.insecure is None else known.insecure
    )
    return Endpoint(
        name=name,
        host=host,
        schemes=("https", "http") if insecure else ("https",),
        is_verified=not insecure,
        is_mirror=is_mirror,
    )
