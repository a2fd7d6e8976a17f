"""Who has which address and which published port: one small file for the machine.

Several stores, builds and containers share one bridge, so their addresses come
from one file, changed under a flock. A lease ends with its owner: it names a
process, and where a container outlives that, the file its supervisor keeps.
Leases whose owners are gone are reclaimed by whoever comes next; nothing has to
be cleaned up after a crash.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from dissolver.errors import NetworkError
from dissolver.network.ports import Port, settle
from dissolver.store import processes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from ipaddress import IPv4Network
    from pathlib import Path

FORMAT = 1

SUBNETS = ("10.88.0.0/16", *(f"10.{second}.0.0/16" for second in (89, 77, 78, 99, 123, 211)))
"""Where the bridge may live; the first that no route of the host overlaps is taken."""

FIRST_HOST = 2
"""The first address after the network's own and the gateway's."""


class Lease(msgspec.Struct, frozen=True):
    """An address on the bridge and the host ports that lead to it.

    ``owner`` is (pid, start time). ``state`` is the path of the container's state file
    or empty. ``ports`` holds (address, port, protocol) on the host, ``inside`` the container's
    port for each.
    """

    name: str
    address: str
    owner: tuple[int, int]
    state: str = ""
    ports: tuple[tuple[str, int, str], ...] = ()
    inside: tuple[int, ...] = ()

    @property
    def published(self) -> tuple[Port, ...]:
        """The ports, as they were settled."""
        return tuple(
            Port(inside, protocol, address, number, number)
            for inside, (address, number, protocol) in zip(self.inside, self.ports, strict=False)
        )

    @property
    def is_left_behind(self) -> bool:
        """Tell whether the rules for its ports are still there: nobody lived to remove them."""
        return (
            bool(self.inside) and not self.is_alive and processes.ended_without_a_word(self.state)
        )

    @property
    def is_alive(self) -> bool:
        """Tell whether anyone still uses the lease."""
        return processes.is_alive(*self.owner) or (
            bool(self.state) and processes.has_live_supervisor(self.state)
        )


class Book(msgspec.Struct):
    """The file's content: which subnet the bridge has, and the leases in it."""

    format: int = FORMAT
    subnet: str = ""
    is_verifiable: bool = True
    last: int = FIRST_HOST - 1
    leases: list[Lease] = []


@contextmanager
def opened(directory: Path) -> Iterator[Book]:
    """Lock the lease file, yield its content, and store it unless the block fails.

    A missing or damaged file reads as an empty one.
    """
    import fcntl

    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = directory / "leases.json"
    lock = os.open(directory / "leases.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        book = _read(path)
        before = msgspec.json.encode(book)
        yield book
        after = msgspec.json.encode(book)
        if after != before:
            part = path.with_suffix(".part")
            part.write_bytes(after)
            part.replace(path)
    finally:
        os.close(lock)


def choose_subnet(book: Book, routes: Iterable[IPv4Network]) -> None:
    """Settle where the bridge lives, if that is not settled yet.

    Raises:
        NetworkError: the host's routes overlap every candidate.
    """
    from ipaddress import IPv4Network

    if book.subnet:
        return
    known = [route for route in routes if route.prefixlen > 0]
    for text in SUBNETS:
        candidate = IPv4Network(text)
        if not any(candidate.overlaps(route) for route in known):
            book.subnet = text
            return
    raise NetworkError(
        "no address range is free for containers: the host's routes cover them all",
        hint="use `--network host` or `--network none`",
    )


def take(
    book: Book,
    name: str,
    *,
    owner: tuple[int, int],
    state_file: str = "",
    ports: Iterable[Port] = (),
) -> tuple[Lease, tuple[Port, ...]]:
    """Add a lease for ``name``, which may have had one before; settle its ports.

    Raises:
        NetworkError: a port is taken, or the subnet is full.
    """
    from ipaddress import IPv4Network

    book.leases = [lease for lease in book.leases if lease.name != name and lease.is_alive]
    taken = [tuple_ for lease in book.leases for tuple_ in lease.ports]
    settled = settle(ports, taken)
    network = IPv4Network(book.subnet)
    used = {lease.address for lease in book.leases}
    hosts = network.num_addresses - FIRST_HOST - 1
    for step in range(1, hosts + 1):
        # Going round instead of reusing the lowest keeps stale neighbour entries harmless.
        number = FIRST_HOST + (book.last - FIRST_HOST + step) % hosts
        address = str(network[number])
        if address not in used:
            break
    else:
        raise NetworkError(f"all addresses in {book.subnet} are taken")
    book.last = number
    published = tuple((p.host_ip, p.host_port, p.protocol) for p in settled)
    inside = tuple(port.container_port for port in settled)
    lease = Lease(name, address, owner, state_file, published, inside)
    book.leases.append(lease)
    return lease, settled


def hand_over(book: Book, name: str, owner: tuple[int, int]) -> None:
    """Make ``owner`` the process that the lease of ``name`` ends with."""
    book.leases = [
        msgspec.structs.replace(lease, owner=owner) if lease.name == name else lease
        for lease in book.leases
    ]


def release(book: Book, name: str) -> None:
    """Give back what ``name`` has; releasing twice changes nothing."""
    book.leases = [lease for lease in book.leases if lease.name != name]


def host_routes(table: str, *, without: str) -> list[IPv4Network]:
    """Read the text of ``/proc/net/route``, leaving out the routes of one interface."""
    from ipaddress import IPv4Address, IPv4Network

    routes: list[IPv4Network] = []
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 8 or fields[0] == without:
            continue
        # The kernel prints the four bytes as one little-endian number.
        address, mask = (
            IPv4Address(int.from_bytes(bytes.fromhex(fields[i]), "little")) for i in (1, 7)
        )
        routes.append(IPv4Network((address, str(mask)), strict=False))
    return routes


def _read(path: Path) -> Book:
    try:
        book = msgspec.json.decode(path.read_bytes(), type=Book)
    except (OSError, msgspec.MsgspecError):
        return Book()
    return book if book.format == FORMAT else Book()
