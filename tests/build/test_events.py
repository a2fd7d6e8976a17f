"""What a build tells, and in which order."""

from __future__ import annotations

import threading
import time

import pytest

from dissolver.build.events import Event, Progress, Vertex, VertexLog, VertexStatus, Warning_
from dissolver.errors import BuildError, Cancelled


def told() -> tuple[list[Event], Progress]:
    events: list[Event] = []
    return events, Progress(events.append)


def test_a_vertex_is_told_when_announced_started_and_completed() -> None:
    events, progress = told()
    with progress.vertex("[1/2] FROM scratch"):
        pass
    first, second, third = (event for event in events if isinstance(event, Vertex))
    assert first == Vertex(1, "[1/2] FROM scratch")
    assert second.started is not None
    assert second.completed is None
    assert third.completed is not None
    assert third.completed >= second.started
    assert third.error is None


def test_times_are_seconds_since_the_epoch() -> None:
    _, progress = told()
    assert abs(progress.now() - time.time()) < 5


def test_ids_count_from_one_in_the_order_of_announcement() -> None:
    events, progress = told()
    for name in ("a", "b", "c"):
        progress.vertex(name)
    assert [(event.id, event.name) for event in events if isinstance(event, Vertex)] == [
        (1, "a"),
        (2, "b"),
        (3, "c"),
    ]


def test_a_failure_becomes_the_error_of_its_vertex() -> None:
    events, progress = told()
    with pytest.raises(BuildError), progress.vertex("x"):
        raise BuildError("there is no Dockerfile")
    last = events[-1]
    assert isinstance(last, Vertex)
    assert last.error == "there is no Dockerfile"
    assert not last.is_cancelled


@pytest.mark.parametrize("error", [Cancelled("the build was cancelled"), KeyboardInterrupt()])
def test_a_cancellation_is_no_error(error: BaseException) -> None:
    events, progress = told()
    with pytest.raises(type(error)), progress.vertex("x"):
        raise error
    last = events[-1]
    assert isinstance(last, Vertex)
    assert (last.error, last.is_cancelled) == (None, True)


def test_a_status_tells_its_progress_below_its_vertex() -> None:
    events, progress = told()
    with progress.vertex("x") as vertex, vertex.status("transferring context:") as status:
        status.reached(1140, 2000)
    statuses = [event for event in events if isinstance(event, VertexStatus)]
    assert [(s.vertex, s.id, s.current, s.total) for s in statuses] == [
        (1, "transferring context:", 0, 0),
        (1, "transferring context:", 1140, 2000),
        (1, "transferring context:", 1140, 2000),
    ]
    assert [s.completed is not None for s in statuses] == [False, False, True]


def test_logs_and_warnings_name_their_vertex() -> None:
    events, progress = told()
    with progress.vertex("x") as vertex:
        vertex.log(b"half a li", stream=2)
        vertex.warn("a build argument was not used", hint="declare it with ARG")
    assert [e.data for e in events if isinstance(e, VertexLog)] == [b"half a li"]
    assert [e for e in events if isinstance(e, Warning_)] == [
        Warning_(1, "a build argument was not used", "declare it with ARG")
    ]


def test_the_callback_is_never_entered_twice_at_once() -> None:
    inside = threading.Lock()
    clashes: list[Event] = []

    def callback(event: Event) -> None:
        if not inside.acquire(blocking=False):
            clashes.append(event)
            return
        time.sleep(0.001)
        inside.release()

    progress = Progress(callback)
    vertices = [progress.vertex(str(index)) for index in range(8)]

    def chatter(index: int) -> None:
        for _ in range(10):
            vertices[index].log(b"x")

    threads = [threading.Thread(target=chatter, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clashes == []


def test_without_a_callback_everything_still_works() -> None:
    progress = Progress(None)
    with progress.vertex("x") as vertex:
        vertex.log(b"x")
    assert vertex.value.completed is not None
