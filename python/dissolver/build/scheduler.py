"""Stages at the same time, each waiting for what it takes from others.

Nothing here knows what a stage is: work is a function of a number, and may ask
for the result of another number that it depends on.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Generic, TypeVar

from dissolver.errors import Cancelled

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

T = TypeVar("T")

# A RUN step waits for a process most of the time, so even a single processor
# gains from a few stages at once; more would only compete for the disk.
_LEAST_WORKERS = 4
_SIGNAL_SECONDS = 0.1


class Cancellation:
    """Whether the work should end: asked from outside, or because a part failed."""

    def __init__(self, outer: threading.Event | Cancellation | None = None) -> None:
        self._own = threading.Event()
        self._outer = outer

    def request(self) -> None:
        """Ask everything that shares this to end soon."""
        self._own.set()

    def renew(self) -> None:
        """Take back what a failure asked for; what was asked from outside stays."""
        self._own.clear()

    def is_requested(self) -> bool:
        """Whether somebody asked."""
        if self._own.is_set() or self._outer is None:
            return self._own.is_set()
        if isinstance(self._outer, Cancellation):
            return self._outer.is_requested()
        return self._outer.is_set()

    def check(self) -> None:
        """Raise ``Cancelled`` once somebody asked."""
        if self.is_requested():
            raise Cancelled("the build was cancelled")


class Results(Generic[T]):
    """The results so far; asking for one that is being worked on waits for it."""

    def __init__(self, numbers: Collection[int]) -> None:
        self._is_over = {number: threading.Event() for number in numbers}
        self._kept: dict[int, T] = {}
        self._errors: dict[int, BaseException] = {}

    def wait(self, number: int) -> T:
        """Answer the result of ``number`` once it is there.

        Raises:
            Cancelled: it failed, or was cancelled; its own failure is told elsewhere.
        """
        self._is_over[number].wait()
        if number in self._errors:
            raise Cancelled("the build was cancelled") from self._errors[number]
        return self._kept[number]

    def keep(self, number: int, result: T) -> None:
        """Keep the result of ``number`` for whoever waits."""
        self._kept[number] = result
        self._is_over[number].set()

    def give_up(self, number: int, error: BaseException) -> None:
        """Let whoever waits for ``number`` know that it will not come."""
        self._errors[number] = error
        self._is_over[number].set()


def run_all(
    dependencies: Mapping[int, Collection[int]],
    work: Callable[[int, Results[T]], T],
    cancellation: Cancellation,
) -> dict[int, T]:
    """Do ``work`` for every number, as many at a time as depend on nothing unfinished.

    ``dependencies`` maps each number to those it may wait for. Work starts in an
    order in which these come first, so what waits has always been started
    before: a small pool cannot lock itself up. The first failure cancels the
    rest and is raised after everything has ended.

    Ctrl-C does the same, and passes through as it is. A single piece of work runs in
    the calling thread, where it reaches long calls of the core directly.

    Raises:
        Cancelled: ``cancellation`` was requested.
    """
    from graphlib import TopologicalSorter

    order = list(TopologicalSorter(dependencies).static_order())
    results: Results[T] = Results(order)
    if len(order) == 1:
        return {order[0]: work(order[0], results)}
    return _run_in_pool(order, work, results, cancellation)


def _run_in_pool(
    order: list[int],
    work: Callable[[int, Results[T]], T],
    results: Results[T],
    cancellation: Cancellation,
) -> dict[int, T]:
    from concurrent.futures import ThreadPoolExecutor, wait

    failures: list[BaseException] = []

    def one(number: int) -> None:
        try:
            cancellation.check()
            results.keep(number, work(number, results))
        except BaseException as error:  # noqa: BLE001 - raised again by the caller
            failures.append(error)
            cancellation.request()
            results.give_up(number, error)

    workers = min(len(order), max(_LEAST_WORKERS, os.cpu_count() or 1))
    with ThreadPoolExecutor(workers, thread_name_prefix="stage") as pool:
        pending = [pool.submit(one, number) for number in order]
        try:
            # A signal may reach any thread; this one sees it when it next wakes up.
            while wait(pending, timeout=_SIGNAL_SECONDS).not_done:
                pass
        except KeyboardInterrupt:
            cancellation.request()
            wait(pending)
            raise
    if failures:
        raise _cause(failures)
    return {number: results.wait(number) for number in order}


def _cause(failures: list[BaseException]) -> BaseException:
    """Pick the failure that made the others: the first that is no cancellation."""
    return next((error for error in failures if not isinstance(error, Cancelled)), failures[0])
