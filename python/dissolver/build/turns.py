"""Work that several builds want at the same time: done by one of them, taken by the others."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dissolver.build.scheduler import Cancellation
    from dissolver.store.records import StepRecord

# How long a waiting build goes on before it looks whether it should end.
_LOOK_SECONDS = 0.1


class Turns:
    """Lets those who want the same work take turns, and remembers what was made of it.

    Safe to use from several threads. Nobody may hold two turns.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._made: dict[str, StepRecord] = {}

    @contextmanager
    def of(self, work: str, cancellation: Cancellation) -> Iterator[None]:
        """Be the only one at ``work`` while the block runs.

        Raises:
            Cancelled: that was asked for while another one had its turn.
        """
        with self._lock:
            lock = self._locks.setdefault(work, threading.Lock())
        while not lock.acquire(timeout=_LOOK_SECONDS):
            cancellation.check()
        try:
            yield
        finally:
            lock.release()

    def keep(self, record: StepRecord) -> None:
        """Remember what a step came to, for those who may not take older results."""
        with self._lock:
            self._made[record.key] = record

    def made(self, key: str) -> StepRecord | None:
        """Answer what a step with this key came to since these builds began."""
        with self._lock:
            return self._made.get(key)
