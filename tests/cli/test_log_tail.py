"""The tail of a step's output is what a small terminal would show."""

from __future__ import annotations

import time

import pytest

from dissolver.cli.render.progress.log_tail import KEPT_LINES, LogTail, visible_line


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"one\ntwo\n", ["one", "two"]),
        (b"no end", ["no end"]),
        (b"\n\n  \nword\n\n", ["word"]),
        (b"10%\r50%\r100%", ["100%"]),
        (b"longer line\rshort", ["shortr line"]),
        (b"longer line\r\x1b[Kshort", ["short"]),
        (b"spin /\x08\\", ["spin \\"]),
        (b"one\ntwo\x1b[1A\rONE", ["ONE", "two"]),
        (b"a\tb", ["a       b"]),
        (b"\x1b[31mred\x1b[0m plain", ["red plain"]),
        (b"\x1b]0;title\x07text", ["text"]),
        (b"\x1b[1G\x1b[0K- working", ["- working"]),
        ("日本".encode(), ["日本"]),
        (b"bad \xff byte", ["bad \ufffd byte"]),
        (b"ab\x1b[5Cc", ["ab     c"]),
        (b"abc\x1b[2Dx", ["axc"]),
        (b"x\x1b[2Jy", [" y"]),
        (b"\x1b]0;title\x1b\\text", ["text"]),
        (b"one\x1b\ntwo", ["one", "two"]),
    ],
)
def test_output_is_followed(data: bytes, lines: list[str]) -> None:
    tail = LogTail()
    tail.feed(data)
    assert tail.lines(80, 6) == lines


@pytest.mark.parametrize("cut", range(1, 31))
def test_output_may_be_cut_anywhere(cut: int) -> None:
    data = "a\x1b[31mü\x1b[0m\r\n\x1b]0;t\x07日\x1b]0;t\x1b\\b".encode()
    tail = LogTail()
    tail.feed(data[:cut])
    tail.feed(data[cut:])
    assert tail.lines(80, 6) == ["aü", "日b"]


def test_only_the_last_lines_are_shown() -> None:
    tail = LogTail()
    tail.feed(b"".join(b"line %d\n" % number for number in range(20)))
    assert tail.lines(80, 3) == ["line 17", "line 18", "line 19"]


def test_long_lines_are_broken() -> None:
    tail = LogTail()
    tail.feed(b"abcdefgh\nij\n")
    assert tail.lines(3, 6) == ["abc", "def", "gh", "ij"]
    assert tail.lines(3, 2) == ["gh", "ij"]


def test_titles_without_an_end_take_no_time() -> None:
    tail = LogTail()
    began = time.process_time()
    for _ in range(4):
        tail.feed(b"\x1b]" * 32_768)
    # To look for the end of each would take half a minute.
    assert time.process_time() - began < 5


def test_memory_is_bounded() -> None:
    tail = LogTail()
    tail.feed(b"x" * 1_000_000)
    for _ in range(1000):
        tail.feed(b"line\n")
    assert len(tail._lines) == KEPT_LINES
    assert max(map(len, tail._lines)) <= 4096
    assert tail.byte_count == 1_005_000


def test_one_line_for_a_recap_is_what_remains_of_it() -> None:
    assert visible_line("10%\r\x1b[K100%\r") == "100%"
    assert visible_line("\x1b[32mgreen\x1b[0m") == "green"
    assert visible_line("") == ""
