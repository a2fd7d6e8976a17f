"""A build drawn in place on a terminal, over and over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dissolver.cli.render.cells import cell_width, cut, pad, printable
from dissolver.cli.render.palette import ProgressColors
from dissolver.cli.render.progress.recap import failure_recap, warning_recap
from dissolver.cli.render.progress.trace import Trace, TracedVertex, elapsed
from dissolver.cli.render.sizes import transfer_size

if TYPE_CHECKING:
    from dissolver.build.events import Event

HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
ERASE_LINE_END, ERASE_BELOW = "\x1b[K", "\x1b[J"
_PREFIX = " => "
# Below this a name says nothing any more.
_MINIMUM_NAME = 12
_TAIL_MARGIN = 10
# The header, and the line that the cursor waits on.
_SPARE_ROWS = 2


@dataclass
class _Job:
    """One line of the picture before it is fitted to the width."""

    name: str
    seconds: float
    status: str = ""
    color: str = ""
    is_completed: bool = True
    traced: TracedVertex | None = None
    tail_lines: int = 0


@dataclass
class Picture:
    """The lines of one moment: visible text and the colour of each."""

    lines: list[str] = field(default_factory=list)
    colors: list[str] = field(default_factory=list)

    def add(self, line: str, color: str = "") -> None:
        """Append a line."""
        self.lines.append(line)
        self.colors.append(color)


class TerminalPicture:
    """Turns a trace into lines that fit a terminal of a given size."""

    def __init__(self, builder: str, colors: ProgressColors, *, log_lines: int = 6) -> None:
        self.builder = builder
        self.colors = colors
        self.log_lines = log_lines

    def draw(
        self, trace: Trace, now: float, size: tuple[int, int], *, is_final: bool = False
    ) -> Picture:
        """Draw the state at ``now``; the final picture shows all lines, however many.

        ``size`` is (columns, rows). Lines are one cell shorter than the terminal,
        so that none of them wraps.
        """
        width, height = size
        jobs = self._jobs(trace, now)
        if not is_final:
            jobs = self._fit(jobs, width, height)
        picture = Picture()
        picture.add(self._header(trace, now, width, is_final))
        for job in jobs:
            line = _line(job, width)
            if line is None:
                continue
            picture.add(line, job.color)
            if job.tail_lines and job.traced is not None:
                for text in job.traced.tail.lines(width - _TAIL_MARGIN, job.tail_lines):
                    picture.add(f"{_PREFIX}=> # {text}", self.colors.faint)
        return picture

    def _header(self, trace: Trace, now: float, width: int, is_final: bool) -> str:
        done, total = trace.completed_count, len(trace.vertices)
        seconds = elapsed(trace.started, None, now)
        finished = " FINISHED" if is_final and 0 < done == total else ""
        text = f"[+] Building {seconds:.1f}s ({done}/{total}){finished}"
        return _align(text, f" {self.builder}", width - 1)

    def _jobs(self, trace: Trace, now: float) -> list[_Job]:
        jobs: list[_Job] = []
        for traced in trace:
            vertex = traced.vertex
            if vertex.started is None:
                continue
            jobs.append(self._vertex_job(traced, now))
            jobs += [
                _Job(
                    name=f"=> {status.id}",
                    seconds=elapsed(status.started, status.completed, now),
                    status=_amount(status.current, status.total),
                    color="" if status.completed is None else self.colors.run,
                    is_completed=status.completed is not None,
                )
                for status in traced.statuses.values()
            ]
            jobs += [
                _Job(f"WARN: {warning.message}", traced.seconds(now), color=self.colors.warning)
                for warning in traced.warnings
            ]
        return jobs

    def _vertex_job(self, traced: TracedVertex, now: float) -> _Job:
        vertex = traced.vertex
        mark, color = "", self.colors.run
        if vertex.is_cancelled:
            mark, color = "CANCELED ", self.colors.cancel
        elif vertex.error is not None:
            mark, color = "ERROR ", self.colors.error
        elif vertex.cached:
            mark = "CACHED "
        done = vertex.completed is not None
        return _Job(
            name=mark + vertex.name,
            seconds=traced.seconds(now),
            color=color if done else "",
            is_completed=done,
            traced=traced,
        )

    def _fit(self, jobs: list[_Job], width: int, height: int) -> list[_Job]:
        """Decide which jobs show their output and which lines have to go."""
        running = [job for job in jobs if not job.is_completed]
        with_output = [
            (job, job.traced)
            for job in running
            if job.traced is not None and job.traced.tail.byte_count
        ]
        free = height - _SPARE_ROWS - len(running)
        used = 0
        for job, traced in with_output:
            # Two rows are left for what was done before.
            job.tail_lines = max(0, min(self.log_lines, free - used - 2))
            used += len(traced.tail.lines(width - _TAIL_MARGIN, job.tail_lines))
        return _keep_running(jobs, height - _SPARE_ROWS - used)


def _keep_running(jobs: list[_Job], limit: int) -> list[_Job]:
    """Keep the last ``limit`` jobs, but rather running ones than completed ones."""
    excess = len(jobs) - max(0, limit)
    if excess <= 0:
        return jobs
    kept = []
    for job in jobs:
        if excess > 0 and job.is_completed:
            excess -= 1
        else:
            kept.append(job)
    return kept[len(kept) - limit :] if limit > 0 else []


def _line(job: _Job, width: int) -> str | None:
    timer = f" {0.0 if job.seconds < 0.05 else job.seconds:3.1f}s"
    left = width - len(_PREFIX) - len(timer) - 2
    status = ""
    if job.status and left + len(job.status) > 20:
        status = f" {job.status}"
        left -= len(status)
    if left < _MINIMUM_NAME:
        return None
    return _align(_PREFIX + cut(printable(job.name), left) + status, timer, width - 1)


def _align(left: str, right: str, width: int) -> str:
    room = width - cell_width(right)
    if cell_width(left) > room:
        return cut(left, width)
    return pad(left, room) + right


def _amount(current: int, total: int) -> str:
    if total:
        return f"{transfer_size(current)} / {transfer_size(total)}"
    return transfer_size(current) if current else ""


class TerminalDisplay:
    """Keeps the picture of a build up to date in one place of the terminal.

    The cursor is hidden only within a single write, so nothing has to be restored
    when the process is killed.
    """

    shows_failed_output = True

    def __init__(
        self,
        write: Callable[[str], None],
        size: Callable[[], tuple[int, int]],
        picture: TerminalPicture,
        *,
        debug: bool = False,
    ) -> None:
        self.trace = Trace()
        self._write = write
        self._size = size
        self._picture = picture
        self._debug = debug
        self._drawn: list[int] = []
        self._drawn_width = 0

    def update(self, event: Event) -> None:
        """Take an event; it shows with the next ``refresh``."""
        self.trace.update(event)

    def refresh(self, now: float) -> None:
        """Draw the state at ``now`` over the last picture."""
        if self.trace.started is not None:
            self._draw(now, is_final=False)

    def finish(self, now: float) -> None:
        """Draw the last picture, with every line, and what has to be said below it."""
        if self.trace.vertices:
            self._draw(now, is_final=True)
        colored = bool(self._picture.colors.run)
        text = failure_recap(self.trace)
        text += warning_recap(self.trace, expanded=self._debug, colored=colored)
        if text:
            self._write(text)

    def _draw(self, now: float, *, is_final: bool) -> None:
        width, height = self._size()
        picture = self._picture.draw(self.trace, now, (width, height), is_final=is_final)
        text = HIDE_CURSOR + self._back(width)
        for line, color in zip(picture.lines, picture.colors, strict=True):
            text += self._picture.colors.paint(line, color) + ERASE_LINE_END + "\n"
        self._write(text + ERASE_BELOW + SHOW_CURSOR)
        self._drawn = [cell_width(line) for line in picture.lines]
        self._drawn_width = width

    def _back(self, width: int) -> str:
        """Move to the first line of the last picture.

        A terminal that became narrower has broken its lines: they take more rows.
        """
        rows = sum(max(1, -(-cells // max(1, width))) for cells in self._drawn)
        if not rows:
            return ""
        clear = ERASE_BELOW if width != self._drawn_width else ""
        return f"\x1b[{rows}A\r{clear}"
