"""How long something has been, in words."""

from __future__ import annotations

import pytest

from dissolver.containers.ages import age, status_text

S, M, H, D = 1, 60, 3600, 86400


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "Less than a second"),
        (-5, "Less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (119, "About a minute"),
        (2 * M, "2 minutes"),
        (59 * M, "59 minutes"),
        (60 * M, "About an hour"),
        (89 * M, "About an hour"),
        (90 * M, "2 hours"),
        (47 * H, "47 hours"),
        (48 * H, "2 days"),
        (13 * D, "13 days"),
        (14 * D, "2 weeks"),
        (59 * D, "8 weeks"),
        (60 * D, "2 months"),
        (729 * D, "24 months"),
        (730 * D, "2 years"),
    ],
)
def test_ages_are_worded_as_docker_words_them(seconds: int, text: str) -> None:
    assert age(seconds * 1_000_000_000) == text


@pytest.mark.parametrize(
    ("status", "started", "finished", "code", "text"),
    [
        ("created", None, None, None, "Created"),
        ("running", 0, None, None, "Up 5 minutes"),
        ("exited", 0, 240_000_000_000, 3, "Exited (3) About a minute ago"),
        ("exited", 0, 300_000_000_000, 0, "Exited (0) Less than a second ago"),
    ],
)
def test_a_status_is_worded(
    status: str, started: int | None, finished: int | None, code: int | None, text: str
) -> None:
    assert status_text(status, 300_000_000_000, started, finished, code) == text
