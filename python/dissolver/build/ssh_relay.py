"""What a step may ask of an SSH agent: its keys, and signatures.

https://datatracker.ietf.org/doc/draft-ietf-sshm-ssh-agent/
"""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from dissolver.build.ssh_agents import short_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REQUEST_IDENTITIES, SIGN_REQUEST = 11, 13
FAILURE = b"\x00\x00\x00\x01\x05"
MESSAGE_BYTES = 256 << 10
"""The longest message that agents take; OpenSSH's own limit."""

_HEADER = struct.Struct(">I")


@contextmanager
def relay(agent: str, place: Path) -> Iterator[None]:
    """Listen at ``place``, and pass on to ``agent`` what a step may ask of it."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        listener.bind(short_name(place.parent, place.name, stack))
        listener.listen()
        thread = threading.Thread(
            target=_accept, args=(listener, agent), name="ssh-agent", daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            # Wakes the thread up, which closing alone does not.
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _accept(listener: socket.socket, agent: str) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_serve, args=(client, agent), daemon=True).start()


def _serve(client: socket.socket, agent: str) -> None:
    with client, ExitStack() as stack, suppress(OSError, EOFError):
        upstream: socket.socket | None = None
        while True:
            message = _receive(client)
            if message[:1] not in (bytes([REQUEST_IDENTITIES]), bytes([SIGN_REQUEST])):
                client.sendall(FAILURE)
                continue
            if upstream is None:
                upstream = stack.enter_context(socket.socket(socket.AF_UNIX))
                upstream.connect(agent)
            upstream.sendall(_HEADER.pack(len(message)) + message)
            answer = _receive(upstream)
            client.sendall(_HEADER.pack(len(answer)) + answer)


def _receive(connection: socket.socket) -> bytes:
    (length,) = _HEADER.unpack(_exactly(connection, _HEADER.size))
    if length > MESSAGE_BYTES:
        raise EOFError
    return _exactly(connection, length)


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise EOFError
        data += more
    return data
