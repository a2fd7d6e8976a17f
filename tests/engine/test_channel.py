"""Messages between a program and its engine's worker."""

from __future__ import annotations

import os
import threading
from socket import socketpair

import pytest

from dissolver.engine.channel import Channel


def test_messages_and_their_files_arrive_in_order() -> None:
    ours, theirs = (Channel(end) for end in socketpair())
    reading, writing = os.pipe()
    ours.send({"number": 1}, [writing])
    ours.send({"number": 2, "text": "ä"})
    first = theirs.receive()
    assert first is not None
    assert first[0] == {"number": 1}
    (received,) = first[1]
    os.write(received, b"through the copy")
    assert os.read(reading, 64) == b"through the copy"
    for descriptor in (reading, writing, received):
        os.close(descriptor)
    assert theirs.receive() == ({"number": 2, "text": "ä"}, ())
    ours.close()
    theirs.close()


def test_a_message_larger_than_the_socket_arrives_whole() -> None:
    ours, theirs = (Channel(end) for end in socketpair())
    text = "x" * 5_000_000
    sender = threading.Thread(target=ours.send, args=[{"text": text}])
    sender.start()
    assert theirs.receive() == ({"text": text}, ())
    sender.join()
    ours.close()
    theirs.close()


@pytest.mark.parametrize("closed", ["this end", "the other end"])
def test_a_closed_connection_receives_nothing_more(closed: str) -> None:
    ours, theirs = (Channel(end) for end in socketpair())
    (ours if closed == "this end" else theirs).close()
    assert ours.receive() is None
    ours.close()
    theirs.close()


def test_closing_wakes_whoever_waits() -> None:
    ours, theirs = (Channel(end) for end in socketpair())
    received: list[object] = ["nothing yet"]

    def wait() -> None:
        received[0] = ours.receive()

    waiting = threading.Thread(target=wait)
    waiting.start()
    ours.close()
    waiting.join(10)
    assert received == [None]
    theirs.close()
