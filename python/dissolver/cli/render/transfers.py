"""Pulls and pushes as people know them: a line for each layer, in place on a terminal."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

from dissolver.cli.render.cells import cut, printable, shortened
from dissolver.cli.render.progress.display import terminal_size
from dissolver.cli.render.sizes import human_size
from dissolver.cli.render.streams import drawing
from dissolver.registry.events import LayerProgress, TransferDone, TransferStarted, short

if TYPE_CHECKING:
    from dissolver.registry.events import TransferEvent

REDRAW_SECONDS = 0.1
_ENDS = frozenset(("Pull complete", "Already exists", "Pushed", "Layer already exists", "Mounted"))
_MOVES = frozenset(("Downloading", "Extracting", "Compressing", "Pushing"))
"""States that change all the time: only a terminal, where lines are redrawn, shows them."""

_WIDEST_BAR = 50
_NARROWEST_BAR = 10
_ERASE_LINE_END = "\x1b[K"


class TransferLines:
    """Writes a line for everything that happens, as into a log."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write

    def on_event(self, event: TransferEvent) -> None:
        """Take an event."""
        if isinstance(event, TransferStarted):
            self._write(_opening(event))
        elif isinstance(event, TransferDone):
            self._write(_closing(event))
        elif event.state not in _MOVES:
            self._write(f"{short(event.layer)}: {_worded(event)}\n")


class TransferPicture:
    """Keeps a line for each layer up to date in one place of a terminal."""

    def __init__(
        self,
        write: Callable[[str], None],
        size: Callable[[], tuple[int, int]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write = write
        self._size = size
        self._clock = clock
        self._layers: dict[str, LayerProgress] = {}
        self._rows = 0
        self._drawn_at = float("-inf")

    def on_event(self, event: TransferEvent) -> None:
        """Take an event, and draw if it is time to."""
        if isinstance(event, LayerProgress):
            before = self._layers.get(event.layer)
            self._layers[event.layer] = event
            is_step = before is None or before.state != event.state
            if is_step or self._clock() - self._drawn_at >= REDRAW_SECONDS:
                self._draw()
            return
        self._draw()
        self._layers.clear()
        self._rows = 0
        self._write(_opening(event) if isinstance(event, TransferStarted) else _closing(event))

    def _draw(self) -> None:
        if not self._layers:
            return
        self._drawn_at = self._clock()
        width, height = self._size()
        text = f"\x1b[{self._rows}A\r" if self._rows else ""
        shown = _fitting(list(self._layers.values()), height - 1)
        for event in shown:
            line = f"{short(event.layer)}: {_worded(event)}{_amount(event, width)}"
            text += cut(line, width - 1) + _ERASE_LINE_END + "\n"
        self._rows = len(shown)
        self._write(text + "\x1b[J")


def transfer_display(stream: TextIO, *, is_dumb: bool) -> Callable[[TransferEvent], None]:
    """Choose how events are shown on a stream; answer what takes them."""

    place = drawing(stream)

    def write(text: str) -> None:
        place.write(text)
        place.flush()

    if stream.isatty() and not is_dumb:
        return TransferPicture(write, lambda: terminal_size(stream)).on_event
    return TransferLines(write).on_event


def _opening(event: TransferStarted) -> str:
    version, repository = printable(event.version), printable(event.repository)
    if event.kind == "pull":
        return f"{version}: Pulling from {repository}\n"
    if event.kind == "copy":
        return f"{version}: Copying to {repository}\n"
    return f"The push refers to repository [{repository}]\n"


def _closing(event: TransferDone) -> str:
    if event.kind != "pull":
        return f"{printable(event.version)}: digest: {event.digest} size: {event.size}\n"
    status = "Downloaded newer image for" if event.is_new else "Image is up to date for"
    return f"Digest: {event.digest}\nStatus: {status} {printable(event.familiar)}\n"


def _worded(event: LayerProgress) -> str:
    detail = printable(shortened(event.detail))
    if event.state == "Mounted":
        return f"Mounted from {detail}"
    return event.state + (f": {detail}" if detail else "")


def _amount(event: LayerProgress, width: int) -> str:
    """Draw how far a layer is: a bar, the bytes, and how fast it goes."""
    if not event.current and not event.total:
        return ""
    # How long a layer is going to be that is still compressed is not known.
    total = f"/{human_size(event.total)}" if event.total else ""
    numbers = f"  {human_size(event.current)}{total}"
    if event.rate > 0:
        numbers += f"  {human_size(int(event.rate))}/s"
    room = width - 14 - len(event.state) - len(numbers) - 5
    cells = min(_WIDEST_BAR, room)
    if cells < _NARROWEST_BAR or not event.total:
        return numbers
    done = min(cells, cells * event.current // event.total)
    bar = "=" * max(0, done - 1) + ">" if done < cells else "=" * cells
    return f" [{bar:<{cells}}]{numbers}"


def _fitting(events: list[LayerProgress], rows: int) -> list[LayerProgress]:
    """Leave out what is done, the oldest first, until the rest fits."""
    excess = len(events) - max(1, rows)
    kept = []
    for event in events:
        if excess > 0 and event.state in _ENDS:
            excess -= 1
        else:
            kept.append(event)
    return kept[: max(1, rows)]
