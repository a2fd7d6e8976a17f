"""Ports in EXPOSE: written as for `docker run -p`, of which the container's part counts."""

from __future__ import annotations

import pytest

from dissolver.errors import DockerfileError
from dissolver.plan.ports import parse_port

PORTS = [
    # A port, and its protocol.
    ("80", "80/tcp"),
    ("80/tcp", "80/tcp"),
    ("80/TCP", "80/tcp"),
    ("53/udp", "53/udp"),
    ("53/Udp", "53/udp"),
    ("132/sctp", "132/sctp"),
    ("80/", "80/tcp"),
    ("0", "0/tcp"),
    ("1", "1/tcp"),
    ("65535", "65535/tcp"),
    ("00080", "80/tcp"),
    ("0000000080", "80/tcp"),
    # Ranges.
    ("80-80", "80/tcp"),
    ("80-82", "80/tcp 81/tcp 82/tcp"),
    ("9-11/udp", "9/udp 10/udp 11/udp"),
    ("65534-65535", "65534/tcp 65535/tcp"),
    # A port of the host, which means nothing here.
    ("8080:80", "80/tcp"),
    (":80", "80/tcp"),
    ("::80", "80/tcp"),
    ("8080:80/udp", "80/udp"),
    ("8000-8010:80", "80/tcp"),
    ("8000-8001:80-81", "80/tcp 81/tcp"),
    ("0:80", "80/tcp"),
    # An address, which means nothing either.
    ("127.0.0.1:8080:80", "80/tcp"),
    ("127.0.0.1::80", "80/tcp"),
    ("0.0.0.0:8000-8001:80-81/udp", "80/udp 81/udp"),
    ("[::1]:8080:80", "80/tcp"),
    ("[::]::80/sctp", "80/sctp"),
    ("::1:8080:80", "80/tcp"),
    ("[2001:db8::1]:80:80", "80/tcp"),
]


@pytest.mark.parametrize(("text", "ports"), PORTS)
def test_a_specification_means(text: str, ports: str) -> None:
    assert parse_port(text) == ports.split()


FAULTS = [
    ("", "invalid port ``: no port specified"),
    ("/udp", "invalid port `/udp`: no port specified"),
    ("8080:", "invalid port `8080:`: no port specified"),
    ("a", "invalid containerPort `a`"),
    ("80a", "invalid containerPort `80a`"),
    ("+80", "invalid containerPort `+80`"),
    ("80.0", "invalid containerPort `80.0`"),
    ("0x50", "invalid containerPort `0x50`"),
    (" 80", "invalid containerPort ` 80`"),
    ("65536", "invalid containerPort `65536`"),
    ("81-80", "invalid containerPort `81-80`"),
    ("80-65536", "invalid containerPort `80-65536`"),
    ("-", "invalid containerPort `-`"),
    ("80--81", "invalid containerPort `80--81`"),
    ("٨٠", "invalid containerPort `٨٠`"),
    ("80/http", "invalid proto `http` in `80/http`"),
    ("80/tcp/udp", "invalid proto `tcp/udp` in `80/tcp/udp`"),
    ("80/ tcp", "invalid proto ` tcp` in `80/ tcp`"),
    ("x:80", "invalid hostPort `x`"),
    ("65536:80", "invalid hostPort `65536`"),
    ("2-1:80-81", "invalid hostPort `2-1`"),
    ("127.0.0.1:80", "invalid hostPort `127.0.0.1`"),
    ("localhost:80:80", "invalid IP address `localhost`"),
    ("127.0.0.256:80:80", "invalid IP address `127.0.0.256`"),
    ("[::g]:80:80", "invalid IP address `[::g]`"),
    ("1-2:80-82",
     "invalid ranges specified for container and host ports: `80-82` and `1-2`"),
    ("1:80-82",
     "invalid ranges specified for container and host ports: `80-82` and `1`"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), FAULTS)
def test_a_wrong_specification_is_named(text: str, message: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        parse_port(text)
    assert caught.value.message == message
