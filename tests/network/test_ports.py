"""Published ports: texts, and which host ports are free."""

from __future__ import annotations

import socket

import pytest

from dissolver.errors import BadPort, NetworkError
from dissolver.network.ports import Port, parse_exposed, parse_port, settle


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("80", [Port(80)]),
        ("3000:80", [Port(80, "tcp", "", 3000, 3000)]),
        ("3000:80/udp", [Port(80, "udp", "", 3000, 3000)]),
        ("3000:80/TCP", [Port(80, "tcp", "", 3000, 3000)]),
        ("80/sctp", [Port(80, "sctp")]),
        ("127.0.0.1:3000:80", [Port(80, "tcp", "127.0.0.1", 3000, 3000)]),
        ("127.0.0.1::80", [Port(80, "tcp", "127.0.0.1")]),
        ("[::1]:3000:80", [Port(80, "tcp", "::1", 3000, 3000)]),
        ("[::1]::80", [Port(80, "tcp", "::1")]),
        ("8000-8002:80", [Port(80, "tcp", "", 8000, 8002)]),
        ("80-81", [Port(80), Port(81)]),
        (
            "8000-8001:80-81",
            [Port(80, "tcp", "", 8000, 8000), Port(81, "tcp", "", 8001, 8001)],
        ),
        ("65535:1", [Port(1, "tcp", "", 65535, 65535)]),
    ],
)
def test_a_port_is_read(text: str, expected: list[Port]) -> None:
    assert list(parse_port(text)) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no container port in ``"),
        ("http", "invalid container port `http` in `http`"),
        ("3000:", "no container port in `3000:`"),
        (":80", "no host port before the colon in port `:80`"),
        ("0:80", "host port `0` in `0:80` is out of range 1 to 65535"),
        ("3000:65536", "container port `65536` in `3000:65536` is out of range 1 to 65535"),
        ("80:80/icmp", "unknown protocol `icmp` in port `80:80/icmp`"),
        ("localhost:80:80", "invalid address `localhost` in port `localhost:80:80`"),
        ("300.0.0.1:80:80", "invalid address `300.0.0.1` in port `300.0.0.1:80:80`"),
        ("[::1:80", "invalid port `[::1:80`"),
        ("1-2:80-82", "the ranges `1-2` and `80-82` in port `1-2:80-82` differ in length"),
        ("81-80", "the container range `81-80` in port `81-80` runs backwards"),
        ("-1:80", "invalid host port `` in `-1:80`"),
        ("٣:80", "invalid host port `٣` in `٣:80`"),
    ],
)  # fmt: skip
def test_a_bad_port_says_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(BadPort) as raised:
        parse_port(text)
    assert raised.value.message == message
    assert raised.value.exit_code == 125


@pytest.mark.parametrize(
    ("port", "text"),
    [
        (Port(80, "tcp", "", 3000, 3000), "0.0.0.0:3000->80/tcp"),
        (Port(53, "udp", "127.0.0.1", 53, 53), "127.0.0.1:53->53/udp"),
        (Port(80, "tcp", "::1", 3000, 3000), "[::1]:3000->80/tcp"),
    ],
)
def test_a_mapping_is_shown_as_people_know_it(port: Port, text: str) -> None:
    assert port.text == text


def test_exposed_ports_become_mappings() -> None:
    assert parse_exposed("8000-8001/udp") == (Port(8000, "udp"), Port(8001, "udp"))


@pytest.fixture
def listener() -> socket.socket:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server


def test_a_port_that_someone_listens_on_is_allocated(listener: socket.socket) -> None:
    number = listener.getsockname()[1]
    with pytest.raises(NetworkError) as raised:
        settle([Port(80, "tcp", "127.0.0.1", number, number)], ())
    expected = f"port is already allocated: something listens on `127.0.0.1:{number}`"
    assert raised.value.message == expected


def test_a_port_on_all_addresses_clashes_with_one_of_them(listener: socket.socket) -> None:
    number = listener.getsockname()[1]
    with pytest.raises(NetworkError, match="port is already allocated"):
        settle([Port(80, "tcp", "", number, number)], ())


def test_a_port_of_another_container_is_allocated() -> None:
    with pytest.raises(NetworkError) as raised:
        settle([Port(80, "tcp", "", 29999, 29999)], {("127.0.0.1", 29999, "tcp")})
    assert raised.value.message == (
        "port is already allocated: `0.0.0.0:29999` is published by another container"
    )


def test_the_same_number_for_another_protocol_is_free() -> None:
    settled = settle([Port(80, "udp", "127.0.0.1", 29998, 29998)], {("", 29998, "tcp")})
    assert settled == (Port(80, "udp", "127.0.0.1", 29998, 29998),)


def test_one_port_cannot_be_published_twice_at_once() -> None:
    port = Port(80, "tcp", "127.0.0.1", 29997, 29997)
    with pytest.raises(NetworkError, match="port is already allocated"):
        settle([port, port], ())


def test_a_range_gives_the_first_free_port(listener: socket.socket) -> None:
    number = listener.getsockname()[1]
    (found,) = settle([Port(80, "tcp", "127.0.0.1", number, min(number + 3, 65535))], ())
    assert number < found.host_port <= number + 3


def test_without_a_host_port_the_kernel_picks_one() -> None:
    first, second = settle([Port(80), Port(81)], ())
    assert first.host_port > 0
    assert second.host_port > 0
    assert first.host_port != second.host_port


def test_an_address_that_the_machine_does_not_have_is_named() -> None:
    with pytest.raises(NetworkError, match=r"does not have the address `192\.0\.2\.200`"):
        settle([Port(80, "tcp", "192.0.2.200", 29996, 29996)], ())
