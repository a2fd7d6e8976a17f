"""Several transfers at a time, which end together when one of them fails."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from dissolver.errors import Cancelled

if TYPE_CHECKING:
    from dissolver.registry.transport import Transport

AT_ONCE = 3
"""Layers in transfer at the same time: Docker's number, which servers are prepared for."""

_POLL_SECONDS = 0.1
_END_SECONDS = 10.0


def run_together(
    transport: Transport, jobs: Sequence[Callable[[], None]], *, at_once: int = AT_ONCE
) -> None:
    """Do all ``jobs``, started in their order, a few at a time.

    The first failure, Ctrl-C or a cancellation breaks the transfers that go on, and is raised
    once they have ended; what they had not finished leaves nothing behind.

    Raises:
        Cancelled: somebody asked to end.
    """
    if not jobs:
        return
    waiting: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
    for job in jobs:
        waiting.put(job)
    failures: list[BaseException] = []

    def work() -> None:
        while not failures:
            try:
                job = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                job()
            except BaseException as error:  # noqa: BLE001 - raised by the caller
                failures.append(error)

    threads = [
        # A daemon: a process that is told to end does not wait for a silent server.
        threading.Thread(target=work, name=f"transfer-{number}", daemon=True)
        for number in range(min(at_once, len(jobs)))
    ]
    for thread in threads:
        thread.start()
    try:
        while any(thread.is_alive() for thread in threads):
            if failures or transport.patience.is_cancelled:
                _end(transport, threads)
                break
            _join_one(threads)
    except BaseException:
        _end(transport, threads)
        raise
    if failures:
        raise next((one for one in failures if not isinstance(one, Cancelled)), failures[0])
    transport.patience.check()


def _join_one(threads: Sequence[threading.Thread]) -> None:
    for thread in threads:
        if thread.is_alive():
            thread.join(_POLL_SECONDS)
            return


def _end(transport: Transport, threads: Sequence[threading.Thread]) -> None:
    """Break what goes on and wait for its end, but not for ever."""
    was_cancelled = transport.patience.is_cancelled
    transport.patience.cancel()
    ends = time.monotonic() + _END_SECONDS
    while any(thread.is_alive() for thread in threads) and time.monotonic() < ends:
        transport.abort()
        _join_one(threads)
    if not was_cancelled and not any(thread.is_alive() for thread in threads):
        # Only this work was to end: what fails once may be tried again.
        transport.patience.resume()
