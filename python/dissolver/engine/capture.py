"""What a process writes and reads, for a caller who has bytes in place of files."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

# A pipe's capacity: what can be read at once.
_CHUNK_BYTES = 64 * 1024

# A program may leave others behind that keep its output open for ever. Once it has
# ended, what it wrote itself is in the pipe already.
_LINGER_MILLISECONDS = 100


class Capture:
    """Two pipes whose contents are collected in the background, and told as they come.

    Within its block ``stdout`` and ``stderr`` are files to write to; after it
    ``collected`` has everything. ``on_output(stream, data)`` is never entered twice at
    once; an exception of it is raised at the end of the block.
    """

    def __init__(self, on_output: Callable[[int, bytes], None] | None) -> None:
        self._on_output = on_output
        self._parts: dict[int, list[bytes]] = {1: [], 2: []}
        self._failure: BaseException | None = None
        self._has_ended = threading.Event()

    def __enter__(self) -> Capture:
        self._reading: dict[int, int] = {}
        self._reading[1], self.stdout = os.pipe2(os.O_CLOEXEC)
        self._reading[2], self.stderr = os.pipe2(os.O_CLOEXEC)
        self._thread = threading.Thread(target=self._collect, name="capture", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        os.close(self.stdout)
        os.close(self.stderr)
        self._has_ended.set()
        self._thread.join()
        for descriptor in self._reading.values():
            os.close(descriptor)
        if self._failure is not None and error is None:
            raise self._failure

    def collected(self, stream: int) -> bytes:
        """Answer everything that was written to a stream, 1 or 2."""
        return b"".join(self._parts[stream])

    def _collect(self) -> None:
        poll = select.poll()
        streams = {descriptor: stream for stream, descriptor in self._reading.items()}
        for descriptor in streams:
            poll.register(descriptor, select.POLLIN)
        while streams:
            ready = poll.poll(_LINGER_MILLISECONDS)
            if not ready and self._has_ended.is_set():
                return
            for descriptor, _ in ready:
                data = os.read(descriptor, _CHUNK_BYTES)
                if data:
                    self._take(streams[descriptor], data)
                else:
                    poll.unregister(descriptor)
                    del streams[descriptor]

    def _take(self, stream: int, data: bytes) -> None:
        self._parts[stream].append(data)
        if self._on_output is not None and self._failure is None:
            try:
                self._on_output(stream, data)
            except BaseException as error:  # noqa: BLE001 - raised at the end of the block
                self._failure = error


@contextmanager
def feed(data: bytes | None) -> Iterator[int | None]:
    """Give a file to read ``data`` from, written in the background; ``None`` gives none."""
    if data is None:
        yield None
        return
    reading, writing = os.pipe2(os.O_CLOEXEC)

    def write() -> None:
        rest = memoryview(data)
        with suppress(BrokenPipeError):
            while rest:
                rest = rest[os.write(writing, rest) :]
        os.close(writing)

    thread = threading.Thread(target=write, name="feed", daemon=True)
    thread.start()
    try:
        yield reading
    finally:
        # Closing the reader first lets a writer end that nobody listens to.
        os.close(reading)
        thread.join()
