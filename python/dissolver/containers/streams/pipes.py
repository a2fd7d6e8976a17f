"""A process's standard streams by way of pipes: what ``exec`` without a terminal uses.

The process never holds a file of the caller's: through one it could change what the
file is and holds, or read on when nobody waits for it any more. It holds pipes, and
bytes are passed on between those and the caller's files until it ends.
"""

from __future__ import annotations

import fcntl
import os
import select
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from dissolver.containers.streams.nonblocking import WRITABLE, Writer
from dissolver.errors import OutputLost

if TYPE_CHECKING:
    from dissolver._core.sandbox import Process

CHUNK_BYTES = 64 << 10
PIPE_BYTES = 1 << 20
"""What a pipe is to hold: what the kernel allows everybody (``fs.pipe-max-size``)."""

READABLE = select.POLLIN | select.POLLERR | select.POLLHUP | select.POLLNVAL
"""What a poll tells when reading will not wait, be it for an end or a failure."""


class Pipes:
    """Pipes between a process and the caller's files; a stream that is not given has none."""

    def __init__(self, stdin: int | None, stdout: int | None, stderr: int | None) -> None:
        self._input: _Input | None = None
        self._outputs: list[_Output] = []
        self._theirs: list[int | None] = [None, None, None]
        try:
            if stdin is not None:
                self._theirs[0], writing = _pipe()
                self._input = _Input(stdin, writing)
            for number, target in ((1, stdout), (2, stderr)):
                if target is not None:
                    reading, self._theirs[number] = _pipe()
                    self._outputs.append(_Output(reading, target))
        except BaseException:
            self.close()
            raise

    @property
    def theirs(self) -> tuple[int | None, int | None, int | None]:
        """The process's ends: standard input, output and errors."""
        stdin, stdout, stderr = self._theirs
        return stdin, stdout, stderr

    def let_go(self) -> None:
        """Close the process's ends here: the end of a stream shows once its copies are gone."""
        for number, end in enumerate(self._theirs):
            if end is not None:
                os.close(end)
                self._theirs[number] = None

    def close(self) -> None:
        """Close everything: what still runs reads an end then, and writes to a broken pipe."""
        self.let_go()
        if self._input is not None:
            self._input.close()
        for output in self._outputs:
            output.close()

    def pass_on(self, process: Process) -> int:
        """Pass bytes on until the process ends, and return its exit code.

        All that it wrote has been passed on then. Processes that it left behind are not
        waited for, and what they write later is nobody's.

        Raises:
            OutputLost: a file of the caller's takes no more, and not for want of a reader.
        """
        has_ended = False
        while not has_ended or any(output.is_held_up for output in self._outputs):
            ready = self._wait(None if has_ended else process.pidfd)
            if not has_ended and process.pidfd in ready:
                has_ended = True
                # All of its own writing is in the pipes by now. Others may go on for ever.
                for output in self._outputs:
                    output.limit()
            for output in self._outputs:
                output.advance(ready)
            if self._input is not None and not has_ended:
                self._input.advance(ready)
        code = process.wait()
        assert code is not None  # noqa: S101 - nothing limits the waiting
        for output in self._outputs:
            if output.fault is not None:
                raise OutputLost(output.fault, code)
        return code

    def _wait(self, pidfd: int | None) -> dict[int, int]:
        wanted: dict[int, int] = {} if pidfd is None else {pidfd: select.POLLIN}
        waits = [wait for output in self._outputs for wait in output.waits_for()]
        if self._input is not None and pidfd is not None:
            waits += self._input.waits_for()
        for descriptor, events in waits:
            # One file may be several of the streams: a terminal, or a socket.
            wanted[descriptor] = wanted.get(descriptor, 0) | events
        poll = select.poll()
        for descriptor, events in wanted.items():
            poll.register(descriptor, events)
        return dict(poll.poll())


@contextmanager
def pipes(stdin: int | None, stdout: int | None, stderr: int | None) -> Iterator[Pipes]:
    """Make pipes for the streams that are given, and close them at the end of the block."""
    made = Pipes(stdin, stdout, stderr)
    try:
        yield made
    finally:
        made.close()


class _Input:
    """From the caller's file to the process.

    The file is read only while the pipe takes more: what the process leaves unread stays the
    caller's, but for what the pipe holds.
    """

    def __init__(self, source: int, writing: int) -> None:
        os.set_blocking(writing, False)
        self._source = source
        self._writing: int | None = writing
        # One buffer, since nothing is read before it is sent: large new ones cost page faults.
        self._buffer = memoryview(bytearray(CHUNK_BYTES))
        self._unsent = self._buffer[:0]
        self._has_room = False

    def close(self) -> None:
        if self._writing is not None:
            os.close(self._writing)
            self._writing = None

    def waits_for(self) -> list[tuple[int, int]]:
        if self._writing is None:
            return []
        if not self._has_room:
            return [(self._writing, select.POLLOUT)]
        # Nothing is asked of the pipe; that its last reader went is told all the same.
        return [(self._writing, 0), (self._source, select.POLLIN)]

    def advance(self, ready: dict[int, int]) -> None:
        if self._writing is None:
            return
        pipe = ready.get(self._writing, 0)
        if pipe & select.POLLERR:
            self.close()
        elif pipe:
            self._send(self._writing)
            self._has_room = not self._unsent
        elif self._has_room and ready.get(self._source, 0) & READABLE:
            self._read(self._writing)

    def _read(self, writing: int) -> None:
        try:
            count = os.readv(self._source, [self._buffer])
        except BlockingIOError:
            return  # Somebody who shares it was faster.
        except OSError:
            count = 0  # A terminal that was hung up reads as an error.
        if not count:
            self.close()
            return
        self._unsent = self._buffer[:count]
        self._has_room = False
        self._send(writing)

    def _send(self, writing: int) -> None:
        try:
            while self._unsent:
                self._unsent = self._unsent[os.write(writing, self._unsent) :]
        except BlockingIOError:
            pass
        except BrokenPipeError:
            self.close()


class _Output:
    """From the process to the caller's file.

    Nothing is read before the file took what was read before: a slow reader holds the
    process up, and nobody's memory fills.
    """

    def __init__(self, reading: int, target: int) -> None:
        os.set_blocking(reading, False)
        self._reading: int | None = reading
        self._target = Writer(target)
        self._buffer = memoryview(bytearray(CHUNK_BYTES))
        self._unsent = self._buffer[:0]
        self._left: int | None = None
        self.fault: int | None = None

    @property
    def is_held_up(self) -> bool:
        """Whether the caller's file has to take something yet."""
        return bool(self._unsent)

    def limit(self) -> None:
        """Read no more than the pipe can hold now, and wait for none of it."""
        if self._reading is not None:
            self._left = fcntl.fcntl(self._reading, fcntl.F_GETPIPE_SZ)

    def close(self) -> None:
        self._unsent = self._buffer[:0]
        if self._reading is not None:
            os.close(self._reading)
            self._reading = None

    def waits_for(self) -> list[tuple[int, int]]:
        if self._unsent:
            return [(self._target.number, select.POLLOUT)]
        if self._reading is None or self._left is not None:
            return []
        return [(self._reading, select.POLLIN)]

    def advance(self, ready: dict[int, int]) -> None:
        if self._unsent and ready.get(self._target.number, 0) & WRITABLE:
            self._send()
        if self._left is not None:
            while self._left and self._reading is not None and not self._unsent:
                self._left -= self._read(self._reading, self._left)
        elif self._reading is not None and not self._unsent and ready.get(self._reading):
            self._read(self._reading, CHUNK_BYTES)

    def _read(self, reading: int, most: int) -> int:
        try:
            count = os.readv(reading, [self._buffer[:most]])
        except BlockingIOError:
            return most  # A program can read its own pipe as well, and was faster.
        if not count:
            self.close()
            return most
        self._unsent = self._buffer[:count]
        self._send()
        return count

    def _send(self) -> None:
        try:
            self._unsent = self._target.write(self._unsent)
        except OSError as problem:
            if not self._target.has_no_reader(problem):
                self.fault = problem.errno
            # The process runs into it when it writes next, as with any pipe.
            self.close()


def _pipe() -> tuple[int, int]:
    reading, writing = os.pipe2(os.O_CLOEXEC)
    # Fewer turns for the same bytes. Who has many large pipes may get no further one.
    with suppress(OSError):
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return reading, writing
