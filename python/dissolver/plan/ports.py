"""Port specifications in EXPOSE."""

from __future__ import annotations

from ipaddress import ip_address

from dissolver.errors import DockerfileError

PROTOCOLS = ("tcp", "udp", "sctp")
HIGHEST_PORT = 65_535


def parse_port(text: str) -> list[str]:
    """Read ``[ip:][host:]port[-port][/protocol]`` as ``port/protocol`` texts.

    Addresses and host ports mean nothing here; they are checked and dropped.

    Raises:
        DockerfileError: a part is missing or wrong. The error has no place.
    """
    address, host, container = _parts(text)
    ports, _, protocol = container.partition("/")
    if not ports:
        raise DockerfileError(f"invalid port `{text}`: no port specified")
    protocol = protocol.lower() or "tcp"
    if protocol not in PROTOCOLS:
        raise DockerfileError(
            f"invalid proto `{protocol}` in `{text}`", hint="it is one of `tcp`, `udp` and `sctp`"
        )
    if address:
        _check_address(address)
    first, last = _range(ports, "containerPort")
    if host:
        host_first, host_last = _range(host, "hostPort")
        if host_last - host_first != last - first and first != last:
            raise DockerfileError(
                f"invalid ranges specified for container and host ports: `{ports}` and `{host}`"
            )
    return [f"{port}/{protocol}" for port in range(first, last + 1)]


def _parts(text: str) -> tuple[str, str, str]:
    front, _, container = text.rpartition(":")
    address, _, host = front.rpartition(":")
    return address, host, container


def _check_address(address: str) -> None:
    try:
        ip_address(address.removeprefix("[").removesuffix("]"))
    except ValueError:
        raise DockerfileError(f"invalid IP address `{address}`") from None


def _range(text: str, what: str) -> tuple[int, int]:
    first_text, dash, last_text = text.partition("-")
    first = _number(first_text)
    last = _number(last_text) if dash else first
    if first is None or last is None or last < first:
        raise DockerfileError(
            f"invalid {what} `{text}`", hint=f"ports are numbers up to {HIGHEST_PORT}"
        )
    return first, last


def _number(text: str) -> int | None:
    if not (text.isascii() and text.isdecimal()) or len(text.lstrip("0")) > 5:
        return None
    return int(text) if int(text) <= HIGHEST_PORT else None
