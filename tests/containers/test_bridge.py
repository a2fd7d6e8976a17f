"""Containers on the bridge: out, in, and side by side."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
import urllib.request
from pathlib import Path

import pytest

from basis import Base, needs_root
from dissolver.containers import life as containers
from dissolver.containers.life import RunOptions
from dissolver.containers.start import connection_of
from dissolver.errors import NetworkError
from dissolver.network import bridge as bridges
from dissolver.network import firewall
from scene import wait_until

pytestmark = [needs_root, pytest.mark.usefixtures("bridge")]

SERVER = "mkdir /www; echo page > /www/index.html; exec httpd -f -p 80 -h /www"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


def host_address() -> str:
    """The address by which this machine reaches others."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("198.51.100.1", 9))
        return str(probe.getsockname()[0])


def fetch(address: str, port: int) -> str:
    deadline = time.monotonic() + 5
    while True:
        try:
            with urllib.request.urlopen(f"http://{address}:{port}/", timeout=2) as answer:
                return str(answer.read().decode())
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def start(base: Base, command: str, *ports: str, name: str | None = None) -> str:
    options = RunOptions(ports=ports, name=name)
    identity = containers.create(base.store, base.image(), ["sh", "-c", command], options)
    containers.start(base.store, identity)
    return identity


def address_of(base: Base, identity: str) -> str:
    connection = connection_of(base.store.containers.directory(identity))
    assert connection is not None
    return connection.address


@pytest.mark.parametrize("via", ["127.0.0.1", "host"])
def test_a_published_port_answers(base: Base, via: str) -> None:
    port = free_port()
    start(base, SERVER, f"{port}:80")
    assert fetch(host_address() if via == "host" else via, port) == "page\n"


def test_without_publishing_nothing_on_the_host_is_connected(base: Base) -> None:
    identity = start(base, SERVER)
    assert fetch(address_of(base, identity), 80) == "page\n"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", free_port()), timeout=1)


def test_a_port_on_one_address_answers_there_only(base: Base) -> None:
    port = free_port()
    start(base, SERVER, f"127.0.0.1:{port}:80")
    assert fetch("127.0.0.1", port) == "page\n"
    with pytest.raises(OSError, match=r"refused|timed out"):
        socket.create_connection((host_address(), port), timeout=1)


def test_ps_shows_what_was_published(base: Base) -> None:
    port = free_port()
    identity = start(base, "sleep 60", f"{port}:80", "127.0.0.1::53/udp")
    summary = containers.describe(base.store, base.store.containers.get(identity))
    first, second = summary.ports.split(", ")
    assert first.startswith("127.0.0.1:")
    assert first.endswith("->53/udp")
    assert second == f"0.0.0.0:{port}->80/tcp"


def test_a_port_is_free_again_after_stop(base: Base) -> None:
    port = free_port()
    for _ in range(2):
        identity = start(base, SERVER, f"{port}:80")
        assert fetch("127.0.0.1", port) == "page\n"
        containers.stop(base.store, identity, timeout=0.1)
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), timeout=1)


def test_a_published_port_is_taken(base: Base) -> None:
    port = free_port()
    start(base, "sleep 60", f"{port}:80", name="first")
    with pytest.raises(NetworkError) as raised:
        start(base, "sleep 60", f"{port}:80", name="second")
    assert raised.value.message.startswith("port is already allocated")
    assert raised.value.exit_code == 125
    containers.remove(base.store, "first", force=True)
    containers.start(base.store, "second")


def test_stopping_one_leaves_the_others_connected(base: Base) -> None:
    first, second = free_port(), free_port()
    one = start(base, SERVER, f"{first}:80")
    start(base, SERVER, f"{second}:80")
    containers.stop(base.store, one, timeout=0.1)
    assert fetch("127.0.0.1", second) == "page\n"
    assert Path(f"/sys/class/net/{bridges.BRIDGE}").exists()


def test_containers_reach_one_another(base: Base) -> None:
    server = start(base, SERVER)
    address = address_of(base, server)
    client = start(base, f"sleep 0.3; wget -q -O - http://{address}/")
    assert containers.wait(base.store, client) == 0
    assert [line.data for line in containers.logs(base.store, client)] == [b"page\n"]


def test_a_container_knows_its_own_name(base: Base) -> None:
    identity = start(base, "grep $(hostname) /etc/hosts")
    assert containers.wait(base.store, identity) == 0
    (line,) = containers.logs(base.store, identity)
    assert line.data.decode().split() == [address_of(base, identity), identity[:12]]


@pytest.fixture
def no_bridge() -> None:
    """Take the bridge away, as a reboot does; only where no container uses it."""
    members = Path(f"/sys/class/net/{bridges.BRIDGE}/brif")
    # The kernel takes a namespace's interfaces away some time after its last process.
    end = time.monotonic() + 10
    while members.exists() and {path.name for path in members.iterdir()} - {bridges.KEEPER}:
        if time.monotonic() > end:
            pytest.skip("a container of somebody else is on the bridge")
        time.sleep(0.05)
    for name in (bridges.BRIDGE, bridges.KEEPER):
        subprocess.run(["ip", "link", "del", name], check=False, capture_output=True)


@pytest.mark.usefixtures("no_bridge")
def test_a_missing_bridge_is_made_again(base: Base) -> None:
    identity = start(base, SERVER)
    assert fetch(address_of(base, identity), 80) == "page\n"


@pytest.mark.usefixtures("no_bridge")
def test_many_steps_at_once_make_one_bridge(base: Base) -> None:
    results: list[tuple[int, str]] = []

    def run() -> None:
        mine = Base(base.store, base.layer)
        status = mine.step("ip -o -4 addr show eth0 | awk '{print $4}'", network="default").status
        results.append((status, mine.text))

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [status for status, _ in results] == [0] * 8
    assert len({text for _, text in results}) == 8


# The host's loopback ------------------------------------------------------------------


def remove_rules() -> None:
    """Take the rules away that keep containers from the host's loopback, as a flush does."""
    attributes = firewall._text(firewall._TABLE_NAME, firewall.TABLE)
    batch = b"".join(
        firewall._message(kind, flags, text, family=family, resource=resource)
        for kind, flags, text, family, resource in (
            (firewall._BATCH_BEGIN, 1, b"", 0, firewall._NFTABLES),
            (firewall._NEW_TABLE, 1 | firewall._CREATE, attributes, 2, 0),
            (firewall._DELETE_TABLE, 1, attributes, 2, 0),
            (firewall._BATCH_END, 1, b"", 0, firewall._NFTABLES),
        )
    )
    with firewall._opened() as link:
        link.send(batch)
    assert not firewall.is_loopback_guarded()


@pytest.mark.parametrize("ports", [(), ("80",)])
def test_rules_that_are_missing_are_made_again(base: Base, ports: tuple[str, ...]) -> None:
    # As after a flush, and as on a bridge that an older version made.
    base.step("true", network="default")
    remove_rules()
    start(base, "sleep 60", *ports)
    assert firewall.is_loopback_guarded()


def test_the_rules_are_there_before_a_step_runs(base: Base) -> None:
    remove_rules()
    base.step("true", network="default")
    assert firewall.is_loopback_guarded()


def test_without_the_rules_nothing_gets_on_the_bridge(
    base: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove_rules()
    # A kernel that knows none of the words of a rule.
    monkeypatch.setattr(firewall, "_expression", lambda name, data: firewall._nested(1, b""))
    with pytest.raises(NetworkError) as raised:
        start(base, "sleep 60")
    assert raised.value.message.startswith("containers cannot be kept from what listens on")
    assert "`--network none`" in (raised.value.hint or "")
    monkeypatch.undo()
    start(base, "sleep 60")
    assert firewall.is_loopback_guarded()


def test_an_interface_that_is_left_of_the_last_run_is_in_nobodys_way(base: Base) -> None:
    """Another container that has a directory of this one open keeps its namespace."""
    identity = start(base, "exit")
    containers.wait(base.store, identity)
    name = bridges.interface_of(identity)
    wait_until(lambda: not Path(f"/sys/class/net/{name}").exists())
    subprocess.run(["ip", "link", "add", name, "type", "veth"], check=True)
    try:
        containers.start(base.store, identity)
        assert containers.wait(base.store, identity) == 0
    finally:
        subprocess.run(["ip", "link", "delete", name], stderr=subprocess.DEVNULL, check=False)


@pytest.mark.parametrize("publishes", [False, True])
def test_nobody_on_the_bridge_is_believed_to_be_a_router(base: Base, publishes: bool) -> None:
    if not Path("/proc/sys/net/ipv6").exists():
        pytest.skip("this machine has no IPv6")
    host = Path(bridges.ACCEPTS_ROUTERS.format(bridges.BRIDGE))
    host.write_text("1")
    ports = [f"{free_port()}:80"] if publishes else []
    container = bridges.ACCEPTS_ROUTERS.format(bridges.INTERFACE)
    identity = start(base, f"cat {container}", *ports)
    assert containers.wait(base.store, identity) == 0
    told = [line.data for line in containers.logs(base.store, identity)]
    assert (host.read_text(), told) == ("0\n", [b"0\n"])
