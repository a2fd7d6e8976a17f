"""The bridge that root's containers share, made and firewalled by netavark.

netavark makes the bridge and its rules once; that takes 25 ms. What it makes
stays: a lone pair of interfaces keeps the bridge from becoming empty, at which
netavark would take everything down again (220 ms). From then on a container
without published ports needs an interface and an address, which ``ip`` gives it
in 3 ms, and which vanish with its namespace. Published ports go through netavark.

netavark opens the way from the bridge to the host's loopback, for ports published there.
`dissolver.network.firewall` closes it to containers, and is asked before each start.

The network has no routers of IPv6, but a container may say that it is one (``CAP_NET_RAW``).
Neither the host nor other containers must believe it, and send it what is for others.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dissolver.errors import NetworkError
from dissolver.network import firewall, leases
from dissolver.network.programs import (
    DIRECTORIES,
    NETAVARK,
    Command,
    find_program,
    need_program,
    run_command,
)
from dissolver.store import processes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dissolver.network.leases import Book, Lease
    from dissolver.network.ports import Port

NETWORK = "dissolver"
BRIDGE = "dissolver0"
KEEPER = "dissolver0-k"
"""One end of the pair that keeps the bridge in being; the other is ``dissolver0-p``."""

DIRECTORY = Path("/run/dissolver/network")
"""Shared by all of root's stores, because the bridge is."""

INTERFACE = "eth0"
ACCEPTS_ROUTERS = "/proc/sys/net/ipv6/conf/{}/accept_ra"
_WITHOUT_ROUTERS = (
    "sh",
    "-c",
    (
        f"for i in default {INTERFACE}; do f={ACCEPTS_ROUTERS.format('$i')}; "
        '[ ! -e "$f" ] || echo 0 > "$f" || exit; done; exec "$@"'
    ),
    "sh",
)
"""What starts a program in a namespace whose interfaces, and those to come, take no routers."""

HINT = (
    "install it: `apt-get install netavark iptables iproute2` (or your system's equivalent), "
    "or use `--network host`"
)


@dataclass(frozen=True, slots=True)
class Attachment:
    """A place on the bridge: address, gateway, settled ports, and how to get there and away."""

    address: str
    gateway: str
    ports: tuple[Port, ...]
    setup: tuple[Command, ...]
    teardown: tuple[Command, ...]


def attach(
    name: str,
    ports: Iterable[Port] = (),
    *,
    state_file: str = "",
    directory: Path = DIRECTORY,
) -> Attachment:
    """Lease a place on the bridge, making the bridge first where it is missing.

    ``name`` identifies the lease: a container's ID, or a step's. The lease lasts while
    this process does, or the supervisor that keeps ``state_file``; `hand_over` changes that.

    Raises:
        NetworkError: a program is missing, a port taken, the bridge cannot be made, or the
            host's loopback cannot be kept from it.
    """
    owner = processes.this_process()
    with leases.opened(directory) as book:
        _settle_subnet(book)
        _take_down_left_behind(book, directory)
        # Before the bridge is made, so that there is no moment without.
        firewall.guard_loopback(BRIDGE)
        _ensure(book, directory, owner)
        _refuse_routers()
        lease, settled = leases.take(
            book, name, owner=owner, state_file=state_file, ports=list(ports)
        )
        subnet = book.subnet
    _remove_interface(name)
    gateway = gateway_of(subnet)
    if settled:
        setup, teardown = port_commands(lease, settled, subnet, directory)
    else:
        setup, teardown = plain_commands(lease, subnet), ()
    return Attachment(lease.address, gateway, settled, setup, teardown)


def take_down(name: str, *, directory: Path = DIRECTORY) -> None:
    """Remove what the supervisor of the container ``name`` would have removed, had it not died."""
    with leases.opened(directory) as book:
        _take_down_left_behind(book, directory, name)


def _take_down_left_behind(book: Book, directory: Path, name: str | None = None) -> None:
    """Remove the rules of dead containers: they would lead the same ports astray."""
    left = [
        lease
        for lease in book.leases
        if lease.is_left_behind and (name is None or lease.name == name)
    ]
    if not left:
        return
    # Their own namespaces are gone, and netavark wants to see one.
    with _Namespace(need_program("unshare", HINT)) as netns:
        for lease in left:
            _, commands = port_commands(lease, lease.published, book.subnet, directory)
            for command in commands:
                # It removes the rules, and then complains that there is no interface.
                with suppress(NetworkError):
                    run_command(command.bound_to(0, netns), "taking a port down with netavark")
            leases.release(book, lease.name)


def detach(name: str, *, directory: Path = DIRECTORY) -> None:
    """Give the lease of ``name`` back before its owner ends."""
    with leases.opened(directory) as book:
        leases.release(book, name)


def hand_over(name: str, owner: tuple[int, int], *, directory: Path = DIRECTORY) -> None:
    """Let the lease of ``name`` last as long as the process ``owner``, not as this one."""
    with leases.opened(directory) as book:
        leases.hand_over(book, name, owner)


def gateway_of(subnet: str) -> str:
    """Return the bridge's own address: the first of the subnet."""
    from ipaddress import IPv4Network

    return str(IPv4Network(subnet)[1])


def interface_of(name: str) -> str:
    """Name the end of a container's pair of interfaces that is on the bridge."""
    return f"ds{name[:12]}"


def chain_of(network: str) -> str:
    """Name the chain in which netavark keeps a network's address translation."""
    import hashlib

    return f"NETAVARK-{hashlib.sha512(network.encode()).hexdigest()[:13].upper()}"


def plain_commands(lease: Lease, subnet: str) -> tuple[Command, ...]:
    """Give the commands that connect a container without published ports.

    The first runs in the host's network and the second in the container's. Nothing has to
    be undone: the pair of interfaces goes with either end.
    """
    ip = need_program("ip", HINT)
    nsenter = need_program("nsenter", HINT)
    prefix = subnet.rpartition("/")[2]
    outside = interface_of(lease.name)
    return (
        Command(
            (ip, "-batch", "-"),
            f"link add {outside} type veth peer name {INTERFACE} netns {{pid}}\n"
            f"link set {outside} master {BRIDGE} up\n",
        ),
        Command(
            (nsenter, "--net={netns}", *_WITHOUT_ROUTERS, ip, "-batch", "-"),
            "link set lo up\n"
            f"addr add {lease.address}/{prefix} dev {INTERFACE}\n"
            f"link set {INTERFACE} up\n"
            f"route add default via {gateway_of(subnet)}\n",
        ),
    )


def port_commands(
    lease: Lease, ports: Iterable[Port], subnet: str, directory: Path
) -> tuple[tuple[Command, ...], tuple[Command, ...]]:
    """Give the commands that connect a container with published ports, and disconnect it.

    They wait for one another: netavark looks at the rules before it changes them.
    """
    netavark = _netavark()
    flock = need_program("flock", HINT)
    request = netavark_request(lease.name, lease.address, ports, subnet)
    # netavark says what is wrong on its standard output.
    shell = ("sh", "-c", 'exec "$@" >&2', "sh")
    lock, config = str(directory / "netavark.lock"), str(directory)
    words = (flock, lock, *shell, netavark, "--config", config)
    nsenter = need_program("nsenter", HINT)
    return (
        (
            Command((nsenter, "--net={netns}", *_WITHOUT_ROUTERS, "true")),
            Command((*words, "setup", "{netns}"), request),
        ),
        (Command((*words, "teardown", "{netns}"), request),),
    )


def netavark_request(name: str, address: str, ports: Iterable[Port], subnet: str) -> str:
    """Write the JSON document that netavark reads."""
    import json

    network = {
        "name": NETWORK,
        "id": NETWORK,
        "driver": "bridge",
        "network_interface": BRIDGE,
        "subnets": [{"subnet": subnet, "gateway": gateway_of(subnet)}],
        "ipv6_enabled": False,
        "internal": False,
        "dns_enabled": False,
        "ipam_options": {"driver": "host-local"},
    }
    mappings = [
        {
            "host_ip": port.host_ip,
            "host_port": port.host_port,
            "container_port": port.container_port,
            "protocol": port.protocol,
            "range": 1,
        }
        for port in ports
    ]
    document = {
        "container_id": name,
        "container_name": name,
        "port_mappings": mappings,
        "networks": {NETWORK: {"static_ips": [address], "interface_name": INTERFACE}},
        "network_info": {NETWORK: network},
    }
    return json.dumps(document)


def _settle_subnet(book: Book) -> None:
    existing = _bridge_subnet()
    if existing:
        book.subnet = existing
    elif not book.subnet or not book.leases:
        # Routes may have changed since the last container.
        book.subnet = ""
    table = Path("/proc/net/route").read_text(encoding="ascii")
    leases.choose_subnet(book, leases.host_routes(table, without=BRIDGE))


def _bridge_subnet() -> str:
    """Read the subnet of the bridge from the kernel; empty where there is no bridge."""
    import fcntl
    import socket
    import struct
    from ipaddress import IPv4Network

    if not Path(f"/sys/class/net/{BRIDGE}").exists():
        return ""
    request = struct.pack("16s240x", BRIDGE.encode())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            address, mask = (
                socket.inet_ntoa(fcntl.ioctl(probe, code, request)[20:24])
                for code in (0x8915, 0x891B)  # SIOCGIFADDR, SIOCGIFNETMASK
            )
        except OSError:
            return ""
    return str(IPv4Network(f"{address}/{mask}", strict=False))


def _is_ready(book: Book) -> bool:
    """Tell whether the bridge, its keeper and its rules are all there."""
    keeper = Path(f"/sys/class/net/{KEEPER}/master")
    if not keeper.exists() or keeper.resolve().name != BRIDGE:
        return False
    forward = Path("/proc/sys/net/ipv4/ip_forward").read_text(encoding="ascii").strip()
    if forward != "1":
        return False
    return not book.is_verifiable or firewall.has_chain("nat", chain_of(NETWORK))


def _ensure(book: Book, directory: Path, owner: tuple[int, int]) -> None:
    """Make the bridge and its rules, with a namespace that lives only for that."""
    if _is_ready(book):
        return
    netavark = _netavark()
    need_program("iptables", HINT)
    ip = need_program("ip", HINT)
    unshare = need_program("unshare", HINT)
    lease, _ = leases.take(book, "preparation", owner=owner)
    request = netavark_request(lease.name, lease.address, (), book.subnet)
    with _Namespace(unshare) as netns:
        setup = (netavark, "--config", str(directory), "setup", netns)
        run_command(Command(setup, request), "setting up the bridge with netavark")
        peer = f"{BRIDGE}-p"
        if not Path(f"/sys/class/net/{KEEPER}").exists():
            run_command(
                Command((ip, "link", "add", KEEPER, "type", "veth", "peer", "name", peer)),
                "adding an interface to the bridge",
            )
        run_command(
            Command((ip, "link", "set", KEEPER, "master", BRIDGE)),
            "adding an interface to the bridge",
        )
    leases.release(book, "preparation")
    book.is_verifiable = firewall.has_chain("nat", chain_of(NETWORK))


def _refuse_routers() -> None:
    """Have the host believe no container that says that it is a router."""
    accepts = Path(ACCEPTS_ROUTERS.format(BRIDGE))
    try:
        if accepts.read_text(encoding="ascii").strip() != "0":
            accepts.write_text("0", encoding="ascii")
    except FileNotFoundError:
        pass  # This machine has no IPv6.
    except OSError as problem:
        raise NetworkError(
            f"routers cannot be refused on `{BRIDGE}`: {problem.strerror}",
            hint=f"write 0 to `{accepts}`, or use `--network host`",
        ) from None


def _remove_interface(name: str) -> None:
    """Remove what is left of the last run of the container ``name``.

    Its namespace outlives its processes where another container has one of its directories open.
    """
    outside = interface_of(name)
    if Path(f"/sys/class/net/{outside}").exists():
        # It may be gone by now: the kernel takes a moment to remove it.
        with suppress(NetworkError):
            command = Command((need_program("ip", HINT), "link", "delete", outside))
            run_command(command, "removing an interface from the bridge")


class _Namespace:
    """A network namespace held by a process that waits for the end of its input."""

    def __init__(self, unshare: str) -> None:
        import subprocess

        self._holder = subprocess.Popen(
            [unshare, "--net", "sh", "-c", "echo ready; read _"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def __enter__(self) -> str:
        assert self._holder.stdout is not None  # noqa: S101 - it was asked for above
        if not self._holder.stdout.readline():
            _, problem = self._holder.communicate()
            text = problem.decode(errors="replace").strip()
            raise NetworkError(f"no network namespace could be made: {text}")
        return f"/proc/{self._holder.pid}/ns/net"

    def __exit__(self, *_: object) -> None:
        self._holder.communicate()


def _netavark() -> str:
    found = find_program("netavark", (*NETAVARK, *DIRECTORIES))
    if found is None:
        raise NetworkError("bridged networking needs `netavark`, which is not installed", hint=HINT)
    return found
