"""A way to a registry that counts the bytes that go each way."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

_BLOCK_BYTES = 1 << 18


@dataclass
class Counter:
    """Where it listens, and what went through it: to the registry, and back."""

    host: str
    sent: int = 0
    received: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def reset(self) -> None:
        """Begin to count anew."""
        with self.lock:
            self.sent = self.received = 0

    def add(self, count: int, *, is_sent: bool) -> None:
        """Count bytes."""
        with self.lock:
            if is_sent:
                self.sent += count
            else:
                self.received += count


@contextmanager
def counted(target: str) -> Iterator[Counter]:
    """Listen at a port of this machine, and hand everything on to ``target``."""
    host, _, port = target.partition(":")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        counter = Counter(f"127.0.0.1:{listening.getsockname()[1]}")

        def carry(source: socket.socket, sink: socket.socket, *, is_sent: bool) -> None:
            with suppress(OSError):
                while data := source.recv(_BLOCK_BYTES):
                    counter.add(len(data), is_sent=is_sent)
                    sink.sendall(data)
            with suppress(OSError):
                sink.shutdown(socket.SHUT_WR)

        def serve(near: socket.socket) -> None:
            with near, socket.create_connection((host, int(port))) as far:
                back = threading.Thread(
                    target=carry, args=(far, near), kwargs={"is_sent": False}, daemon=True
                )
                back.start()
                carry(near, far, is_sent=True)
                back.join()

        def accept() -> None:
            while True:
                try:
                    near, _ = listening.accept()
                except OSError:
                    return
                threading.Thread(target=serve, args=(near,), daemon=True).start()

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        try:
            yield counter
        finally:
            with suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            accepting.join()
