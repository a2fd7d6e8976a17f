"""``cp`` and ``diff``: words into calls, and what is printed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from cli.test_archives import Terminal
from dissolver.engine.results import Change
from dissolver.errors import CopyFailed

OPTIONS = {"keeps_owner": False, "follows_link": False}


@pytest.mark.parametrize(
    ("words", "method", "arguments", "options"),
    [
        (("a", "web:/b"), "copy_to", ("web", "/b", "a"), {}),
        (("./a:b", "web:c"), "copy_to", ("web", "c", "./a:b"), {}),
        (("/a:b/", "web:/c/."), "copy_to", ("web", "/c/.", "/a:b/"), {}),
        (("../x", "web:/"), "copy_to", ("web", "/", "../x"), {}),
        (("web:/a", "b"), "copy_from", ("web", "/a", "b"), {}),
        (("web:/a:b", "."), "copy_from", ("web", "/a:b", "."), {}),
        (("-a", "web:/a", "b"), "copy_from", ("web", "/a", "b"), {"keeps_owner": True}),
        (("-L", "a", "web:b"), "copy_to", ("web", "b", "a"), {"follows_link": True}),
    ],
)
def test_one_of_the_two_is_in_a_container(
    line: Any,
    words: tuple[str, ...],
    method: str,
    arguments: tuple[str, ...],
    options: dict[str, bool],
) -> None:
    line.engine.answers[method] = 7
    for command in (("cp",), ("container", "cp")):
        line.engine.calls.clear()
        outcome = line(*command, *words)
        assert (outcome.code, outcome.out, outcome.err) == (0, "", "")
        assert line.asked(method) == (arguments, OPTIONS | options)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("a", "b"), "neither of the two is in a container"),
        (("web:a", "db:b"), "files cannot be copied from container to container"),
        (("web:", "b"), "`web:` names no file"),
        ((":a", "b"), "`:a` names no container"),
        (("", "web:b"), "`` names no file"),
        (("./a:b", "/c:d"), "neither of the two is in a container"),
    ],
)
def test_words_that_make_no_copy(line: Any, words: tuple[str, ...], message: str) -> None:
    outcome = line("cp", *words)
    assert (outcome.code, line.engine.names) == (2, [])
    assert outcome.err.startswith(f"error: {message}\nhint: one of the two reads ")


def test_a_dash_is_a_tar_on_the_standard_streams(
    line: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with (tmp_path / "file").open() as reading, (tmp_path / "out").open("w") as writing:
        monkeypatch.setattr(sys, "stdin", reading)
        assert line("cp", "-", "web:/b").code == 0
        assert line.asked("copy_to")[0] == ("web", "/b", reading.fileno())
        monkeypatch.setattr(sys, "stdout", writing)
        assert line("cp", "web:/b", "-").code == 0
        assert line.asked("copy_from")[0] == ("web", "/b", writing.fileno())


@pytest.mark.parametrize(
    ("words", "stream", "message"),
    [
        (("web:/b", "-"), "stdout", "a tar does not belong on a terminal"),
        (("-", "web:/b"), "stdin", "standard input is a terminal, not a tar"),
    ],
)
def test_no_tar_comes_from_or_goes_to_a_terminal(
    line: Any,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    stream: str,
    message: str,
) -> None:
    monkeypatch.setattr(sys, stream, Terminal(getattr(sys, stream)))
    outcome = line("cp", *words)
    assert (outcome.code, line.engine.names) == (2, [])
    assert outcome.err.startswith(f"error: {message}\n")


def test_a_terminal_is_told_how_much_was_copied(line: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal(sys.stderr))
    monkeypatch.setenv("NO_COLOR", "1")
    line.engine.answers["copy_to"] = 2048
    assert line("cp", "a", "web:/b").err == "Successfully copied 2.05kB to web:/b\n"
    assert line("cp", "-q", "a", "web:/b").err == ""


def test_failures_are_told(line: Any) -> None:
    line.engine.answers["copy_to"] = CopyFailed("`a` does not exist")
    outcome = line("cp", "a", "web:/b")
    assert (outcome.code, outcome.err) == (1, "error: `a` does not exist\n")


def test_changes_are_listed_with_their_letters(line: Any) -> None:
    line.engine.answers["diff"] = [
        Change("changed", "/etc"),
        Change("added", "/etc/new"),
        Change("deleted", "/home"),
        Change("added", "/grüße\udcff"),
    ]
    for words in (("diff",), ("container", "diff")):
        outcome = line(*words, "web")
        assert outcome.out == "C /etc\nA /etc/new\nD /home\nA /grüße\\xff\n"
