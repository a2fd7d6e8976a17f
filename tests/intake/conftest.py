"""Every test here has a store of its own."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from shelf import store

__all__ = ["store"]


@pytest.fixture
def hears_interrupts() -> Iterator[None]:
    """Let Ctrl-C raise, also where the tests run in the background of a shell."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
