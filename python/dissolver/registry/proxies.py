"""Which proxy a request goes through, by the rules that ``HTTPS_PROXY`` and ``NO_PROXY`` have."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from dissolver.errors import RegistryError
from dissolver.registry.endpoints import is_loopback

if TYPE_CHECKING:
    from dissolver.registry.settings import RegistrySettings


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy: its address, and ``user:password`` if it wants them."""

    url: str
    credentials: str | None = field(default=None, repr=False)


def proxy_for(settings: RegistrySettings, scheme: str, host: str, port: int) -> Proxy | None:
    """Choose the proxy for an address; this machine is never asked through one.

    Raises:
        RegistryError: the proxy's URL is none, or of a kind that is not spoken here.
    """
    text = settings.proxies.get(scheme)
    if not text or is_loopback(host) or _is_exempt(settings.no_proxy, host, port):
        return None
    parts = urlsplit("")
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        address = f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname
    except ValueError:
        address = None
    if parts.scheme not in ("http", "https") or not address:
        # The text may hold a password, so it is not shown.
        raise RegistryError(
            f"the proxy for `{scheme}` is not an `http` or `https` URL",
            hint=f"check the variable `{scheme.upper()}_PROXY`",
        )
    credentials = None
    if parts.username is not None:
        credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return Proxy(f"{parts.scheme}://{address}", credentials)


def _is_exempt(no_proxy: str, host: str, port: int) -> bool:
    return any(_matches(entry.strip().lower(), host.lower(), port) for entry in no_proxy.split(","))


def _matches(entry: str, host: str, port: int) -> bool:
    if not entry:
        return False
    if entry == "*":
        return True
    name, colon, number = entry.rpartition(":")
    if colon and number.isdecimal() and "]" not in number and name.count(":") in (0, 7):
        if int(number) != port:
            return False
        entry = name
    network = _network(entry.strip("[]"))
    if network is not None:
        try:
            return ipaddress.ip_address(host.strip("[]")) in network
        except ValueError:
            return False
    bare = entry.removeprefix("*").removeprefix(".")
    return host.endswith(f".{bare}") or (host == bare and not entry.startswith("."))


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
