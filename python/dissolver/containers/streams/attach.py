"""The client's side of a container's streams: pass them on until it ends.

Everything works on file descriptors that the caller gives, so a pseudo-terminal
or a pair of pipes does as well as a real terminal.
"""

from __future__ import annotations

import os
import select
import signal
import socket
from collections import deque
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from dissolver.containers.state import Fault, State
from dissolver.containers.streams import frames, terminal
from dissolver.errors import ContainerNotRunning

if TYPE_CHECKING:
    from pathlib import Path

CHUNK_BYTES = 64 << 10
LONGEST_SOCKET_PATH = 107

FORWARDED = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
"""Signals that the container gets instead of the client, where no terminal carries them."""


class Exit(msgspec.Struct, frozen=True):
    """What the supervisor tells last."""

    exit_code: int | None = None
    error: Fault | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attachment ended: the container did, or the user detached, or contact was lost.

    ``exit`` is ``None`` in the latter two cases.
    """

    exit: Exit | None
    is_detached: bool = False


def connect(path: Path) -> socket.socket:
    """Connect to a supervisor.

    Raises:
        ContainerNotRunning: nobody listens there.
    """
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        client.connect(os.fspath(path))
    except (FileNotFoundError, ConnectionRefusedError):
        client.close()
        raise ContainerNotRunning("the container is not running") from None
    except BaseException:
        client.close()
        raise
    return client


def attach(
    link: socket.socket,
    *,
    stdin: int | None,
    stdout: int | None,
    stderr: int | None,
    has_terminal: bool,
    forwards_signals: bool = True,
) -> Outcome:
    """Pass a container's streams on until it ends, and close ``link``.

    With ``has_terminal`` and a terminal as ``stdin`` that is raw meanwhile, its size is
    followed, and ctrl-p ctrl-q detaches. Otherwise signals are passed on.

    When nobody reads ``stdout`` or ``stderr`` any more, the program that waited for this
    attachment is told when it writes there next, and its end is waited for.

    Raises:
        BrokenPipeError: nobody reads ``stdout`` or ``stderr``, and the program ran before or
            has a terminal.
    """
    with link, ExitStack() as stack:
        is_raw = has_terminal and terminal.is_terminal(stdin)
        signals = (signal.SIGWINCH,) if is_raw else FORWARDED if forwards_signals else ()
        pipe = stack.enter_context(terminal.caught(signals))
        stack.enter_context(terminal.raw(stdin if is_raw else None))
        session = _Session(
            link, stdin, stdout, stderr, pipe, is_raw=is_raw, has_terminal=has_terminal
        )
        session.send(frames.frame(frames.SUBSCRIBE))
        if has_terminal:
            session.tell_window()
        return session.run()


def wait_for_exit(link: socket.socket) -> Exit | None:
    """Wait until the container ends, without its output, and close ``link``.

    ``None`` if the supervisor went away without saying how it ended.
    """
    parser = frames.Parser()
    with link:
        while data := _receive(link):
            for kind, payload in parser.feed(data):
                if kind == frames.EXIT:
                    return msgspec.json.decode(payload, type=Exit)
    return None


def greeting(link: socket.socket) -> State | None:
    """Read the state that a supervisor tells first; the connection stays open."""
    parser = frames.Parser()
    while data := _receive(link):
        for kind, payload in parser.feed(data):
            if kind == frames.HELLO:
                return msgspec.json.decode(payload, type=State)
    return None


class _Session:
    """One attachment: a loop over the supervisor, standard input, and signals."""

    def __init__(
        self,
        link: socket.socket,
        stdin: int | None,
        stdout: int | None,
        stderr: int | None,
        signals: int,
        *,
        is_raw: bool,
        has_terminal: bool,
    ) -> None:
        self._link = link
        self._has_terminal = has_terminal
        self._stdin = stdin
        self._outputs = {frames.STDOUT: stdout, frames.STDERR: stderr}
        self._window_source = (stdin, stdout)
        self._signals = signals
        self._keys = terminal.DetachKeys() if is_raw else None
        self._parser = frames.Parser()
        self._unsent: deque[memoryview] = deque()
        self._exit: Exit | None = None
        self._is_detached = False
        self._is_awaited = False
        self._poll = select.poll()
        link.setblocking(False)

    def run(self) -> Outcome:
        self._poll.register(self._signals, select.POLLIN)
        self._poll.register(self._link, select.POLLIN)
        while self._exit is None and not self._is_detached:
            self._arm()
            ready = {descriptor for descriptor, _ in self._poll.poll()}
            if self._signals in ready:
                self._pass_signals()
            if self._link.fileno() in ready and not self._exchange():
                break
            if self._stdin is not None and self._stdin in ready:
                self._read_input()
        return Outcome(self._exit, self._is_detached)

    def send(self, data: bytes) -> None:
        self._unsent.append(memoryview(data))
        self._flush()

    def tell_window(self) -> None:
        window = terminal.window_of(*self._window_source)
        if window is not None:
            self.send(frames.resize(*window))

    def _arm(self) -> None:
        """Wait for input only while all earlier input has been sent: back-pressure."""
        waits = select.POLLIN | (select.POLLOUT if self._unsent else 0)
        self._poll.modify(self._link, waits)
        if self._stdin is not None:
            if self._unsent:
                self._forget(self._stdin)
            else:
                self._poll.register(self._stdin, select.POLLIN)

    def _forget(self, descriptor: int) -> None:
        with suppress(KeyError):
            self._poll.unregister(descriptor)

    def _flush(self) -> None:
        while self._unsent:
            data = self._unsent[0]
            try:
                sent = self._link.send(data)
            except BlockingIOError:
                return
            except (BrokenPipeError, ConnectionResetError):
                self._unsent.clear()  # The end will be read from the other direction.
                return
            if sent == len(data):
                self._unsent.popleft()
            else:
                self._unsent[0] = data[sent:]

    def _exchange(self) -> bool:
        """Send and receive what can be; tell whether the supervisor is still there."""
        self._flush()
        try:
            data = self._link.recv(CHUNK_BYTES)
        except BlockingIOError:
            return True
        except ConnectionResetError:
            return False
        for kind, payload in self._parser.feed(data):
            if kind in self._outputs:
                self._write(kind, payload)
            elif kind == frames.HELLO:
                self._is_awaited = msgspec.json.decode(payload, type=State).status == "created"
            elif kind == frames.EXIT:
                self._exit = msgspec.json.decode(payload, type=Exit)
        return bool(data)

    def _write(self, kind: int, data: bytes) -> None:
        try:
            _write_all(self._outputs[kind], data)
        except BrokenPipeError:
            # A terminal has no end that a program could run into.
            if not self._is_awaited or self._has_terminal:
                raise
            self._outputs[kind] = None
            self.send(frames.frame(frames.OUTPUT_END, bytes((kind,))))

    def _read_input(self) -> None:
        assert self._stdin is not None  # noqa: S101 - it was just ready
        try:
            data = os.read(self._stdin, CHUNK_BYTES)
        except OSError:
            data = b""  # A terminal that was hung up reads as an error.
        if not data:
            self._forget(self._stdin)
            self._stdin = None
            self.send(frames.frame(frames.STDIN_END))
            return
        if self._keys is not None:
            data, self._is_detached = self._keys.filter(data)
        if data:
            self.send(frames.frame(frames.STDIN, data))

    def _pass_signals(self) -> None:
        for number in os.read(self._signals, CHUNK_BYTES):
            if number == signal.SIGWINCH:
                self.tell_window()
            else:
                self.send(frames.signal(number))


def _receive(link: socket.socket) -> bytes:
    try:
        return link.recv(CHUNK_BYTES)
    except ConnectionResetError:
        return b""


def _write_all(descriptor: int | None, data: bytes) -> None:
    if descriptor is None:
        return
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:
            # The descriptor was made non-blocking by someone who shares it.
            select.select([], [descriptor], [])
