"""The command line on an engine that only remembers what it was asked."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from dissolver.cli import app
from dissolver.config import Settings
from dissolver.engine import Engine


class FakeEngine:
    """Remembers every call; answers what a test put into ``answers``, or fails with it."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.answers: dict[str, Any] = {}
        self.settings: Settings | None = None
        self.is_closed = False

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)

        signature = inspect.signature(getattr(Engine, name))

        def call(*arguments: Any, **named: Any) -> Any:
            # What the real engine would not take is a mistake here, too.
            signature.bind(self, *arguments, **named)
            self.calls.append((name, arguments, named))
            answer = self.answers.get(name)
            if callable(answer):
                return answer(*arguments, **named)
            if isinstance(answer, BaseException):
                raise answer
            return answer

        return call

    def close(self) -> None:
        self.is_closed = True

    @property
    def names(self) -> list[str]:
        return [name for name, _, _ in self.calls]


@dataclass
class Outcome:
    """What one command did: exit code and text."""

    code: int
    out: str
    err: str


@dataclass
class Line:
    """A command line to type into, and the engine behind it."""

    capture: pytest.CaptureFixture[str]
    root: Path
    engine: FakeEngine = field(default_factory=FakeEngine)

    def __call__(self, *words: str | Path) -> Outcome:
        def open_engine(settings: Settings) -> Any:
            self.engine.settings = settings
            return self.engine

        code = app.main(["--root", str(self.root), *map(str, words)], open_engine=open_engine)
        out, err = self.capture.readouterr()
        return Outcome(code, out, err)

    def asked(self, name: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Give the arguments of the only call of a method."""
        found = [(arguments, named) for call, arguments, named in self.engine.calls if call == name]
        assert len(found) == 1, self.engine.calls
        return found[0]


@pytest.fixture
def line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Line:
    """Type commands; nothing of the machine's own settings shows through."""
    for name in ("DISSOLVER_PROGRESS", "BUILDKIT_PROGRESS", "NO_COLOR", "DISSOLVER_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "no-config"))
    return Line(capsys, tmp_path / "store")
