"""What is known about a build so far, collected from its events."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from dissolver.build.events import Vertex, VertexLog, VertexStatus, Warning_
from dissolver.cli.render.progress.log_tail import LogTail

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dissolver.build.events import Event

# A terminal shows only a few lines of a step while it runs, so all of them are
# repeated when it fails; this bounds what a runaway step can make us hold.
RECAP_LINES = 5000


class TracedVertex:
    """One vertex with everything that was told about it.

    ``lines`` holds its last complete lines of output, each after the seconds since
    the start; ``partial`` what came after the last line end.
    """

    def __init__(self, vertex: Vertex) -> None:
        self.vertex = vertex
        self.statuses: dict[str, VertexStatus] = {}
        self.warnings: list[Warning_] = []
        self.tail = LogTail()
        self.lines: deque[tuple[str, str]] = deque(maxlen=RECAP_LINES)
        self.line_count = 0
        self.partial = b""
        self._partial_at = 0.0

    @property
    def is_running(self) -> bool:
        """Whether it started and has not completed."""
        return self.vertex.started is not None and self.vertex.completed is None

    @property
    def failed(self) -> bool:
        """Whether it ended with an error of its own."""
        return self.vertex.error is not None and not self.vertex.is_cancelled

    def seconds(self, now: float) -> float:
        """How long it took, or has taken so far."""
        return elapsed(self.vertex.started, self.vertex.completed, now)

    def log(self, event: VertexLog) -> None:
        """Take output: complete lines go to ``lines``, the rest waits in ``partial``."""
        self.tail.feed(event.data)
        if not self.partial:
            self._partial_at = event.at
        *complete, rest = (self.partial + event.data).split(b"\n")
        for index, line in enumerate(complete):
            self._add(line, self._partial_at if index == 0 else event.at)
        if complete:
            self._partial_at = event.at
        self.partial = rest

    def end_line(self) -> None:
        """Take what is left over as the last line."""
        if self.partial:
            self._add(self.partial, self._partial_at)
            self.partial = b""

    def _add(self, line: bytes, at: float) -> None:
        started = self.vertex.started
        stamp = log_time(0.0 if started is None else at - started)
        self.lines.append((stamp, line.decode("utf-8", "replace")))
        self.line_count += 1


class Trace:
    """All vertices of a build, in their order of display."""

    def __init__(self) -> None:
        self.vertices: dict[int, TracedVertex] = {}
        self.started: float | None = None

    def update(self, event: Event) -> TracedVertex | None:
        """Take one event and answer the vertex it belongs to, if that is known."""
        if isinstance(event, Vertex):
            return self._vertex(event)
        traced = self.vertices.get(event.vertex)
        if traced is None:
            return None
        if isinstance(event, VertexStatus):
            traced.statuses[event.id] = event
        elif isinstance(event, VertexLog):
            traced.log(event)
        else:
            traced.warnings.append(event)
        return traced

    def _vertex(self, event: Vertex) -> TracedVertex:
        traced = self.vertices.get(event.id)
        if traced is None:
            traced = self.vertices[event.id] = TracedVertex(event)
        traced.vertex = event
        if event.started is not None and (self.started is None or event.started < self.started):
            self.started = event.started
        if event.completed is not None:
            traced.end_line()
        return traced

    def __iter__(self) -> Iterator[TracedVertex]:
        return iter(sorted(self.vertices.values(), key=lambda traced: traced.vertex.id))

    @property
    def completed_count(self) -> int:
        """How many vertices have ended, in whatever way."""
        return sum(traced.vertex.completed is not None for traced in self.vertices.values())

    @property
    def warnings(self) -> list[Warning_]:
        """All warnings, in the order of the vertices."""
        return [warning for traced in self for warning in traced.warnings]


def elapsed(started: float | None, completed: float | None, now: float) -> float:
    """Count the seconds of something that may still be going on."""
    if started is None:
        return 0.0
    return max(0.0, (now if completed is None else completed) - started)


def log_time(seconds: float) -> str:
    """Write the time of a log line: the longer it took, the fewer decimals."""
    decimals = 3 if seconds < 10 else 2 if seconds < 100 else 1
    return f"{seconds:.{decimals}f}"
