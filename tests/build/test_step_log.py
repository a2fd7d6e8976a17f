"""The output of a step: passed on, bounded, and its end kept."""

from __future__ import annotations

import pytest

from dissolver.build.events import Progress, VertexLog
from dissolver.build.step_log import LOG_BYTES, StepLog


def log_of(*chunks: bytes) -> tuple[bytes, StepLog]:
    data: list[bytes] = []

    def keep(event: object) -> None:
        if isinstance(event, VertexLog):
            data.append(event.data)

    log = StepLog(Progress(keep).vertex("x"))
    for chunk in chunks:
        log.write(chunk)
    return b"".join(data), log


def test_output_is_passed_on_as_it_comes() -> None:
    assert log_of(b"one\ntw", b"o\n")[0] == b"one\ntwo\n"


def test_more_than_the_limit_is_clipped_with_a_notice_once() -> None:
    line = b"x" * 1023 + b"\n"
    passed, log = log_of(*[line] * 3000, b"the very end\n")
    notice = b"\n[output clipped, log limit 2MiB reached]\n"
    assert passed == line * (LOG_BYTES // 1024) + notice
    assert log.last_lines()[-1] == "the very end"


@pytest.mark.parametrize(
    ("output", "lines"),
    [
        (b"", ()),
        (b"one\ntwo\n\n\n", ("one", "two")),
        (b"no line end", ("no line end",)),
        (b"10%\r50%\r100%\nnext\r\n", ("100%", "next")),
        (b"\xff broken\n", ("\ufffd broken",)),
        (b"".join(b"%d\n" % n for n in range(30)), tuple(str(n) for n in range(20, 30))),
    ],
)
def test_the_last_lines_are_those_a_terminal_would_show(
    output: bytes, lines: tuple[str, ...]
) -> None:
    assert log_of(output)[1].last_lines() == lines
