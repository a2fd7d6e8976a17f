"""Messages over a socket: JSON with its length before it, and descriptors beside it."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress
from typing import Any

import msgspec

_LENGTH = struct.Struct(">I")
_MOST_DESCRIPTORS = 8


class Channel:
    """One end of a connection. Sending is safe from several threads, receiving is not."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._lock = threading.Lock()

    def send(self, message: dict[str, Any], descriptors: list[int] | None = None) -> None:
        """Send a message, and open files with it.

        Raises:
            OSError: the other end is gone.
        """
        body = msgspec.json.encode(message)
        with self._lock:
            # Descriptors travel with the first byte; a length is never cut apart,
            # since it is sent alone and the kernel takes four bytes or none.
            if descriptors:
                socket.send_fds(self._socket, [_LENGTH.pack(len(body))], descriptors)
                self._socket.sendall(body)
            else:
                self._socket.sendall(_LENGTH.pack(len(body)) + body)

    def receive(self) -> tuple[dict[str, Any], tuple[int, ...]] | None:
        """Wait for a message and its descriptors; ``None`` when either end was closed."""
        try:
            head, descriptors, _, _ = socket.recv_fds(self._socket, _LENGTH.size, _MOST_DESCRIPTORS)
            if head and len(head) < _LENGTH.size:
                head += self._exactly(_LENGTH.size - len(head))
            body = self._exactly(_LENGTH.unpack(head)[0]) if head else b""
        except (ConnectionError, EOFError):
            return None
        except OSError:
            # Closed here, by another thread, between two messages.
            if self._socket.fileno() == -1:
                return None
            raise
        if not head:
            return None
        message: dict[str, Any] = msgspec.json.decode(body)
        return message, tuple(descriptors)

    def close(self) -> None:
        """End the connection; a waiting ``receive`` of either end answers ``None``."""
        with suppress(OSError):  # The other end may have been faster.
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def abandon(self) -> None:
        """Close this process's copy; a copy in another process stays connected."""
        self._socket.close()

    def _exactly(self, count: int) -> bytes:
        parts = bytearray()
        while len(parts) < count:
            part = self._socket.recv(min(count - len(parts), 1 << 20))
            if not part:
                raise EOFError
            parts += part
        return bytes(parts)
