"""Addresses and ports: one file for the machine, reclaimed without cleaning up."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from dissolver.errors import NetworkError
from dissolver.network import leases
from dissolver.network.ports import Port
from dissolver.store import processes

ME = processes.this_process()
NOBODY = (1 << 22, 1)

ROUTES = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
dissolver0\t0000580A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
"""


def book(**fields: object) -> leases.Book:
    return leases.Book(**({"subnet": "10.88.0.0/16"} | fields))  # type: ignore[arg-type]


def test_addresses_go_round() -> None:
    now = book()
    first = [leases.take(now, name, owner=ME)[0].address for name in ("a", "b", "c")]
    assert first == ["10.88.0.2", "10.88.0.3", "10.88.0.4"]
    leases.release(now, "a")
    assert leases.take(now, "d", owner=ME)[0].address == "10.88.0.5"


def test_after_the_last_address_comes_the_first_free_one() -> None:
    now = book(subnet="10.0.0.0/29")
    taken = [leases.take(now, str(i), owner=ME)[0].address for i in range(5)]
    assert taken == [f"10.0.0.{host}" for host in range(2, 7)]
    leases.release(now, "3")
    assert leases.take(now, "6", owner=ME)[0].address == "10.0.0.5"
    with pytest.raises(NetworkError, match="all addresses"):
        leases.take(now, "7", owner=ME)


def test_a_lease_whose_owner_is_gone_is_reclaimed() -> None:
    now = book()
    leases.take(now, "dead", owner=NOBODY, ports=[Port(80, "tcp", "", 29990, 29990)])
    leases.take(now, "next", owner=ME, ports=[Port(80, "tcp", "", 29990, 29990)])
    assert [lease.name for lease in now.leases] == ["next"]


def test_a_lease_lives_on_with_the_supervisor(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    pid, start = ME
    path.write_text(
        f'{{"format":1,"status":"running","supervisor":{{"pid":{pid},"start_time":{start}}}}}'
    )
    now = book()
    leases.take(now, "held", owner=NOBODY, state_file=str(path))
    leases.take(now, "next", owner=ME)
    assert [lease.name for lease in now.leases] == ["held", "next"]


def test_a_lease_that_was_handed_over_ends_with_its_new_owner() -> None:
    now = book()
    leases.take(now, "web", owner=ME)
    leases.hand_over(now, "web", NOBODY)
    leases.take(now, "next", owner=ME)
    assert [lease.name for lease in now.leases] == ["next"]


def test_a_container_that_starts_again_has_one_lease() -> None:
    now = book()
    leases.take(now, "web", owner=ME, ports=[Port(80, "tcp", "", 29991, 29991)])
    leases.take(now, "web", owner=ME, ports=[Port(80, "tcp", "", 29991, 29991)])
    assert len(now.leases) == 1


def test_a_port_of_a_living_lease_is_allocated() -> None:
    now = book()
    leases.take(now, "a", owner=ME, ports=[Port(80, "tcp", "", 29992, 29992)])
    with pytest.raises(NetworkError, match="port is already allocated"):
        leases.take(now, "b", owner=ME, ports=[Port(80, "tcp", "127.0.0.1", 29992, 29992)])


def test_the_file_is_kept_and_a_failed_block_changes_nothing(tmp_path: Path) -> None:
    with leases.opened(tmp_path) as now:
        now.subnet = "10.88.0.0/16"
        leases.take(now, "a", owner=ME)
    with suppress(RuntimeError), leases.opened(tmp_path) as now:
        leases.take(now, "b", owner=ME)
        raise RuntimeError
    with leases.opened(tmp_path) as now:
        assert [lease.name for lease in now.leases] == ["a"]


@pytest.mark.parametrize("content", [b"", b"{", b'{"format": 99, "subnet": "10.1.0.0/16"}'])
def test_a_damaged_file_reads_as_an_empty_one(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "leases.json").write_bytes(content)
    with leases.opened(tmp_path) as now:
        assert (now.subnet, now.leases) == ("", [])


def test_two_processes_never_get_the_same_address(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from dissolver.network import leases\n"
        "from dissolver.store import processes as state\n"
        "for i in range(10):\n"
        "    with leases.opened(Path(sys.argv[1])) as b:\n"
        "        b.subnet = '10.88.0.0/16'\n"
        "        name = f'{sys.argv[2]}-{i}'\n"
        "        print(leases.take(b, name, owner=state.this_process())[0].address)\n"
        "sys.stdout.flush(); sys.stdin.read()\n"
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("a", "b")
    ]
    printed = [
        [process.stdout.readline() for _ in range(10)] for process in running if process.stdout
    ]
    for process in running:
        process.communicate()
    assert len({line for lines in printed for line in lines}) == 20


def test_routes_are_read_as_the_kernel_writes_them() -> None:
    assert leases.host_routes(ROUTES, without="dissolver0") == [
        IPv4Network("0.0.0.0/0"),
        IPv4Network("192.0.2.0/24"),
    ]


@pytest.mark.parametrize(
    ("routes", "expected"),
    [
        ([], "10.88.0.0/16"),
        (["0.0.0.0/0"], "10.88.0.0/16"),
        (["10.88.3.0/24"], "10.89.0.0/16"),
        (["10.88.0.0/15"], "10.77.0.0/16"),
    ],
)
def test_the_bridge_avoids_the_routes_of_the_host(routes: list[str], expected: str) -> None:
    now = leases.Book()
    leases.choose_subnet(now, map(IPv4Network, routes))
    assert now.subnet == expected


def test_a_host_that_routes_everything_private_is_told_what_to_do() -> None:
    with pytest.raises(NetworkError) as raised:
        leases.choose_subnet(leases.Book(), [IPv4Network("10.0.0.0/8")])
    assert raised.value.hint == "use `--network host` or `--network none`"


@pytest.mark.parametrize(
    ("text", "is_left"),
    [
        ('{"format":1,"status":"running","supervisor":{"pid":1,"start_time":1}}', True),
        ('{"format":1,"status":"created","supervisor":{"pid":1,"start_time":1}}', True),
        ('{"format":1,"status":"exited","supervisor":{"pid":1,"start_time":1}}', False),
        ('{"format":1,"status":"created"}', False),
        (None, False),
    ],
)
def test_rules_are_left_behind_by_those_who_ended_without_a_word(
    tmp_path: Path, text: str | None, is_left: bool
) -> None:
    path = tmp_path / "state.json"
    if text is not None:
        path.write_text(text)
    now = book()
    port = Port(80, "tcp", "", 29991, 29991)
    lease, _ = leases.take(now, "web", owner=NOBODY, state_file=str(path), ports=[port])
    assert lease.is_left_behind is is_left
    assert lease.published == (port,)
    bare, _ = leases.take(now, "bare", owner=NOBODY, state_file=str(path))
    assert not bare.is_left_behind
