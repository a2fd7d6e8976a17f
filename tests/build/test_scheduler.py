"""Stages run together where they can, and end together when one fails."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from dissolver.build.scheduler import Cancellation, Results, run_all
from dissolver.errors import BuildError, Cancelled


def test_what_depends_on_nothing_runs_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=10)

    def work(number: int, _: Results[int]) -> int:
        both.wait()
        return number * 10

    assert run_all({1: (), 2: ()}, work, Cancellation()) == {1: 10, 2: 20}


def test_a_result_is_waited_for_where_it_is_needed() -> None:
    order: list[str] = []
    before = threading.Event()

    def work(number: int, results: Results[int]) -> int:
        if number == 1:
            before.wait(10)
            order.append("one is done")
            return 1
        order.append("two has begun")
        before.set()
        value = results.wait(1) + 1
        order.append("two is done")
        return value

    assert run_all({1: (), 2: (1,)}, work, Cancellation()) == {1: 1, 2: 2}
    assert order == ["two has begun", "one is done", "two is done"]


def test_a_long_chain_does_not_lock_up_a_small_pool() -> None:
    def work(number: int, results: Results[int]) -> int:
        return number if number == 0 else results.wait(number - 1) + 1

    chain = {number: ((number - 1,) if number else ()) for number in range(40)}
    assert run_all(dict(reversed(chain.items())), work, Cancellation())[39] == 39


def test_the_first_failure_cancels_the_others_and_is_raised() -> None:
    cancellation = Cancellation()

    def work(number: int, _: Results[int]) -> int:
        if number == 1:
            raise BuildError("one failed")
        while not cancellation.is_requested():
            time.sleep(0.01)
        raise Cancelled("the build was cancelled")

    with pytest.raises(BuildError, match="one failed"):
        run_all({1: (), 2: (), 3: ()}, work, cancellation)


def test_who_waits_for_a_failed_one_is_cancelled_not_blamed() -> None:
    def work(number: int, results: Results[int]) -> int:
        if number == 1:
            time.sleep(0.05)
            raise BuildError("one failed")
        return results.wait(1)

    with pytest.raises(BuildError, match="one failed"):
        run_all({1: (), 2: (1,), 3: (2,)}, work, Cancellation())


def test_nothing_starts_once_it_is_cancelled_from_outside() -> None:
    outer = threading.Event()
    outer.set()
    started: list[int] = []

    def work(number: int, _: Results[int]) -> int:
        started.append(number)
        return number

    with pytest.raises(Cancelled):
        run_all({1: (), 2: ()}, work, Cancellation(outer))
    assert started == []


def test_one_piece_of_work_runs_in_the_calling_thread() -> None:
    run_all({7: ()}, lambda number, _: seen.append(threading.current_thread()), Cancellation())
    assert seen == [threading.main_thread()]


seen: list[threading.Thread] = []


@pytest.mark.parametrize("count", [1, 3])
def test_ctrl_c_ends_all_work_and_passes_through(count: int) -> None:
    cancellation = Cancellation()
    ended: list[int] = []

    def work(number: int, _: Results[int]) -> int:
        if number == 0:
            threading.Timer(0.1, signal.raise_signal, [signal.SIGINT]).start()
        deadline = time.monotonic() + 10
        while not cancellation.is_requested() and time.monotonic() < deadline:
            time.sleep(0.01)
        ended.append(number)
        raise Cancelled("the build was cancelled")

    with pytest.raises(KeyboardInterrupt):
        run_all(dict.fromkeys(range(count), ()), work, cancellation)
    assert len(ended) == (0 if count == 1 else count)
