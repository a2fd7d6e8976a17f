"""Tars made header by header, as no honest archiver makes them."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

BLOCK = 512
END = bytes(2 * BLOCK)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % BLOCK)


def header(
    name: str | bytes,
    kind: bytes = b"0",
    *,
    size: int | bytes = 0,
    link: str | bytes = b"",
    mode: int = 0o755,
    device: tuple[int, int] = (0, 0),
) -> bytes:
    """Make one header with a right checksum; ``size`` may be the bytes of the field."""
    block = bytearray(BLOCK)
    digits = size if isinstance(size, bytes) else b"%011o" % size
    for at, value in (
        (0, _bytes(name)[:100]), (100, b"%07o" % mode), (108, b"0000000"), (116, b"0000000"),
        (124, digits), (136, b"00000000001"), (156, kind), (157, _bytes(link)[:100]),
        (257, b"ustar\x0000"), (329, b"%07o" % device[0]), (337, b"%07o" % device[1]),
    ):  # fmt: skip
        block[at : at + len(value)] = value
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def file(name: str | bytes, content: bytes = b"x") -> bytes:
    return header(name, size=len(content)) + padded(content)


def directory(name: str) -> bytes:
    return header(name, b"5")


def symlink(name: str, target: str | Path) -> bytes:
    return header(name, b"2", link=str(target))


def hard_link(name: str, first: str | Path) -> bytes:
    return header(name, b"1", link=str(first))


def record(key: bytes, value: bytes) -> bytes:
    """Make one pax record; its length counts its own digits."""
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest)
    while len(str(length)) + len(rest) != length:
        length = len(str(length)) + len(rest)
    return str(length).encode() + rest


def pax(*records: bytes, kind: bytes = b"x") -> bytes:
    """Make an extended header of whole records."""
    data = b"".join(records)
    return header("pax", kind, size=len(data)) + padded(data)


def long_name(name: bytes) -> bytes:
    """Make the header with which GNU tar says a long name."""
    return header("././@LongLink", b"L", size=len(name) + 1) + padded(name + b"\0")


def repeated(piece: bytes, times: int) -> Iterator[bytes]:
    """Compress ``piece`` once and give it again and again; members of gzip add up."""
    compressed = gzip.compress(piece, 9)
    for _ in range(times):
        yield compressed


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()
