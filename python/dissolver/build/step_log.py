"""The output of a RUN step: passed on up to a limit, its end kept for a failure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dissolver.build.events import OpenVertex

# BuildKit's limit, and its notice: a step gone wild must not fill a log.
LOG_BYTES = 2 * 1024 * 1024
_NOTICE = b"\n[output clipped, log limit 2MiB reached]\n"

# Enough for the lines that a failure quotes, however long they are.
_TAIL_BYTES = 64 * 1024
QUOTED_LINES = 10


class StepLog:
    """Passes a step's output to its vertex and remembers how it ended."""

    def __init__(self, vertex: OpenVertex) -> None:
        self._vertex = vertex
        self._passed = 0
        self._tail = bytearray()

    def write(self, data: bytes) -> None:
        """Take output as it came; what exceeds the limit is only remembered."""
        self._tail += data
        if len(self._tail) > 2 * _TAIL_BYTES:
            del self._tail[:-_TAIL_BYTES]
        room = LOG_BYTES - self._passed
        if room <= 0:
            return
        self._passed += len(data)
        if len(data) >= room:
            data = data[:room] + _NOTICE
        self._vertex.log(data)

    @property
    def tail(self) -> bytes:
        """The end of the output, at most 64 KiB of it."""
        return bytes(self._tail[-_TAIL_BYTES:])

    def last_lines(self) -> tuple[str, ...]:
        """Give the last lines as a terminal would have left them."""
        text = self.tail.decode("utf-8", "replace")
        lines = [line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")]
        while lines and not lines[-1].strip():
            lines.pop()
        return tuple(lines[-QUOTED_LINES:])
