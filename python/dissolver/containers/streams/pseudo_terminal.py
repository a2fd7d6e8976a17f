"""A process's own terminal, connected to the caller's: what ``exec`` with one uses."""

from __future__ import annotations

import os
import select
import signal
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from dissolver._core import sandbox
from dissolver.containers.streams import terminal
from dissolver.containers.streams.nonblocking import WRITABLE, Writer
from dissolver.containers.streams.pipes import READABLE
from dissolver.errors import OutputLost

if TYPE_CHECKING:
    from dissolver._core.sandbox import Process

CHUNK_BYTES = 64 << 10

END_OF_INPUT = b"\x04"
"""What a terminal means by the end of input."""

REST_SECONDS = 0.5
REST_BYTES = 1 << 20
"""How long the rest of the output may take to come after the end, and how much that is.

A terminal passes on what was written a little later, and holds less than that. Another
process that writes there may go on for ever.
"""

GRACE_SECONDS = 1.0
"""How long a program may go on whose output nobody reads: it may be about to end."""


class PseudoTerminal:
    """Passes bytes between the caller's terminal and the process's, until that ends."""

    def __init__(
        self, process: Process, master: int, stdin: int | None, stdout: int | None
    ) -> None:
        os.set_blocking(master, False)
        self._process = process
        self._master = master
        self._stdin = stdin
        self._window_source = (stdin, stdout)
        self._keys = terminal.DetachKeys()
        self._typed = memoryview(b"")
        self._shown = memoryview(b"")
        self._target = None if stdout is None else Writer(stdout)
        self._is_open = True
        self._fault: OSError | None = None
        self._deadline = 0.0

    def run(self) -> int:
        """Return the exit code once the process has ended, or 0 when the user detached.

        Raises:
            BrokenPipeError: nobody reads the output, and the program goes on.
            OutputLost: the caller's file takes no more.
        """
        with ExitStack() as stack:
            signals = stack.enter_context(terminal.caught([signal.SIGWINCH]))
            stack.enter_context(terminal.raw(self._stdin))
            while True:
                ready = self._wait(signals)
                if signals in ready:
                    os.read(signals, CHUNK_BYTES)
                    self._tell_window()
                if self._is_open and self._pass_input(ready):
                    return 0
                if self._is_open and ready.get(self._master, 0) & READABLE and not self._shown:
                    self._read()
                if self._target and self._shown and ready.get(self._target.number, 0) & WRITABLE:
                    self._show()
                if self._process.pidfd in ready:
                    return self._finish()
                self._give_up()

    def _wait(self, signals: int) -> dict[int, int]:
        wanted = {signals: select.POLLIN, self._process.pidfd: select.POLLIN}

        def want(descriptor: int, events: int) -> None:
            wanted[descriptor] = wanted.get(descriptor, 0) | events

        if self._is_open and not self._shown:
            want(self._master, select.POLLIN)
        if self._is_open and self._typed:
            want(self._master, select.POLLOUT)
        elif self._is_open and self._stdin is not None:
            want(self._stdin, select.POLLIN)
        if self._target is not None and self._shown:
            want(self._target.number, select.POLLOUT)
        poll = select.poll()
        for descriptor, events in wanted.items():
            poll.register(descriptor, events)
        if self._fault is None:
            return dict(poll.poll())
        return dict(poll.poll(max(0.0, self._deadline - time.monotonic()) * 1000))

    def _tell_window(self) -> None:
        window = terminal.window_of(*self._window_source)
        if window is not None:
            sandbox.set_window(self._master, *window)

    def _pass_input(self, ready: dict[int, int]) -> bool:
        """Pass on what was typed; tell whether that was to detach."""
        is_detached = False
        if self._typed:
            if ready.get(self._master, 0) & WRITABLE:
                self._send()
        elif self._stdin is not None and ready.get(self._stdin, 0) & READABLE:
            try:
                data = os.read(self._stdin, CHUNK_BYTES)
            except OSError:
                data = b""  # A terminal that was hung up reads as an error.
            if data:
                data, is_detached = self._keys.filter(data)
            else:
                self._stdin, data = None, END_OF_INPUT
            self._typed = memoryview(data)
            self._send()
        return is_detached

    def _send(self) -> None:
        try:
            while self._typed:
                self._typed = self._typed[os.write(self._master, self._typed) :]
        except BlockingIOError:
            pass  # The program does not read now.
        except OSError:
            self._typed = memoryview(b"")  # Reading tells what it is.

    def _read(self) -> int:
        try:
            data = os.read(self._master, CHUNK_BYTES)
        except BlockingIOError:
            return 0
        except OSError:
            data = b""  # EIO: every process let go of the terminal.
        self._is_open = bool(data)
        if self._target is not None:
            self._shown = memoryview(data)
            self._show()
        return len(data)

    def _show(self) -> None:
        if self._target is None:
            return
        try:
            self._shown = self._target.write(self._shown)
        except OSError as problem:
            is_unread = self._target.has_no_reader(problem)
            self._fault = BrokenPipeError(problem.errno, problem.strerror) if is_unread else problem
            self._deadline = time.monotonic() + GRACE_SECONDS
            self._target, self._shown = None, memoryview(b"")

    def _finish(self) -> int:
        """Show what is on its way yet, and return the exit code."""
        self._empty()
        left, patience = REST_BYTES, REST_SECONDS
        poll = select.poll()
        poll.register(self._master, select.POLLIN)
        while self._is_open and left > 0 and patience > 0:
            began = time.monotonic()
            if poll.poll(patience * 1000):
                left -= self._read()
            patience -= time.monotonic() - began
            self._empty()
        code = self._process.wait()
        assert code is not None  # noqa: S101 - nothing limits the waiting
        if self._fault is not None and not isinstance(self._fault, BrokenPipeError):
            raise OutputLost(self._fault.errno or 0, code)
        return code

    def _empty(self) -> None:
        while self._target is not None and self._shown:
            poll = select.poll()
            poll.register(self._target.number, select.POLLOUT)
            poll.poll()
            self._show()

    def _give_up(self) -> None:
        if self._fault is None or time.monotonic() < self._deadline:
            return
        if isinstance(self._fault, BrokenPipeError):
            raise self._fault
        raise OutputLost(self._fault.errno or 0, 1)
