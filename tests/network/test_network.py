"""Network plans: modes, commands, and what is missing."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from basis import needs_root
from dissolver.errors import NetworkError
from dissolver.network import bridge, pasta, programs
from dissolver.network import plan as network
from dissolver.network.hosts import Host
from dissolver.network.leases import Lease
from dissolver.network.ports import Port
from dissolver.network.programs import Command, complaint
from scene import processes, wait_until

LEASE = Lease("0123456789abcdef", "10.88.0.7", (1, 1))
SUBNET = "10.88.0.0/16"


def plan(
    mode: network.Mode,
    tmp_path: Path,
    *ports: Port,
    is_step: bool = False,
    hosts: Sequence[Host] = (),
):
    return network.plan_network(
        mode,
        ports,
        name="0123456789abcdef",
        hostname="web",
        is_rootless=True,
        run=tmp_path,
        is_step=is_step,
        hosts=hosts,
    )


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("bridge", "bridge"),
        ("default", "bridge"),
        ("", "bridge"),
        ("host", "host"),
        ("none", "none"),
    ],
)
def test_a_mode_is_read(text: str, mode: str) -> None:
    assert network.parse_mode(text) == mode


def test_an_unknown_network_is_named() -> None:
    with pytest.raises(NetworkError) as raised:
        network.parse_mode("backend")
    assert raised.value.message == "unknown network `backend`"
    assert raised.value.hint == "the networks are `bridge`, `host` and `none`"


def test_the_hosts_network_needs_nothing(tmp_path: Path) -> None:
    found = plan("host", tmp_path, Port(80, "tcp", "", 3000, 3000))
    assert (found.namespace, found.setup, found.teardown, found.ports) == ("host", (), (), ())
    assert found.files.hosts == Path("/etc/hosts").read_text()


def test_no_network_is_a_namespace_with_nothing_in_it(tmp_path: Path) -> None:
    found = plan("none", tmp_path)
    assert (found.namespace, found.setup, found.resolv_conf) == ("new", (), "")


def test_ports_need_a_network(tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match="ports cannot be published without a network"):
        plan("none", tmp_path, Port(80))


def test_a_step_sees_the_same_hosts_every_time(tmp_path: Path) -> None:
    assert "127.0.0.1\tweb" in plan("none", tmp_path, is_step=True).files.hosts


def test_a_plain_attachment_is_two_short_commands() -> None:
    outside, inside = bridge.plain_commands(LEASE, SUBNET)
    assert outside.argv[1:] == ("-batch", "-")
    assert outside.stdin == (
        "link add ds0123456789ab type veth peer name eth0 netns {pid}\n"
        "link set ds0123456789ab master dissolver0 up\n"
    )
    assert inside.argv[1] == "--net={netns}"
    assert inside.stdin == (
        "link set lo up\naddr add 10.88.0.7/16 dev eth0\nlink set eth0 up\n"
        "route add default via 10.88.0.1\n"
    )


def test_the_name_of_an_interface_fits_the_kernel() -> None:
    outside, _ = bridge.plain_commands(LEASE, SUBNET)
    assert outside.stdin is not None
    assert len(outside.stdin.split()[2]) <= 15
    assert len(bridge.KEEPER) <= 15


def test_published_ports_go_through_netavark(tmp_path: Path) -> None:
    ports = [Port(80, "tcp", "127.0.0.1", 3000, 3000), Port(53, "udp", "", 5353, 5353)]
    (_, setup), (teardown,) = bridge.port_commands(LEASE, ports, SUBNET, tmp_path)
    assert setup.argv[-2:] == ("setup", "{netns}")
    assert teardown.argv[-2:] == ("teardown", "{netns}")
    assert setup.stdin == teardown.stdin
    document = json.loads(setup.stdin or "")
    assert document["port_mappings"] == [
        {
            "host_ip": "127.0.0.1",
            "host_port": 3000,
            "container_port": 80,
            "protocol": "tcp",
            "range": 1,
        },
        {"host_ip": "", "host_port": 5353, "container_port": 53, "protocol": "udp", "range": 1},
    ]
    assert document["networks"]["dissolver"]["static_ips"] == ["10.88.0.7"]
    assert document["network_info"]["dissolver"]["subnets"] == [
        {"subnet": "10.88.0.0/16", "gateway": "10.88.0.1"}
    ]


def test_a_chain_is_named_as_netavark_names_it() -> None:
    assert bridge.chain_of("dissolver") == "NETAVARK-3A2097C620FC8"


def test_a_missing_netavark_is_told_with_what_to_install(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bridge, "NETAVARK", ())
    monkeypatch.setattr(bridge, "DIRECTORIES", ())
    with pytest.raises(NetworkError) as raised:
        bridge.port_commands(LEASE, [Port(80)], SUBNET, tmp_path)
    assert raised.value.message == "bridged networking needs `netavark`, which is not installed"
    assert "apt-get install netavark" in (raised.value.hint or "")


@pytest.mark.parametrize(
    ("protocol", "expected"),
    [
        ("tcp", ["-t", "3000:80", "-t", "127.0.0.1/8443:443"]),
        ("udp", ["-t", "none"]),
    ],
)
def test_pasta_forwards_the_ports_of_one_protocol(protocol: str, expected: list[str]) -> None:
    ports = [Port(80, "tcp", "", 3000, 3000), Port(443, "tcp", "127.0.0.1", 8443, 8443)]
    assert pasta.forwarded("-t", protocol, ports) == expected


def test_pasta_without_tun_devices_is_told_with_what_to_do(tmp_path: Path) -> None:
    if programs.find_program("pasta") is None:
        pytest.skip("pasta is not installed")
    with pytest.raises(NetworkError) as raised:
        pasta.commands((), tmp_path / "ns", tun=str(tmp_path / "tun"))
    assert raised.value.message.startswith("a network of its own needs")
    assert "`--network host`" in (raised.value.hint or "")


def test_a_missing_pasta_is_told_with_what_to_install(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(pasta, "find_program", lambda _: None)
    with pytest.raises(NetworkError) as raised:
        pasta.commands((), tmp_path / "ns")
    assert raised.value.hint == "install `passt`, or use `--network host`"


def test_a_command_is_bound_to_a_container() -> None:
    command = Command(("nsenter", "--net={netns}", "x"), "netns {pid}\n")
    bound = command.bound_to(42, "/proc/7/fd/9")
    assert bound == Command(("nsenter", "--net=/proc/7/fd/9", "x"), "netns 42\n")


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("", "it said nothing"),
        ("one\ntwo\n\n", "two"),
        ('{"error":"IP exhausted"}', "IP exhausted"),
        ("{not json", "{not json"),
    ],
)
def test_the_last_line_says_what_went_wrong(output: str, expected: str) -> None:
    assert complaint(output) == expected


# Further names ------------------------------------------------------------------------


def test_names_are_added_behind_those_that_are_there(tmp_path: Path) -> None:
    found = plan("none", tmp_path, is_step=True, hosts=[("db", "10.0.0.1"), ("db", "fd00::1")])
    assert found.files.hosts.endswith("127.0.0.1\tweb\n10.0.0.1\tdb\nfd00::1\tdb\n")


def test_on_the_hosts_network_the_machine_is_local(tmp_path: Path) -> None:
    found = plan("host", tmp_path, hosts=[("machine", "host-gateway")])
    assert found.files.hosts.endswith("\n127.0.0.1\tmachine\n")


def test_a_step_without_a_network_does_without_the_machine(tmp_path: Path) -> None:
    names = [("machine", "host-gateway"), ("db", "10.0.0.1")]
    found = plan("none", tmp_path, is_step=True, hosts=names)
    assert "machine" not in found.files.hosts
    assert found.files.hosts.endswith("10.0.0.1\tdb\n")
    with pytest.raises(NetworkError, match="this machine cannot be reached without a network"):
        plan("none", tmp_path, hosts=names)


ROUTES = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth1\t00000000\t0204A8C0\t0003\t0\t0\t200\t00000000\t0\t0\t0
eth0\t00000000\t0100A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0
eth0\t0000A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
"""


@pytest.mark.skipif(sys.byteorder != "little", reason="the table is written as here")
def test_pasta_lends_the_machine_the_address_of_its_gateway(tmp_path: Path) -> None:
    table = tmp_path / "route"
    table.write_text(ROUTES)
    assert pasta.host_gateway(str(table)) == "192.168.0.1"


@pytest.mark.parametrize(
    "text", ["", ROUTES.splitlines()[0] + "\n", "\n".join(ROUTES.split("\n")[3:])]
)
def test_without_a_gateway_there_is_none_to_lend(tmp_path: Path, text: str) -> None:
    table = tmp_path / "route"
    table.write_text(text)
    with pytest.raises(NetworkError) as raised:
        pasta.host_gateway(str(table))
    assert raised.value.hint == "use `--network host`"


def test_each_pasta_watches_a_directory_of_its_own(tmp_path: Path) -> None:
    files = [pasta.container_file(tmp_path, "a" * 64), pasta.step_file(tmp_path, "b" * 12)]
    assert len({file.parent for file in files}) == 2
    for file in files:
        file.parent.mkdir()
        file.touch()
        pasta.end(file)
        pasta.end(file)
    assert list(tmp_path.iterdir()) == []


def test_who_only_looks_like_a_pasta_is_not_waited_for_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = pasta.container_file(tmp_path, "a" * 64)
    file.parent.mkdir()
    file.touch()
    monkeypatch.setattr(pasta, "_keepers", lambda _: [os.getpid()] * 100)
    before = time.monotonic()
    pasta.end(file, seconds=0.1)
    assert time.monotonic() - before < 5


def test_only_what_a_dead_builder_left_is_ended(tmp_path: Path) -> None:
    kept = [pasta.step_file(tmp_path, "mine"), pasta.container_file(tmp_path, "c" * 64)]
    left = tmp_path / "pasta-theirs-1-1" / pasta.FILE
    for file in (*kept, left):
        file.parent.mkdir()
        file.touch()
    pasta.end_left_behind(tmp_path)
    assert sorted(tmp_path.glob("*/*")) == sorted(kept)


@pytest.mark.parametrize(
    ("gateway", "words"), [("", ["--no-map-gw"]), ("10.0.0.1", ["--gateway", "10.0.0.1"])]
)
def test_pasta_leads_to_the_machine_only_if_it_is_to(
    tmp_path: Path, gateway: str, words: list[str]
) -> None:
    if programs.find_program("pasta") is None:
        pytest.skip("passt is not installed")
    (command,) = pasta.commands((), tmp_path / "net", gateway=gateway, tun="/dev/null").setup
    found = [one for one in command.argv if one in ("--no-map-gw", "--gateway", "10.0.0.1")]
    assert found == words


FAKE_PASTA = """#!/bin/sh
while [ $# -gt 1 ]; do [ "$1" = --pid ] && file=$2; shift; done
sleep 60 >/dev/null 2>&1 &
echo $! > "$file"
"""


@needs_root
def test_a_pasta_that_cannot_be_guarded_does_not_stay(monkeypatch, tmp_path: Path) -> None:
    program = tmp_path / "pasta"
    program.write_text(FAKE_PASTA)
    program.chmod(0o755)
    # Its process has no tun device that a filter could be put on.
    monkeypatch.setattr(pasta, "find_program", lambda _: str(program))
    file = tmp_path / "run" / "net" / "netns"
    (command,) = pasta.commands((), file, tun="/dev/null").setup
    before = set(processes("sleep 60"))
    with pytest.raises(NetworkError) as raised:
        programs.run_command(command.bound_to(0, "/proc/self/ns/net"), "connecting the network")
    assert raised.value.message == (
        "connecting the network failed: containers cannot be kept from this machine's loopback "
        "interface: pasta has not opened /dev/net/tun"
    )
    assert not file.parent.exists()
    wait_until(lambda: set(processes("sleep 60")) <= before)
