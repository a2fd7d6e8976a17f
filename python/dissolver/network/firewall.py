"""The kernel's packet filter, spoken to over netlink: one question, and one table of our own.

Asking over netlink takes 0.1 ms; starting ``nft`` or ``iptables`` for it would
take 5 ms of every container's start.

The table `dissolver` keeps the bridge from the host's loopback. Ports published on
the host's 127.0.0.1 need ``route_localnet`` on the bridge, and with it the kernel
would deliver what a container sends to 127.0.0.1. The rules name the bridge and not
its number, so they are there before it is and outlast it. As ``nft`` writes them:

```
table ip dissolver {
  chain loopback {
    type filter hook prerouting priority raw; policy accept;
    iifname "dissolver0" ip daddr 127.0.0.0/8 drop
    iifname "dissolver0" ip saddr 127.0.0.0/8 drop
  }
}
```
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING

from dissolver.errors import NetworkError

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

_NETLINK_NETFILTER = 12
_NFTABLES = 10  # NFNL_SUBSYS_NFTABLES
_BATCH_BEGIN, _BATCH_END = 16, 17
_NEW_TABLE, _DELETE_TABLE = _NFTABLES << 8, _NFTABLES << 8 | 2
_NEW_CHAIN, _GET_CHAIN = _NFTABLES << 8 | 3, _NFTABLES << 8 | 4
_NEW_RULE, _GET_RULE = _NFTABLES << 8 | 6, _NFTABLES << 8 | 7
_REQUEST, _ACK, _DUMP, _CREATE, _APPEND = 1, 4, 0x300, 0x400, 0x800
_ERROR, _DONE = 2, 3
_NFPROTO_IPV4 = 2
_TABLE_NAME = 1
_CHAIN_TABLE, _CHAIN_NAME, _CHAIN_HOOK, _CHAIN_POLICY, _CHAIN_TYPE = 1, 3, 4, 5, 7
_RULE_TABLE, _RULE_CHAIN, _RULE_EXPRESSIONS, _RULE_USERDATA = 1, 2, 4, 7
_PREROUTING, _BEFORE_TRACKING = 0, -300  # NF_INET_PRE_ROUTING, NF_IP_PRI_RAW
_INTERFACE_NAME, _NETWORK_HEADER, _REGISTER, _VERDICT = 6, 1, 1, 0
_SOURCE_OFFSET, _DESTINATION_OFFSET = 12, 16
_SECONDS = 1.0

TABLE = "dissolver"
CHAIN = "loopback"
COMMENT = "dissolver: what listens on the host's loopback is not for containers"
"""Each rule carries it: ``nft list ruleset`` shows it, and the rules are known by it."""


def has_chain(table: str, name: str) -> bool:
    """Tell whether nftables has the IPv4 chain ``name`` in ``table``.

    ``False`` also where the host's rules are of the older kind, or may not be read.
    """
    attributes = _text(_CHAIN_TABLE, table) + _text(_CHAIN_NAME, name)
    try:
        with _opened() as link:
            link.send(_message(_GET_CHAIN, _REQUEST, attributes))
            answer = link.recv(65536)
    except OSError:
        return False
    kind = struct.unpack_from("=H", answer, 4)[0] if len(answer) >= 16 else _ERROR
    return bool(kind != _ERROR)


def guard_loopback(interface: str) -> None:
    """Keep what arrives on ``interface`` from 127.0.0.0/8, and from saying it came from there.

    Cheap where the rules are in place; where one is missing all are made anew, in one
    transaction. The table has room for one interface.

    Raises:
        NetworkError: the kernel does not take the rules.
    """
    if is_loopback_guarded():
        return
    problem = _make_guard(interface)
    if not is_loopback_guarded():
        raise NetworkError(
            "containers cannot be kept from what listens on this machine's loopback interface: "
            f"the kernel's packet filter answers {problem or 'nothing'}",
            hint="`modprobe nf_tables` may help, or use `--network host` or `--network none`",
        )


def is_loopback_guarded() -> bool:
    """Report whether both rules are there; ``False`` also where they may not be read."""
    attributes = _text(_RULE_TABLE, TABLE) + _text(_RULE_CHAIN, CHAIN)
    found = 0
    try:
        with _opened() as link:
            link.send(_message(_GET_RULE, _REQUEST | _DUMP, attributes))
            while True:
                for kind, body in _messages(link.recv(65536)):
                    if kind in (_ERROR, _DONE):
                        return found == 2
                    found += _userdata() in body
    except OSError:
        return False


def _make_guard(interface: str) -> str:
    """Send the table as a whole, and return what the kernel says against it."""
    table = _text(_TABLE_NAME, TABLE)
    hook = _number(1, _PREROUTING) + _number(2, _BEFORE_TRACKING)
    chain = (
        _text(_CHAIN_TABLE, TABLE)
        + _text(_CHAIN_NAME, CHAIN)
        + _nested(_CHAIN_HOOK, hook)
        + _number(_CHAIN_POLICY, 1)
        + _text(_CHAIN_TYPE, "filter")
    )
    # One that is there already is deleted, for which there has to be one.
    parts = [
        (_NEW_TABLE, _CREATE, table),
        (_DELETE_TABLE, 0, table),
        (_NEW_TABLE, _CREATE, table),
        (_NEW_CHAIN, _CREATE, chain),
        (_NEW_RULE, _CREATE | _APPEND, _rule(interface, _DESTINATION_OFFSET)),
        (_NEW_RULE, _CREATE | _APPEND, _rule(interface, _SOURCE_OFFSET)),
    ]
    batch = _message(_BATCH_BEGIN, _REQUEST, family=0, resource=_NFTABLES)
    for kind, flags, attributes in parts:
        batch += _message(kind, _REQUEST | _ACK | flags, attributes)
    batch += _message(_BATCH_END, _REQUEST, family=0, resource=_NFTABLES)
    try:
        with _opened() as link:
            link.send(batch)
            for _ in parts:
                for kind, body in _messages(link.recv(65536)):
                    code = struct.unpack_from("=i", body)[0] if kind == _ERROR else 0
                    if code:
                        return os.strerror(-code)
    except OSError as problem:
        return str(problem.strerror or problem)
    return ""


def _rule(interface: str, offset: int) -> bytes:
    """Write a rule: an address whose first byte is 127, in what comes from ``interface``."""
    expressions = (
        _expression("meta", _number(1, _REGISTER) + _number(2, _INTERFACE_NAME)),
        _expression("cmp", _equals(interface.encode().ljust(16, b"\0"))),
        _expression(
            "payload",
            _number(1, _REGISTER)
            + _number(2, _NETWORK_HEADER)
            + _number(3, offset)
            + _number(4, 1),
        ),
        _expression("cmp", _equals(b"\x7f")),
        # The verdict's code is that of NF_DROP.
        _expression("immediate", _number(1, _VERDICT) + _nested(2, _nested(2, _number(1, 0)))),
    )
    return (
        _text(_RULE_TABLE, TABLE)
        + _text(_RULE_CHAIN, CHAIN)
        + _nested(_RULE_EXPRESSIONS, b"".join(expressions))
        + _userdata()
    )


def _equals(value: bytes) -> bytes:
    return _number(1, _REGISTER) + _number(2, 0) + _nested(3, _attribute(1, value))


def _expression(name: str, data: bytes) -> bytes:
    return _nested(1, _text(1, name) + _nested(2, data))


def _userdata() -> bytes:
    # As libnftnl keeps comments: a type, a length, and the text with its end.
    text = COMMENT.encode() + b"\0"
    return _attribute(_RULE_USERDATA, struct.pack("=BB", 0, len(text)) + text)


def _opened() -> socket.socket:
    import socket

    link = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER)
    link.settimeout(_SECONDS)
    return link


def _message(
    kind: int,
    flags: int,
    attributes: bytes = b"",
    *,
    family: int = _NFPROTO_IPV4,
    resource: int = 0,
) -> bytes:
    payload = struct.pack("=BB", family, 0) + struct.pack(">H", resource) + attributes
    return struct.pack("=IHHII", 16 + len(payload), kind, flags, 1, 0) + payload


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Take an answer apart: the kind of each message, and what follows its header."""
    while len(data) >= 16:
        length, kind = struct.unpack_from("=IH", data)
        if length < 16:
            return
        yield kind, data[16:length]
        data = data[(length + 3) & ~3 :]


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def _nested(kind: int, value: bytes) -> bytes:
    return _attribute(kind | 0x8000, value)  # NLA_F_NESTED


def _text(kind: int, text: str) -> bytes:
    return _attribute(kind, text.encode() + b"\0")


def _number(kind: int, value: int) -> bytes:
    return _attribute(kind, struct.pack(">i", value))
