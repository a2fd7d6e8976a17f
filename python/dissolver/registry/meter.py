"""How far transfers are, told often enough to look alive and no oftener."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from dissolver.registry.events import LayerProgress, LayerState

if TYPE_CHECKING:
    from dissolver.registry.events import OnTransfer, TransferEvent

TELL_SECONDS = 0.1
_RATE_SECONDS = 2.0
"""How far back the rate looks: long enough not to flicker."""


class Teller:
    """Hands events to a callback, never two at once; for several threads."""

    def __init__(self, on_event: OnTransfer | None) -> None:
        self._on_event = on_event
        self._lock = threading.RLock()

    def tell(self, event: TransferEvent) -> None:
        """Hand over one event."""
        if self._on_event is not None:
            with self._lock:
                self._on_event(event)


class Meter:
    """How far one layer is; used by one thread at a time. ``total`` is 0 until it is known."""

    def __init__(self, teller: Teller, layer: str, total: int) -> None:
        self._teller = teller
        self.layer = layer
        self.total = total
        self._state: LayerState | None = None
        self._told = float("-inf")
        self._marks: list[tuple[float, int]] = []

    def state(self, state: LayerState, current: int = 0, *, detail: str = "") -> None:
        """Tell a state and the bytes that are done; the same state again only once in a while."""
        now = time.monotonic()
        if state == self._state and now - self._told < TELL_SECONDS:
            return
        if state != self._state:
            self._marks = []
        is_counted = state in ("Downloading", "Pushing")
        rate = self._rate(now, current) if is_counted else 0.0
        total = self.total if is_counted else 0
        self._state, self._told = state, now
        counted = current if is_counted else 0
        self._teller.tell(LayerProgress(self.layer, state, counted, total, rate, detail))

    def _rate(self, now: float, current: int) -> float:
        self._marks.append((now, current))
        while len(self._marks) > 2 and now - self._marks[0][0] > _RATE_SECONDS:
            del self._marks[0]
        began, before = self._marks[0]
        return (current - before) / (now - began) if now > began else 0.0
