"""A program that writes a tar, running while the store reads it."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import IO, TYPE_CHECKING

from dissolver.errors import CoreFailure, IntakeError
from dissolver.intake.ingestion import Ingestion

if TYPE_CHECKING:
    from dissolver._core.layer import LayerInfo, Layers

_LINES_KEPT = 40
_AT_ONCE = 1 << 20


class Producer:
    """A program whose standard output becomes a layer and whose errors are told as lines."""

    def __init__(
        self,
        command: Sequence[str],
        on_line: Callable[[str], None],
    ) -> None:
        self._command = command
        self._on_line = on_line
        self._lines: deque[str] = deque(maxlen=_LINES_KEPT)
        self.status: int | None = None

    @property
    def last_lines(self) -> tuple[str, ...]:
        """The last lines that the program wrote to its standard error."""
        return tuple(self._lines)

    def into(self, layers: Layers, *, head: bytes = b"") -> LayerInfo | None:
        """Run the program to its end and store its output as a layer.

        ``head`` (less than a pipe holds, 64 KiB) comes before what it writes. If it
        fails, ``status`` says so and nothing is answered: what came out is half a tar.

        Raises:
            CoreFailure: the program succeeded, but its output is no proper tar.
            DiskFull: there was no room for the layer.
        """
        import subprocess

        output, writing = os.pipe()
        try:
            process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=writing,
                stderr=subprocess.PIPE,
            )
        except OSError as error:
            os.close(output)
            raise IntakeError(f"cannot run `{self._command[0]}`: {error.strerror}") from error
        finally:
            os.close(writing)
        listener = threading.Thread(target=self._listen, args=(process.stderr,), name="producer")
        listener.start()
        stream: _Stream | None = None
        layer: LayerInfo | CoreFailure | None = None
        try:
            # A program that fails before it writes anything leaves no layer of `head`.
            if _has_data(output):
                stream = _Stream(layers, output, head)
                layer = stream.result()
            self.status = process.wait()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            listener.join()
            if stream is not None:
                stream.wait()
            os.close(output)
        if self.status != 0:
            # Then its own words tell more than the reader's.
            return None
        if isinstance(layer, CoreFailure):
            raise layer
        return layer

    def _listen(self, stream: IO[bytes]) -> None:
        with stream:
            for raw in stream:
                # What was written over in a terminal is not worth keeping.
                line = raw.decode("utf-8", "replace").rstrip().rpartition("\r")[2]
                if line:
                    self._lines.append(line)
                    self._on_line(line)


def _has_data(descriptor: int) -> bool:
    """Wait until something can be read; tell whether it is more than the end."""
    import select

    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return any(events & select.POLLIN for _, events in poll.poll())


class _Stream:
    """``head`` and then what a program writes, on its way into the store."""

    def __init__(self, layers: Layers, output: int, head: bytes) -> None:
        reading, writing = os.pipe()
        self._pump = threading.Thread(target=_pump, args=(output, writing, head), name="pump")
        self._pump.start()
        self._ingestion = Ingestion(layers, reading)
        os.close(reading)

    def result(self) -> LayerInfo | CoreFailure:
        try:
            return self._ingestion.result()
        except CoreFailure as error:
            return error

    def wait(self) -> None:
        self._pump.join()
        self._ingestion.wait()


def _pump(source: int, target: int, head: bytes) -> None:
    """Write ``head`` and then all of ``source`` to ``target``, and close that.

    Goes on reading when nobody wants the rest, so that the program can finish.
    """
    try:
        with contextlib.suppress(BrokenPipeError):
            os.write(target, head)
            while os.splice(source, target, _AT_ONCE):
                pass
        while os.read(source, _AT_ONCE):
            pass
    finally:
        os.close(target)
