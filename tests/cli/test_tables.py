"""Columns are laid out as scripts that cut them expect, whatever is in the cells."""

from __future__ import annotations

import pytest

from dissolver.cli.render.cells import cell_width, cut, ellipsis, printable, wrap
from dissolver.cli.render.tables import table


def test_the_images_table_looks_as_people_know_it() -> None:
    rows = [
        ["node", "latest", "84d1016c860a", "29 minutes ago", "1.1GB"],
        ["<none>", "<none>", "f1bbbd303ca2", "2 hours ago", "1.1GB"],
    ]
    assert table(["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"], rows) == (
        "REPOSITORY   TAG       IMAGE ID       CREATED          SIZE\n"
        "node         latest    84d1016c860a   29 minutes ago   1.1GB\n"
        "<none>       <none>    f1bbbd303ca2   2 hours ago      1.1GB\n"
    )


def test_a_table_without_rows_is_its_header() -> None:
    assert table(["REPOSITORY", "TAG"], []) == "REPOSITORY   TAG\n"


def test_narrow_columns_are_ten_wide() -> None:
    assert table(["A", "B", "C"], [["1", "2", "3"]]) == (
        "A         B         C\n1         2         3\n"
    )


def test_wide_characters_count_twice() -> None:
    assert table(["NAME", "SIZE"], [["日本語イメージ", "1B"], ["plain", "2B"]]) == (
        "NAME             SIZE\n日本語イメージ   1B\nplain            2B\n"
    )


def test_a_cell_cannot_steer_the_terminal() -> None:
    assert table(["NAME"], [["a\x1b[2Jb"]]) == "NAME\na\\x1b[2Jb\n"


@pytest.mark.parametrize(
    ("text", "width"),
    [("abc", 3), ("日本", 4), ("e\u0301", 1), ("a\u200bb", 2), ("ｶﾅ", 2), ("", 0)],
)
def test_cells_are_counted(text: str, width: int) -> None:
    assert cell_width(text) == width


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        ("short", 20, "short"),
        ("exactly", 7, "exactly"),
        ('"docker-entrypoint.sh node"', 20, '"docker-entrypoint.…'),
        ("日本語日本語", 6, "日本…"),
    ],
)
def test_long_texts_end_in_an_ellipsis(text: str, width: int, shown: str) -> None:
    assert ellipsis(text, width) == shown
    assert cell_width(ellipsis(text, width)) <= width


def test_cutting_never_splits_a_wide_character() -> None:
    assert cut("a日本", 2) == "a"
    assert cut("a日本", 3) == "a日"
    assert cut("abc", 0) == ""


def test_wrapping_fills_each_row() -> None:
    assert wrap("abcdefgh", 3) == ["abc", "def", "gh"]
    assert wrap("日本語", 3) == ["日", "本", "語"]
    assert wrap("日本", 1) == ["日", "本"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("tab\there", "tab here"),
        ("bell\x07", "bell\\x07"),
        ("bad\udcff", "bad\\xff"),
        ("c1\x9b2J", "c1\\x9b2J"),
        ("umlaut ü", "umlaut ü"),
    ],
)
def test_control_characters_become_visible(text: str, shown: str) -> None:
    assert printable(text) == shown
