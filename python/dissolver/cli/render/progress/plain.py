"""A build as lines that are only ever appended, for logs and pipes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from dissolver.build.events import VertexStatus
from dissolver.cli.render.cells import printable, shortened
from dissolver.cli.render.progress.log_tail import colored_line
from dissolver.cli.render.progress.recap import PLAIN_LINES, failure_recap, warning_recap
from dissolver.cli.render.progress.trace import Trace, TracedVertex
from dissolver.cli.render.sizes import transfer_size

if TYPE_CHECKING:
    from dissolver.build.events import Event

# Switching between steps that run at once costs two lines and the reader's
# attention: stay with one as long as it goes on telling, and come back to
# others once they have waited for long.
STAY_SECONDS = 5.0
WAIT_SECONDS = 10.0
# A transfer is told again after this part of it or this time.
STATUS_STEP = 0.05
STATUS_SECONDS = 5.0


class PlainDisplay:
    """Writes each step as a block of lines that start with its number."""

    shows_failed_output = True

    def __init__(
        self, write: Callable[[str], None], *, builder: str = "", debug: bool = False
    ) -> None:
        self.trace = Trace()
        self._write = write
        self._debug = debug
        # Told with the first step: a build that never starts has only its error to tell.
        self._gap = f"#0 building with {builder}\n\n" if builder else ""
        self._text = ""
        self._current: TracedVertex | None = None
        self._current_since = 0.0
        # Vertices with news, by id, and since when they have had them.
        self._news: dict[int, float | None] = {}
        self._told_statuses: dict[tuple[int, str], tuple[VertexStatus, float]] = {}
        self._told_lines: dict[int, int] = {}
        self._told_warnings: dict[int, int] = {}

    def update(self, event: Event) -> None:
        """Take an event; it is written with the next ``refresh``."""
        traced = self.trace.update(event)
        if traced is not None and traced.vertex.started is not None:
            self._news.setdefault(traced.vertex.id, None)

    def refresh(self, now: float) -> None:
        """Write the news: of the current step, of completed ones, then of running ones."""
        for key, since in self._news.items():
            if since is None:
                self._news[key] = now
        if self._current is not None and self._current.vertex.id in self._news:
            self._tell(self._current, now)
        done = [traced for traced in self._with_news() if traced.vertex.completed is not None]
        for traced in sorted(done, key=lambda traced: traced.vertex.completed or 0.0):
            self._tell(traced, now)
        running = self._with_news()
        if running:
            waited_longest = min(running, key=lambda traced: self._news[traced.vertex.id] or now)
            waited = now - (self._news[waited_longest.vertex.id] or now)
            stayed = now - self._current_since
            if self._current is None or waited >= WAIT_SECONDS or stayed >= STAY_SECONDS:
                self._tell(waited_longest, now)
        self._flush()

    def finish(self, now: float) -> None:
        """Write all that is left, then what has to be said at the end."""
        self.refresh(now)
        for traced in self._with_news():
            self._tell(traced, now)
        self._text += failure_recap(self.trace, last=PLAIN_LINES)
        self._text += warning_recap(self.trace, expanded=self._debug)
        self._flush()

    def _with_news(self) -> list[TracedVertex]:
        return [self.trace.vertices[key] for key in sorted(self._news)]

    def _flush(self) -> None:
        if self._text:
            text, self._text = self._text, ""
            self._write(text)

    def _tell(self, traced: TracedVertex, now: float) -> None:
        self._news.pop(traced.vertex.id, None)
        number = f"#{traced.vertex.id}"
        if traced is not self._current:
            if self._current is not None:
                self._text += f"#{self._current.vertex.id} ...\n"
            self._text += f"{self._gap}{number} {printable(traced.vertex.name)}\n"
            self._gap = "\n"
            self._current, self._current_since = traced, now
        self._text += "".join(f"{number} {line}\n" for line in self._lines(traced, now))
        if traced.vertex.completed is not None:
            self._text += f"{number} {_outcome(traced)}\n"
            self._current = None

    def _lines(self, traced: TracedVertex, now: float) -> list[str]:
        key = traced.vertex.id
        lines = [
            _status_text(status)
            for status in traced.statuses.values()
            if self._is_worth_telling(key, status, now)
        ]
        new_lines = traced.line_count - self._told_lines.get(key, 0)
        self._told_lines[key] = traced.line_count
        new = list(traced.lines)[-new_lines:] if new_lines else []
        lines += [f"{stamp} {colored_line(line)}" for stamp, line in new]
        told = self._told_warnings.get(key, 0)
        self._told_warnings[key] = len(traced.warnings)
        return lines + [f"WARN: {printable(item.message)}" for item in traced.warnings[told:]]

    def _is_worth_telling(self, vertex: int, status: VertexStatus, now: float) -> bool:
        last = self._told_statuses.get((vertex, status.id))
        if last is not None:
            before, at = last
            if status == before:
                return False
            progress = (status.current - before.current) / status.total if status.total else 0.0
            soon = now - at < STATUS_SECONDS
            if status.completed is None and soon and progress < STATUS_STEP:
                return False
        self._told_statuses[vertex, status.id] = (status, now)
        return True


def _status_text(status: VertexStatus) -> str:
    text = printable(status.id)
    if status.total:
        text += f" {transfer_size(status.current)} / {transfer_size(status.total)}"
    elif status.current:
        text += f" {transfer_size(status.current)}"
    if status.completed is not None:
        seconds = status.completed - (status.started or status.completed)
        text += f" {seconds:.1f}s done" if seconds > 0.01 else " done"
    return text


def _outcome(traced: TracedVertex) -> str:
    vertex = traced.vertex
    if vertex.is_cancelled:
        return "CANCELED"
    if vertex.error is not None:
        return f"ERROR: {printable(shortened(vertex.error))}"
    if vertex.cached:
        return "CACHED"
    return f"DONE {traced.seconds(0.0):.1f}s"
