"""Signals by the names that people give them."""

from __future__ import annotations

import signal

import pytest

from dissolver.containers.signals import signal_number
from dissolver.errors import RunError


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("KILL", 9),
        ("SIGKILL", 9),
        ("sigterm", 15),
        ("9", 9),
        (2, 2),
        ("RTMIN", signal.SIGRTMIN),
        ("SIGRTMIN+3", signal.SIGRTMIN + 3),
    ],
)
def test_a_signal_is_found(text: str | int, number: int) -> None:
    assert signal_number(text) == number


@pytest.mark.parametrize("text", ["", "NOPE", "0", "65", "RTMIN+99", "RTMIN+x", "_IGN", "DFL"])
def test_an_unknown_signal_is_named(text: str) -> None:
    with pytest.raises(RunError) as raised:
        signal_number(text)
    assert raised.value.message == f"unknown signal `{text}`"
