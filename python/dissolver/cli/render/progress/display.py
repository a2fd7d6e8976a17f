"""Which display a build gets, and the clock that keeps it moving."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TextIO

from dissolver.errors import NotATerminal

if TYPE_CHECKING:
    from dissolver.build.events import Event
    from dissolver.config import Settings

# Ten pictures a second look live; more only cost the build processor time.
REDRAW_SECONDS = 0.1


class Display(Protocol):
    """Something that shows events; ``refresh`` and ``finish`` are given the time."""

    shows_failed_output: bool

    def update(self, event: Event) -> None:
        """Take an event."""

    def refresh(self, now: float) -> None:
        """Show what is new."""

    def finish(self, now: float) -> None:
        """Show the rest."""


class SilentDisplay:
    """Shows nothing at all."""

    shows_failed_output = False

    def update(self, event: Event) -> None:
        """Forget the event."""

    def refresh(self, now: float) -> None:
        """Do nothing."""

    def finish(self, now: float) -> None:
        """Do nothing."""


def choose_display(
    mode: str, stream: TextIO, settings: Settings, *, builder: str, debug: bool
) -> Display:
    """Make the display for a progress mode; ``auto`` looks at the stream.

    Raises:
        NotATerminal: mode ``tty`` without one.
    """
    is_terminal = stream.isatty()
    if mode == "tty" and not is_terminal:
        raise NotATerminal(
            "`--progress tty` needs a terminal on standard error",
            hint="use `--progress plain`, or `auto`, which looks for itself",
        )

    def write(text: str) -> None:
        stream.write(text)
        stream.flush()

    if mode in ("quiet", "none"):
        return SilentDisplay()
    if mode == "rawjson":
        from dissolver.cli.render.progress.rawjson import RawJsonDisplay

        return RawJsonDisplay(write, epoch_clock())
    is_drawn = mode == "tty" or (is_terminal and not settings.is_dumb_terminal)
    if mode == "plain" or not is_drawn:
        from dissolver.cli.render.progress.plain import PlainDisplay

        return PlainDisplay(write, builder=builder, debug=debug)
    from dissolver.cli.render.palette import ProgressColors
    from dissolver.cli.render.progress.terminal import TerminalDisplay, TerminalPicture

    colors = ProgressColors(settings.palette, colored=settings.uses_color)
    picture = TerminalPicture(builder, colors, log_lines=settings.log_lines)
    return TerminalDisplay(write, lambda: terminal_size(stream), picture, debug=debug)


def terminal_size(stream: TextIO) -> tuple[int, int]:
    """Tell a terminal's (columns, rows); 80 by 24 where it does not say."""
    try:
        size = os.get_terminal_size(stream.fileno())
    except OSError:
        return 80, 24
    return (size.columns, size.lines) if size.columns and size.lines else (80, 24)


def epoch_clock() -> Callable[[], float]:
    """Make a clock that counts seconds since the epoch and never jumps."""
    offset = time.time() - time.monotonic()
    return lambda: offset + time.monotonic()


class LiveDisplay:
    """Redraws a display while a build runs: at once where it may, else by its own thread.

    A context manager around the build; ``on_event`` may be called from any thread.
    When the stream is gone, the failure reaches the caller of ``on_event``.
    """

    def __init__(self, display: Display, clock: Callable[[], float] | None = None) -> None:
        self.display = display
        self._clock = clock or epoch_clock()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._refreshed = float("-inf")
        self._failure: OSError | None = None

    def on_event(self, event: Event) -> None:
        """Take an event of the build."""
        with self._lock:
            if self._failure is not None:
                raise self._failure
            self.display.update(event)
            now = self._clock()
            if now - self._refreshed >= REDRAW_SECONDS:
                self._refresh(now)

    def _refresh(self, now: float) -> None:
        self._refreshed = now
        try:
            self.display.refresh(now)
        except OSError as error:
            self._failure = error
            raise

    def _keep_moving(self) -> None:
        while not self._stop.wait(REDRAW_SECONDS):
            with self._lock:
                now = self._clock()
                # An event may have drawn just before: ten pictures a second are the limit.
                if now - self._refreshed < REDRAW_SECONDS * 0.9:
                    continue
                try:
                    self._refresh(now)
                except OSError:
                    return  # The next event raises it where somebody can act on it.

    def __enter__(self) -> LiveDisplay:
        if not isinstance(self.display, SilentDisplay):
            self._thread = threading.Thread(target=self._keep_moving, name="progress", daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        with self._lock:
            if self._failure is None:
                self.display.finish(self._clock())
