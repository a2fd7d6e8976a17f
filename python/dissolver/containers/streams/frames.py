"""The language between a container's supervisor and those who attach to it.

A frame is a type (one byte), a length (four bytes, big-endian) and that many
bytes. docs/runtime.md lists the types.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

# From the supervisor.
HELLO, STDOUT, STDERR, EXIT = 0, 1, 2, 3
# To the supervisor.
STDIN, STDIN_END, RESIZE, SIGNAL, STOP, SUBSCRIBE, OUTPUT_END = 10, 11, 12, 13, 14, 15, 16

HEADER = struct.Struct(">BI")
LONGEST_BYTES = 16 << 20
"""No peer sends a longer frame: output comes in pieces of 64 KiB at most."""


class Frame(NamedTuple):
    """One message."""

    kind: int
    payload: bytes


def frame(kind: int, payload: bytes = b"") -> bytes:
    """Write one frame."""
    return HEADER.pack(kind, len(payload)) + payload


def resize(rows: int, columns: int) -> bytes:
    """Write the frame that tells the terminal's size."""
    return frame(RESIZE, struct.pack(">HH", rows, columns))


def signal(number: int) -> bytes:
    """Write the frame that sends a signal to the container's first process."""
    return frame(SIGNAL, struct.pack(">B", number))


def stop(seconds: float) -> bytes:
    """Write the frame that asks the container to end, and kills it after ``seconds``."""
    return frame(STOP, struct.pack(">d", seconds))


class Parser:
    """Turns bytes, however they were cut, into frames."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Add bytes and yield every frame that is complete now.

        Raises:
            ValueError: a frame claims to be longer than any may be.
        """
        self._pending += data
        while len(self._pending) >= HEADER.size:
            kind, length = HEADER.unpack_from(self._pending)
            if length > LONGEST_BYTES:
                raise ValueError(f"a frame of {length} bytes")
            end = HEADER.size + length
            if len(self._pending) < end:
                return
            payload = bytes(self._pending[HEADER.size : end])
            del self._pending[:end]
            yield Frame(kind, payload)
