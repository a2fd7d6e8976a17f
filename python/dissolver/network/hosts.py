"""Further names in ``/etc/hosts``: the texts that ``--add-host`` takes."""

from __future__ import annotations

from collections.abc import Iterable

from dissolver.errors import BadOption

HOST_GATEWAY = "host-gateway"
"""Stands for this machine, as it can be reached from inside."""

FORMS = "write `NAME:ADDRESS`, or `NAME:host-gateway` for this machine"

Host = tuple[str, str]
"""A name and its address."""


def parse_host(text: str) -> Host:
    """Read ``name:address`` or ``name=address``; an address may stand in brackets.

    Raises:
        BadOption: a text of another form, or what stands there is no address.
    """
    name, separator, address = text.partition("=")
    if not separator:
        name, separator, address = text.partition(":")
    if not separator or not _is_name(name):
        raise BadOption(f"`{text}` does not say which name has which address", hint=FORMS)
    if address == HOST_GATEWAY:
        return name, address
    if len(address) > 2 and address[0] == "[" and address[-1] == "]":
        address = address[1:-1]
    from ipaddress import ip_address

    try:
        return name, str(ip_address(address))
    except ValueError:
        raise BadOption(f"`{address}` in `{text}` is no IP address", hint=FORMS) from None


def wants_gateway(hosts: Iterable[Host]) -> bool:
    """Tell whether one of the names is to mean this machine."""
    return any(address == HOST_GATEWAY for _, address in hosts)


def _is_name(name: str) -> bool:
    """Tell whether a name can stand in the file: it is one word, and begins no comment."""
    return bool(name) and name.isprintable() and not set(name) & set(" \t:#")
