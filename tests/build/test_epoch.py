"""``SOURCE_DATE_EPOCH``: where it comes from, and what is no time."""

from __future__ import annotations

import pytest

from dissolver.build.epoch import epoch_of, with_epoch
from dissolver.errors import BuildError


@pytest.mark.parametrize(
    ("arguments", "environment", "expected"),
    [
        ({}, {}, {}),
        ({}, {"SOURCE_DATE_EPOCH": "7"}, {"SOURCE_DATE_EPOCH": "7"}),
        ({}, {"SOURCE_DATE_EPOCH": ""}, {}),
        ({"a": "b"}, {"SOURCE_DATE_EPOCH": "7"}, {"a": "b", "SOURCE_DATE_EPOCH": "7"}),
        ({"SOURCE_DATE_EPOCH": "8"}, {"SOURCE_DATE_EPOCH": "7"}, {"SOURCE_DATE_EPOCH": "8"}),
        ({"SOURCE_DATE_EPOCH": ""}, {"SOURCE_DATE_EPOCH": "7"}, {"SOURCE_DATE_EPOCH": ""}),
    ],
)
def test_an_argument_counts_before_the_environment(
    arguments: dict[str, str], environment: dict[str, str], expected: dict[str, str]
) -> None:
    assert with_epoch(arguments, environment) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("", None),
        ("0", 0),
        ("1700000000", 1_700_000_000_000_000_000),
        ("253402300799", 253_402_300_799_000_000_000),
    ],
)
def test_an_epoch_is_seconds(value: str | None, expected: int | None) -> None:
    assert epoch_of({} if value is None else {"SOURCE_DATE_EPOCH": value}) == expected


@pytest.mark.parametrize(
    "value", ["yesterday", "-1", "1.5", "253402300800", "9" * 5000, "context", "٣", " 1", "0x1"]
)
def test_what_is_no_time_is_refused(value: str) -> None:
    with pytest.raises(BuildError) as refused:
        epoch_of({"SOURCE_DATE_EPOCH": value})
    assert refused.value.message.startswith("SOURCE_DATE_EPOCH has to be a number of seconds")
