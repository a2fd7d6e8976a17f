"""The caller's terminal: raw, restored, and left with two keys."""

from __future__ import annotations

import os
import signal
import termios

import pytest

from dissolver.containers.streams import terminal


@pytest.mark.parametrize(
    ("typed", "passed", "detached"),
    [
        ([b"hello"], b"hello", False),
        ([b"\x10\x11"], b"", True),
        ([b"ls\x10", b"\x11"], b"ls", True),
        ([b"\x10"], b"", False),
        ([b"\x10", b"x"], b"\x10x", False),
        ([b"\x10\x10\x11"], b"\x10", True),
        ([b"\x11"], b"\x11", False),
        ([b"a\x10b\x10\x11c"], b"a\x10b", True),
    ],
)
def test_two_keys_detach(typed: list[bytes], passed: bytes, detached: bool) -> None:
    keys = terminal.DetachKeys()
    results = [keys.filter(data) for data in typed]
    assert b"".join(data for data, _ in results) == passed
    assert results[-1][1] is detached


def test_a_terminal_is_raw_inside_and_restored_outside() -> None:
    master, slave = os.openpty()
    try:
        before = termios.tcgetattr(slave)
        with terminal.raw(slave):
            inside = termios.tcgetattr(slave)
            assert not inside[3] & (termios.ECHO | termios.ICANON | termios.ISIG)
        assert termios.tcgetattr(slave) == before
    finally:
        os.close(master)
        os.close(slave)


def test_what_is_no_terminal_is_left_alone() -> None:
    reading, writing = os.pipe()
    try:
        with terminal.raw(reading):
            pass
        assert terminal.window_of(reading, None) is None
    finally:
        os.close(reading)
        os.close(writing)


def test_the_first_terminal_tells_the_size() -> None:
    master, slave = os.openpty()
    reading, writing = os.pipe()
    try:
        termios.tcsetwinsize(slave, (33, 101))
        assert terminal.window_of(None, reading, slave) == (33, 101)
    finally:
        for descriptor in (master, slave, reading, writing):
            os.close(descriptor)


def test_signals_become_bytes_and_their_handlers_come_back() -> None:
    before = signal.getsignal(signal.SIGUSR1)
    with terminal.caught([signal.SIGUSR1]) as pipe:
        os.kill(os.getpid(), signal.SIGUSR1)
        assert os.read(pipe, 10) == bytes([signal.SIGUSR1])
    assert signal.getsignal(signal.SIGUSR1) == before
