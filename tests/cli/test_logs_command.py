"""``logs``: each stream on its own, from the beginning or near the end."""

from __future__ import annotations

from typing import Any

import pytest

from dissolver.containers.streams.logs import LogLine

LOG = [
    LogLine("stdout", b"one\n", "2026-01-01T00:00:01.5Z", 1),
    LogLine("stderr", b"oops\n", "2026-01-01T00:00:02.5Z", 2),
    LogLine("stdout", b"last", "2026-01-01T00:00:03.5Z", 3),
]


@pytest.mark.parametrize(
    ("words", "out", "err"),
    [
        ([], "one\nlast", "oops\n"),
        (
            ["-t"],
            "2026-01-01T00:00:01.5Z one\n2026-01-01T00:00:03.5Z last",
            "2026-01-01T00:00:02.5Z oops\n",
        ),
    ],
)
def test_logs_keep_the_streams_apart(line: Any, words: list[str], out: str, err: str) -> None:
    line.engine.answers["logs"] = iter(LOG)
    done = line("logs", *words, "web")
    assert (done.code, done.out, done.err) == (0, out, err)
    assert line.asked("logs") == (("web",), {"follow": False, "tail": None})


def test_logs_can_be_followed(line: Any) -> None:
    line.engine.answers["logs"] = iter(LOG)
    assert line("logs", "-f", "web").out == "one\nlast"
    assert line.asked("logs")[1] == {"follow": True, "tail": None}


@pytest.mark.parametrize(
    ("words", "tail"), [(["-n", "1"], 1), (["--tail=0"], 0), (["--tail", "all"], None)]
)
def test_logs_may_begin_near_their_end(line: Any, words: list[str], tail: int | None) -> None:
    line.engine.answers["logs"] = []
    assert line("logs", *words, "web").code == 0
    assert line.asked("logs")[1] == {"follow": False, "tail": tail}
