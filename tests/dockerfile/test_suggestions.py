"""What somebody may have meant, and durations."""

from __future__ import annotations

import pytest

from dissolver.dockerfile.durations import format_duration, parse_duration
from dissolver.dockerfile.suggest import did_you_mean, distance, nearest

DISTANCES = [
    ("", "", 0),
    ("a", "", 1),
    ("abc", "abc", 0),
    ("abc", "abd", 1),
    ("abc", "acb", 2),
    ("kitten", "sitten", 1),
    ("bulider", "builder", 2),
    ("abc", "xyz", 3),
    ("abcdef", "ab", 3),
]


@pytest.mark.parametrize(("first", "second", "edits"), DISTANCES)
def test_edits_are_counted_up_to_a_limit(first: str, second: str, edits: int) -> None:
    assert distance(first, second, 3) == edits
    assert distance(second, first, 3) == edits


MEANT = [
    ("RUM", ["RUN", "FROM"], "RUN"),
    ("run", ["RUN"], "RUN"),
    ("COPPY", ["COPY", "CMD"], "COPY"),
    ("INSTALL", ["RUN", "FROM"], None),
    ("ab", ["xy"], None),
    ("bulider", ["base", "builder"], "builder"),
    ("x", [], None),
    ("a", ["b", "c"], None),
]


@pytest.mark.parametrize(("word", "known", "expected"), MEANT)
def test_the_nearest_word_is_found(word: str, known: list[str], expected: str | None) -> None:
    assert nearest(word, known) == expected


def test_a_word_that_is_right_is_no_hint() -> None:
    assert did_you_mean("RUN", ["RUN"]) is None
    assert did_you_mean("RUM", ["RUN"]) == "did you mean `RUN`?"


DURATIONS = [
    ("0", 0),
    ("1ns", 1),
    ("1us", 1_000),
    ("1µs", 1_000),
    ("300ms", 300_000_000),
    ("30s", 30_000_000_000),
    ("1.5s", 1_500_000_000),
    (".5s", 500_000_000),
    ("1.s", 1_000_000_000),
    ("1m30s", 90_000_000_000),
    ("1h", 3_600_000_000_000),
    ("-2s", -2_000_000_000),
    ("+2s", 2_000_000_000),
    ("", None),
    ("5", None),
    ("s", None),
    ("5 s", None),
    ("5d", None),
    ("1h ", None),
    ("99999999999h", None),
]


@pytest.mark.parametrize(("text", "nanoseconds"), DURATIONS)
def test_durations_are_read(text: str, nanoseconds: int | None) -> None:
    assert parse_duration(text) == nanoseconds


PRINTED = [
    (0, "0s"),
    (1, "1ns"),
    (1_500, "1.5µs"),
    (300_000_000, "300ms"),
    (1_000_000_000, "1s"),
    (1_500_000_000, "1.5s"),
    (90_000_000_000, "1m30s"),
    (60_000_000_000, "1m0s"),
    (3_600_000_000_000, "1h0m0s"),
    (-2_000_000_000, "-2s"),
]


@pytest.mark.parametrize(("nanoseconds", "text"), PRINTED)
def test_durations_are_printed(nanoseconds: int, text: str) -> None:
    assert format_duration(nanoseconds) == text
