"""The caller's terminal while it stands for a container's: raw, and of the same size."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import FrameType

DETACH_KEYS = b"\x10\x11"
"""ctrl-p ctrl-q: leave the container running and get the terminal back."""


def is_terminal(descriptor: int | None) -> bool:
    """Tell whether a file descriptor is a terminal."""
    return descriptor is not None and os.isatty(descriptor)


def window_of(*descriptors: int | None) -> tuple[int, int] | None:
    """Return rows and columns of the first terminal among ``descriptors``."""
    for descriptor in descriptors:
        if descriptor is None:
            continue
        try:
            size = os.get_terminal_size(descriptor)
        except OSError:
            continue
        if size.lines and size.columns:
            return size.lines, size.columns
    return None


@contextmanager
def raw(descriptor: int | None) -> Iterator[None]:
    """Make a terminal pass on every key while the block runs, and restore it after."""
    if descriptor is None or not os.isatty(descriptor):
        yield
        return
    import termios
    import tty

    before = termios.tcgetattr(descriptor)
    try:
        tty.setraw(descriptor, termios.TCSANOW)
        yield
    finally:
        # Drain: what the container wrote last is shown before the mode changes.
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


class DetachKeys:
    """Watches what is typed for the sequence that detaches."""

    def __init__(self, keys: bytes = DETACH_KEYS) -> None:
        self._keys = keys
        self._matched = 0

    def filter(self, data: bytes) -> tuple[bytes, bool]:
        """Return what to pass on, and whether the whole sequence was typed.

        The beginning of the sequence is held back until it is clear what follows.
        """
        passed = bytearray()
        for byte in data:
            if byte == self._keys[self._matched]:
                self._matched += 1
                if self._matched == len(self._keys):
                    self._matched = 0
                    return bytes(passed), True
                continue
            passed += self._keys[: self._matched]
            self._matched = 0
            if byte == self._keys[0]:
                self._matched = 1
            else:
                passed.append(byte)
        return bytes(passed), False


@contextmanager
def caught(signals: Iterable[int]) -> Iterator[int]:
    """Turn signals into bytes on a pipe while the block runs; yield its reading end.

    Only a program's main thread can receive signals; in another the pipe stays silent.
    """
    reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    before: dict[int, object] = {}

    def note(number: int, _: FrameType | None) -> None:
        with suppress(BlockingIOError):  # Thousands are waiting already.
            os.write(writing, bytes([number]))

    try:
        if threading.current_thread() is threading.main_thread():
            for number in signals:
                before[number] = signal.signal(number, note)
        yield reading
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)  # type: ignore[arg-type]
        os.close(reading)
        os.close(writing)
