"""One run of the command: its settings, its engine, and where its text goes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dissolver.cli.catalog import Entry
    from dissolver.config import Settings
    from dissolver.engine import Engine

OpenEngine = Callable[["Settings"], "Engine"]


def open_engine(settings: Settings) -> Engine:
    """Open the engine; an ordinary user's process first enters a user namespace.

    That has to happen while this process has a single thread, and after the
    settings were read: afterwards it counts as root.
    """
    if os.geteuid() != 0:
        _enter_user_namespace()
    from dissolver.engine import Engine

    return Engine(settings=settings)


def _enter_user_namespace() -> None:
    from dissolver.sandbox import rootless

    entered = rootless.enter()
    entry = current().entry
    is_due = entered.notice is not None and entry is not None and entry.needs_users
    if entered.notice is not None and is_due and rootless.is_news():
        from dissolver.cli.render.failures import warning

        sys.stderr.write(warning(entered.notice, colored=current().colors_errors))


class Invocation:
    """What the commands share: nothing is read or opened before it is asked for."""

    def __init__(self, open_engine: OpenEngine = open_engine) -> None:
        self.debug = False
        self.root: str | None = None
        self._open_engine = open_engine
        self._settings: Settings | None = None
        self._engine: Engine | None = None
        self.entry: Entry | None = None
        self.command_path = "dissolver"
        # Whether the display of a build has shown what the failed step wrote.
        self.has_shown_output = False
        self.is_rootless = os.geteuid() != 0

    @property
    def settings(self) -> Settings:
        """The settings in effect."""
        if self._settings is None:
            from dissolver.config import load_settings

            self._settings = load_settings(root=self.root)
        return self._settings

    @property
    def engine(self) -> Engine:
        """The engine on the store that the settings name."""
        if self._engine is None:
            self._engine = self._open_engine(self.settings)
        return self._engine

    def close(self) -> None:
        """Let go of the engine, if there is one."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    @property
    def colors_errors(self) -> bool:
        """Whether text for standard error may have colours."""
        from dissolver.config import wants_color

        return sys.stderr.isatty() and wants_color()


_current: list[Invocation] = []


def current() -> Invocation:
    """The invocation that is going on."""
    return _current[-1]


def begin(invocation: Invocation) -> None:
    """Make ``invocation`` the one that commands work on."""
    _current.append(invocation)


def end() -> None:
    """Take back the last ``begin``."""
    _current.pop().close()
