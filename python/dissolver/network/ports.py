"""Published ports: the texts that ``-p`` takes, and which host ports are free."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dissolver.errors import BadPort, NetworkError

if TYPE_CHECKING:
    import socket
    from collections.abc import Collection, Iterable

PROTOCOLS = ("tcp", "udp", "sctp")
FORMS = "write `[IP:][HOST:]CONTAINER[/PROTOCOL]`, such as `3000:80`"

RANDOM_PORTS = 64
"""How many ports the kernel is asked for before giving up on a random one."""


@dataclass(frozen=True, slots=True, order=True)
class Port:
    """One container port and the host port that leads to it.

    ``host_ip`` is empty for all addresses. ``host_port`` is 0 where any free port
    will do; ``host_end`` is the last port to try when a range was given for one
    container port, otherwise equal to ``host_port``.
    """

    container_port: int
    protocol: str = "tcp"
    host_ip: str = ""
    host_port: int = 0
    host_end: int = 0

    @property
    def text(self) -> str:
        """The mapping as ``ps`` shows it: ``0.0.0.0:3000->80/tcp``."""
        host = self.host_ip or "0.0.0.0"  # noqa: S104 - shown, not bound
        if ":" in host:
            host = f"[{host}]"
        return f"{host}:{self.host_port}->{self.container_port}/{self.protocol}"


def parse_port(text: str) -> tuple[Port, ...]:
    """Read ``[ip:][host[-end]:]container[-end][/protocol]``, one ``Port`` for each container port.

    Ranges on both sides pair up. A host range for a single container port means "the
    first free one of these".

    Raises:
        BadPort: a text of another form, a number outside 1 to 65535, ranges that do not match.
    """
    rest, slash, protocol = text.partition("/")
    protocol = protocol.lower() if slash else "tcp"
    if protocol not in PROTOCOLS:
        raise BadPort(
            f"unknown protocol `{protocol}` in port `{text}`", hint="use tcp, udp or sctp"
        )
    ip, host, container = _split(rest, text)
    first, last = _range(container, text, "container")
    count = last - first + 1
    if not host:
        return tuple(Port(first + i, protocol, ip) for i in range(count))
    host_first, host_last = _range(host, text, "host")
    if count == 1:
        return (Port(first, protocol, ip, host_first, host_last),)
    if host_last - host_first + 1 != count:
        raise BadPort(
            f"the ranges `{host}` and `{container}` in port `{text}` differ in length",
            hint="give both sides the same number of ports",
        )
    return tuple(
        Port(first + i, protocol, ip, host_first + i, host_first + i) for i in range(count)
    )


def parse_exposed(text: str) -> tuple[Port, ...]:
    """Read an EXPOSE entry such as ``80/tcp`` or ``8000-8010``, for ``--publish-all``."""
    rest, slash, protocol = text.partition("/")
    first, last = _range(rest, text, "container")
    return tuple(
        Port(number, protocol.lower() if slash else "tcp") for number in range(first, last + 1)
    )


def _split(rest: str, text: str) -> tuple[str, str, str]:
    """Part the address, the host side and the container side."""
    ip = ""
    if rest.startswith("["):
        inside, bracket, after = rest[1:].partition("]")
        if not bracket or not after.startswith(":"):
            raise BadPort(f"invalid port `{text}`", hint=FORMS)
        ip, rest = inside, after[1:]
        host, colon, container = rest.rpartition(":")
    else:
        front, colon, container = rest.rpartition(":")
        ip, separator, host = front.rpartition(":")
        if separator and not ip:
            raise BadPort(f"invalid port `{text}`", hint=FORMS)
    if colon and not host and not ip:
        raise BadPort(f"no host port before the colon in port `{text}`", hint=FORMS)
    if ip:
        _check_address(ip, text)
    return ip, host, container


def _check_address(ip: str, text: str) -> None:
    import ipaddress

    try:
        ipaddress.ip_address(ip)
    except ValueError:
        raise BadPort(f"invalid address `{ip}` in port `{text}`", hint=FORMS) from None


def _range(text: str, whole: str, side: str) -> tuple[int, int]:
    if not text:
        raise BadPort(f"no {side} port in `{whole}`", hint=FORMS)
    first, dash, last = text.partition("-")
    numbers = [_number(first, whole, side)]
    numbers.append(_number(last, whole, side) if dash else numbers[0])
    if numbers[1] < numbers[0]:
        raise BadPort(f"the {side} range `{text}` in port `{whole}` runs backwards")
    return numbers[0], numbers[1]


def _number(text: str, whole: str, side: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise BadPort(f"invalid {side} port `{text}` in `{whole}`", hint=FORMS)
    number = int(text)
    if not 1 <= number <= 65535:
        raise BadPort(f"{side} port `{text}` in `{whole}` is out of range 1 to 65535")
    return number


def settle(ports: Iterable[Port], taken: Collection[tuple[str, int, str]]) -> tuple[Port, ...]:
    """Give every mapping a host port that is free right now.

    ``taken`` holds (address, port, protocol) of what running containers have published:
    those ports are redirected by the firewall and look free to ``bind``.

    Raises:
        NetworkError: a port that was asked for is taken, or may not be bound.
    """
    chosen: list[Port] = []
    used = set(taken)
    for port in ports:
        found = _settle_one(port, used)
        used.add((found.host_ip, found.host_port, found.protocol))
        chosen.append(found)
    return tuple(chosen)


def _settle_one(port: Port, used: set[tuple[str, int, str]]) -> Port:
    if not port.host_port:
        return _settle_random(port, used)
    problem: NetworkError | None = None
    for number in range(port.host_port, port.host_end + 1):
        candidate = replace(port, host_port=number, host_end=number)
        problem = _obstacle(candidate, used)
        if problem is None:
            return candidate
    if port.host_end > port.host_port:
        raise NetworkError(f"all ports from {port.host_port} to {port.host_end} are allocated")
    assert problem is not None  # noqa: S101 - the range holds at least one port
    raise problem


def _settle_random(port: Port, used: set[tuple[str, int, str]]) -> Port:
    for _ in range(RANDOM_PORTS):
        with _open(port) as probe:
            probe.bind((port.host_ip, 0))
            number = int(probe.getsockname()[1])
        candidate = replace(port, host_port=number, host_end=number)
        if not _is_used(candidate, used):
            return candidate
    raise NetworkError("no free host port was found")


def _obstacle(port: Port, used: set[tuple[str, int, str]]) -> NetworkError | None:
    import errno

    where = f"{port.host_ip or '0.0.0.0'}:{port.host_port}"  # noqa: S104 - shown, not bound
    if _is_used(port, used):
        return NetworkError(
            f"port is already allocated: `{where}` is published by another container",
            hint="stop that container, or publish another host port",
        )
    try:
        with _open(port) as probe:
            probe.bind((port.host_ip, port.host_port))
    except OSError as problem:
        if problem.errno == errno.EADDRINUSE:
            return NetworkError(
                f"port is already allocated: something listens on `{where}`",
                hint="end that program, or publish another host port",
            )
        if problem.errno == errno.EACCES:
            return NetworkError(
                f"no permission to publish port {port.host_port}",
                hint="use a port from 1024 on, or lower net.ipv4.ip_unprivileged_port_start",
            )
        if problem.errno == errno.EADDRNOTAVAIL:
            return NetworkError(f"this machine does not have the address `{port.host_ip}`")
        if problem.errno == errno.EPROTONOSUPPORT:
            return NetworkError(f"the kernel of this machine does not know `{port.protocol}`")
        raise
    return None


def _is_used(port: Port, used: set[tuple[str, int, str]]) -> bool:
    """Tell whether a mapping clashes: on the same address, or where either means all."""
    everywhere = ("", "0.0.0.0", "::")  # noqa: S104 - compared, not bound
    return any(
        number == port.host_port
        and protocol == port.protocol
        and (ip == port.host_ip or ip in everywhere or port.host_ip in everywhere)
        for ip, number, protocol in used
    )


def _open(port: Port) -> socket.socket:
    import socket

    family = socket.AF_INET6 if ":" in port.host_ip else socket.AF_INET
    kind = socket.SOCK_DGRAM if port.protocol == "udp" else socket.SOCK_STREAM
    protocol = socket.IPPROTO_SCTP if port.protocol == "sctp" else 0
    probe = socket.socket(family, kind, protocol)
    if kind == socket.SOCK_STREAM:
        # A connection of the previous container in TIME_WAIT must not block the next one.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return probe
