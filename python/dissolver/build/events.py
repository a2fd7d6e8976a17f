"""What a build tells while it runs: vertices, their statuses and their output.

The shapes are those of BuildKit's progress, so that a display made for one can
show the other. Every event is a value; a vertex is told again, whole, whenever
something about it changed. Times are seconds since the epoch, taken from a
clock that never jumps during a build.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from dissolver.errors import Cancelled

if TYPE_CHECKING:
    from types import TracebackType

    from dissolver.errors import Where


@dataclass(frozen=True, slots=True)
class Vertex:
    """One line of a build: a step, or something the builder does around them.

    ``id`` counts from 1 in the order of display. All steps that will be needed
    are told before the first one starts, with ``started`` unset, so that a
    display knows the total. ``error`` is the message of the failure;
    ``is_cancelled`` marks a vertex that another one's failure stopped.
    """

    id: int
    name: str
    started: float | None = None
    completed: float | None = None
    cached: bool = False
    error: str | None = None
    is_cancelled: bool = False


@dataclass(frozen=True, slots=True)
class VertexStatus:
    """A line below a vertex, such as ``transferring context:`` with its bytes.

    ``current`` and ``total`` are bytes; both 0 where the line counts nothing,
    and ``total`` is 0 where it is not known.
    """

    vertex: int
    id: str
    current: int = 0
    total: int = 0
    started: float | None = None
    completed: float | None = None


@dataclass(frozen=True, slots=True)
class VertexLog:
    """Output of a vertex as it came: any number of bytes, lines cut anywhere.

    ``stream`` is 1 for standard output and 2 for standard error.
    """

    vertex: int
    stream: int
    data: bytes
    at: float


@dataclass(frozen=True, slots=True)
class Warning_:  # noqa: N801 - `Warning` is the language's own
    """Something that deserves attention and does not stop the build."""

    vertex: int
    message: str
    hint: str | None = None
    where: Where | None = None


Event: TypeAlias = Vertex | VertexStatus | VertexLog | Warning_
OnEvent: TypeAlias = Callable[[Event], None]


class Progress:
    """Hands out vertices and tells about them, one event at a time.

    Safe to use from several threads: the callback is never entered twice at
    once. An exception of the callback reaches whoever caused the event.
    """

    def __init__(self, on_event: OnEvent | None) -> None:
        self._on_event = on_event
        self._lock = threading.RLock()
        self._next_id = 1
        # The monotonic clock cannot jump, and the epoch is what people log.
        self._epoch = time.time() - time.monotonic()

    def now(self) -> float:
        """Tell the time in seconds since the epoch, steadily."""
        return self._epoch + time.monotonic()

    def vertex(self, name: str) -> OpenVertex:
        """Announce a vertex that has not started yet."""
        with self._lock:
            vertex = Vertex(self._next_id, name)
            self._next_id += 1
            self.tell(vertex)
        return OpenVertex(self, vertex)

    def labelled(self, label: str) -> Progress:
        """Give what tells the same display about one of several builds, by its name.

        Every vertex of it begins with the name, as BuildKit has it: ``[app 2/5] RUN make``.
        """
        return _Labelled(self, label) if label else self

    def tell(self, event: Event) -> None:
        """Hand ``event`` to the callback, after those told before it."""
        if self._on_event is not None:
            with self._lock:
                self._on_event(event)


class _Labelled(Progress):
    """Hands out vertices of another progress, under names with a label."""

    def __init__(self, whole: Progress, label: str) -> None:
        super().__init__(None)
        self._whole = whole
        self._label = label

    def now(self) -> float:
        return self._whole.now()

    def vertex(self, name: str) -> OpenVertex:
        inner = name[1:] if name.startswith("[") else f"] {name}"
        blank = "" if inner.startswith("]") else " "
        return self._whole.vertex(f"[{self._label}{blank}{inner}")

    def tell(self, event: Event) -> None:
        self._whole.tell(event)


class OpenVertex:
    """A vertex that is being worked on.

    As a context manager it starts on entry and completes on exit, with the
    exception's message as its error where one passes through.
    """

    def __init__(self, progress: Progress, vertex: Vertex) -> None:
        self._progress = progress
        self._vertex = vertex

    @property
    def value(self) -> Vertex:
        """The vertex as it was told last."""
        return self._vertex

    @property
    def seconds(self) -> float:
        """How long it took, 0 while it has not both started and completed."""
        started, completed = self._vertex.started, self._vertex.completed
        return 0.0 if started is None or completed is None else completed - started

    def start(self) -> None:
        """Tell that work on it begins now; a second call changes nothing."""
        if self._vertex.started is None:
            self._change(started=self._progress.now())

    def cached(self) -> None:
        """Tell that an earlier result answers it."""
        self._change(cached=True)

    def rename(self, name: str) -> None:
        """Change what it is called, once more is known about it."""
        if name != self._vertex.name:
            self._change(name=name)

    def complete(self, error: str | None = None, *, is_cancelled: bool = False) -> None:
        """Tell that it ended; a second call changes nothing."""
        if self._vertex.completed is None:
            now = self._progress.now()
            self._change(
                started=self._vertex.started if self._vertex.started is not None else now,
                completed=now,
                error=error,
                is_cancelled=is_cancelled,
            )

    def reopen(self) -> None:
        """Tell that it has to be done after all, as if it had not begun."""
        if self._vertex.started is not None:
            self._change(started=None, completed=None, cached=False, error=None, is_cancelled=False)

    def log(self, data: bytes, *, stream: int = 1) -> None:
        """Tell output of it."""
        self._progress.tell(VertexLog(self._vertex.id, stream, data, self._progress.now()))

    def warn(self, message: str, *, hint: str | None = None, where: Where | None = None) -> None:
        """Tell a warning about it."""
        self._progress.tell(Warning_(self._vertex.id, message, hint, where))

    def status(self, text: str) -> OpenStatus:
        """Begin a line below it."""
        return OpenStatus(self._progress, VertexStatus(self._vertex.id, text))

    def __enter__(self) -> OpenVertex:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.complete()
        elif isinstance(error, (Cancelled, KeyboardInterrupt)):
            self.complete(is_cancelled=True)
        else:
            self.complete(str(error) or type(error).__name__)

    def _change(self, **changes: object) -> None:
        self._vertex = replace(self._vertex, **changes)  # type: ignore[arg-type]
        self._progress.tell(self._vertex)


class OpenStatus:
    """A line below a vertex that is being worked on; completes on exit."""

    def __init__(self, progress: Progress, status: VertexStatus) -> None:
        self._progress = progress
        self._status = replace(status, started=progress.now())
        progress.tell(self._status)

    def reached(self, current: int, total: int = 0) -> None:
        """Tell how many bytes are done."""
        self._status = replace(self._status, current=current, total=total)
        self._progress.tell(self._status)

    def __enter__(self) -> OpenStatus:
        return self

    def complete(self) -> None:
        """Tell that it ended."""
        self._status = replace(self._status, completed=self._progress.now())
        self._progress.tell(self._status)

    def __exit__(self, *_: object) -> None:
        self.complete()
