"""A program that writes a tar, running while the store reads it."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import IO, TYPE_CHECKING

from dissolver.errors import CoreFailure, IntakeError
from dissolver.store.faults import explained

if TYPE_CHECKING:
    from subprocess import Popen

    from dissolver._core.layer import LayerInfo, Layers

_LINES_KEPT = 20


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

        reading, writing = os.pipe()
        try:
            os.write(writing, head)
            process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=writing,
                stderr=subprocess.PIPE,
            )
        except OSError as error:
            os.close(reading)
            raise IntakeError(f"cannot run `{self._command[0]}`: {error.strerror}") from error
        finally:
            os.close(writing)
        listener = threading.Thread(target=self._listen, args=(process.stderr,), name="producer")
        listener.start()
        try:
            return self._ingest(layers, reading, process)
        finally:
            os.close(reading)
            if process.poll() is None:
                process.kill()
            process.wait()
            listener.join()

    def _ingest(self, layers: Layers, reading: int, process: Popen[bytes]) -> LayerInfo | None:
        try:
            with explained("store the layer"):
                layer = layers.ingest(reading)
        except CoreFailure:
            # Half a tar is what a program that failed leaves behind; then its own
            # words tell more than the reader's. It must not wait for us meanwhile.
            with contextlib.suppress(OSError):
                while os.read(reading, 1 << 16):
                    pass
            self.status = process.wait()
            if self.status != 0:
                return None
            raise
        self.status = process.wait()
        return layer if self.status == 0 else None

    def _listen(self, stream: IO[bytes]) -> None:
        with stream:
            for raw in stream:
                line = raw.decode("utf-8", "replace").rstrip()
                if line:
                    self._lines.append(line)
                    self._on_line(line)
