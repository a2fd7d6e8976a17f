"""What a prune is about."""

from __future__ import annotations

from pathlib import Path

import pytest

from dissolver import Engine
from dissolver.config import Settings
from dissolver.engine.filters import UNTIL_FORMS, Filters, read_filters
from dissolver.errors import BadOption

KNOWN = ("until", "label", "label!")
HOUR = 3_600_000_000_000
NOW = 1_800_000_000 * 1_000_000_000


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("1h", NOW - HOUR),
        ("1h30m", NOW - HOUR * 3 // 2),
        ("0", 0),
        ("1700000000", 1_700_000_000_000_000_000),
        ("1700000000.25", 1_700_000_000_250_000_000),
        ("2026-01-31T12:00:00Z", 1_769_860_800_000_000_000),
        ("2026-01-31T12:00:00+01:00", 1_769_857_200_000_000_000),
    ],
)
def test_a_moment_is_told_in_the_ways_people_know(text: str, moment: int) -> None:
    assert read_filters([f"until={text}"], KNOWN, NOW) == Filters(until_ns=moment)


@pytest.mark.parametrize(
    ("words", "created", "labels", "fits"),
    [
        ([], None, {}, True),
        (["until=1h"], NOW - HOUR - 1, {}, True),
        (["until=1h"], NOW - HOUR, {}, False),
        (["until=1h"], None, {}, False),
        (["label=a"], None, {"a": "1"}, True),
        (["label=a=2"], None, {"a": "1"}, False),
        (["label=a=1=2"], None, {"a": "1=2"}, True),
        (["label=a", "label=b"], None, {"a": "1"}, False),
        (["label!=a"], None, {"b": "1"}, True),
        (["label!=a=1"], None, {"a": "1"}, False),
        (["label!=a=1"], None, {"a": "2"}, True),
        (["label!=a", "label!=b"], None, {"a": ""}, True),
        (["label=a", "label!=b"], None, {"a": "", "b": ""}, False),
        (["label=a", "until=1h"], NOW, {"a": ""}, False),
    ],
)
def test_what_fits_may_go(
    words: list[str], created: int | None, labels: dict[str, str], fits: bool
) -> None:
    assert read_filters(words, KNOWN, NOW).fits(created, labels) is fits


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["until=soon"], "`soon` is no time", UNTIL_FORMS),
        (["until=-"], "`-` is no time", UNTIL_FORMS),
        (
            ["until=1h", "until=2h"],
            "there is more than one filter `until=…`",
            "leave the earliest",
        ),
        (
            ["untill=1h"],
            "unknown filter `untill=1h`",
            "the filters are `until=…`, `label=…`, `label!=…`",
        ),
        (["label"], "unknown filter `label`", "the filters are `until=…`, `label=…`, `label!=…`"),
        (["label="], "unknown filter `label=`", "the filters are `until=…`, `label=…`, `label!=…`"),
    ],
)
def test_what_is_no_filter_is_refused(words: list[str], message: str, hint: str) -> None:
    with pytest.raises(BadOption) as caught:
        read_filters(words, KNOWN, NOW)
    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_prunes_ask_before_anything_goes(tmp_path: Path) -> None:
    with Engine(settings=Settings(tmp_path / "store", tmp_path / "run")) as engine:
        for prune in (engine.prune_images, engine.prune_containers, engine.prune_system):
            with pytest.raises(BadOption, match="unknown filter `what=1`"):
                prune(filters=["what=1"])
        with pytest.raises(BadOption, match="unknown filter `label=a`"):
            engine.prune_builder(filters=["label=a"])
        with pytest.raises(BadOption, match="volumes have no labels"):
            engine.prune_system(volumes=True, filters=["until=1h"])
