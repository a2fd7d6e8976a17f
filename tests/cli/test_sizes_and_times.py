"""Sizes and ages are worded as people know them."""

from __future__ import annotations

import pytest

from dissolver.cli.render.sizes import human_size, transfer_size
from dissolver.cli.render.times import SECOND_NS, age, human_duration, local_time, rfc3339

MINUTE, HOUR, DAY = 60, 3600, 86400


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0B"),
        (1, "1B"),
        (999, "999B"),
        (1000, "1kB"),
        (1140, "1.14kB"),
        (7_800_000, "7.8MB"),
        (12_345_678, "12.3MB"),
        (123_456_789, "123MB"),
        (999_400, "999kB"),
        (999_600, "1MB"),
        (1_100_000_000, "1.1GB"),
        (5_000_000_000_000, "5TB"),
    ],
)
def test_sizes_have_three_digits(size: int, words: str) -> None:
    assert human_size(size) == words


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (2, "2B"),
        (152, "152B"),
        (1140, "1.14kB"),
        (27_260_000, "27.26MB"),
        (999_994, "999.99kB"),
        (999_999, "1.00MB"),
    ],
)
def test_transfers_have_two_decimals(size: int, words: str) -> None:
    assert transfer_size(size) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "Less than a second"),
        (1, "1 second"),
        (59.9, "59 seconds"),
        (MINUTE, "About a minute"),
        (2 * MINUTE, "2 minutes"),
        (29 * MINUTE + 31, "29 minutes"),
        (HOUR - 1, "59 minutes"),
        (HOUR, "About an hour"),
        (1.6 * HOUR, "2 hours"),
        (47 * HOUR, "47 hours"),
        (2 * DAY, "2 days"),
        (13 * DAY, "13 days"),
        (14 * DAY, "2 weeks"),
        (59 * DAY, "8 weeks"),
        (60 * DAY, "2 months"),
        (729 * DAY, "24 months"),
        (730 * DAY, "2 years"),
    ],
)
def test_durations_are_worded_roughly(seconds: float, words: str) -> None:
    assert human_duration(seconds) == words


def test_ages_are_told_from_now() -> None:
    assert age(1_000 * SECOND_NS, 1_180 * SECOND_NS) == "3 minutes ago"


def test_a_creation_in_the_future_is_less_than_a_second_ago() -> None:
    assert age(9 * SECOND_NS, 1 * SECOND_NS) == "Less than a second ago"


def test_an_unknown_time_is_not_made_up() -> None:
    assert age(None, 1) == "N/A"
    assert local_time(None) == "N/A"


def test_times_for_programs_are_utc_with_nanoseconds() -> None:
    assert rfc3339(1_700_000_000 * SECOND_NS + 1_234_567) == "2023-11-14T22:13:20.001234567Z"
    assert rfc3339(1_700_000_000 * SECOND_NS, digits=0) == "2023-11-14T22:13:20Z"


def test_times_for_people_are_local(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "CET-1")
    time.tzset()
    try:
        assert local_time(1_700_000_000 * SECOND_NS) == "2023-11-14 23:13:20 +0100 CET"
    finally:
        monkeypatch.undo()
        time.tzset()
