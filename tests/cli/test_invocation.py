"""An ordinary user's command enters a user namespace, after asking who asked."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

import dissolver.engine
from dissolver.cli import app
from dissolver.cli.invocation import Invocation, open_engine
from dissolver.config import Settings
from dissolver.sandbox import rootless
from dissolver.sandbox.rootless import Entered


class Recorded:
    """What happened, in order."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.notice: str | None = None
        self.uid = 1234


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Recorded:
    told = Recorded()

    def enter() -> Entered:
        told.steps.append(f"enter with {threading.active_count()} thread")
        told.uid = 0
        return Entered(is_new=True, notice=told.notice)

    class Engine:
        def __init__(self, *, settings: Settings) -> None:
            told.steps.append(f"open {settings.root}")

        def images(self) -> list[Any]:
            return []

        def import_image(self, *_: object, **__: object) -> Any:
            raise KeyboardInterrupt

        def close(self) -> None:
            told.steps.append("close")

    monkeypatch.setattr(os, "geteuid", lambda: told.uid)
    monkeypatch.setattr(rootless, "enter", enter)
    monkeypatch.setattr(dissolver.engine, "Engine", Engine)
    monkeypatch.setenv("HOME", "/home/me")
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "DISSOLVER_ROOT"):
        monkeypatch.delenv(name, raising=False)
    return told


def test_settings_are_those_of_the_user_who_asks(recorded: Recorded) -> None:
    assert app.main(["images"]) == 0
    assert recorded.steps == [
        "enter with 1 thread",
        "open /home/me/.local/share/dissolver",
        "close",
    ]


def test_root_enters_nothing(recorded: Recorded) -> None:
    recorded.uid = 0
    assert app.main(["images"]) == 0
    assert recorded.steps == ["open /var/lib/dissolver", "close"]


@pytest.mark.parametrize("words", [["--help"], ["version"], ["build", "--help"], ["bild"]])
def test_what_needs_no_engine_enters_nothing(recorded: Recorded, words: list[str]) -> None:
    app.main(words)
    assert recorded.steps == []


def test_missing_subordinate_ids_are_told_where_they_matter(
    recorded: Recorded, capsys: pytest.CaptureFixture[str]
) -> None:
    recorded.notice = "there is a single user"
    app.main(["images"])
    assert capsys.readouterr().err == ""
    recorded.uid = 1234
    assert app.main(["import", "x.tar"]) == 130
    assert capsys.readouterr().err == "warning: there is a single user\n"


def test_missing_subordinate_ids_are_told_once(
    recorded: Recorded, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    news = [False, True]
    monkeypatch.setattr(rootless, "is_news", news.pop)
    recorded.notice = "there is a single user"
    told = []
    for _ in range(2):
        recorded.uid = 1234
        app.main(["import", "x.tar"])
        told.append(capsys.readouterr().err)
    assert told == ["warning: there is a single user\n", ""]


def test_nothing_is_read_or_opened_before_it_is_asked_for(tmp_path: Path) -> None:
    def fail(_: Settings) -> Any:
        raise AssertionError

    invocation = Invocation(fail)
    invocation.close()
    assert invocation.is_rootless is (os.geteuid() != 0)
    invocation.root = str(tmp_path)
    assert invocation.settings.root == tmp_path
    assert invocation.settings is invocation.settings


def test_the_engine_is_opened_once(recorded: Recorded) -> None:
    recorded.uid = 0
    invocation = Invocation(open_engine)
    assert invocation.engine is invocation.engine
    invocation.close()
    invocation.close()
    assert recorded.steps == ["open /var/lib/dissolver", "close"]
