"""A place to run sandboxes, as root and as an ordinary user."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import boxes
from boxes import Box, Outcome
from scene import Account


class Place:
    """Runs programs in sandboxes: here as root, in a user namespace as anyone else."""

    def __init__(self, account: Account, directory: Path) -> None:
        self.account = account
        self._directory = directory
        self.layout: dict[str, Any] = {}

    @property
    def is_root(self) -> bool:
        return self.account.is_root

    def __call__(self, *argv: str, **changes: Any) -> Outcome:
        """Run one program on a fresh root file system, and wait for its end."""
        return self._all([list(argv)], changes, enters=False)[0]

    def each(self, argvs: list[list[str]], **changes: Any) -> list[Outcome]:
        """Run several programs, each in a sandbox of its own, on the same file system."""
        return self._all(argvs, changes, enters=False)

    def entered(self, *argvs: list[str], **changes: Any) -> list[Outcome]:
        """Run programs in one sandbox that is running."""
        return self._all(list(argvs), changes, enters=True)

    def _all(self, argvs: list[list[str]], changes: Any, *, enters: bool) -> list[Outcome]:
        directory = self._directory / uuid.uuid4().hex[:8]
        if not self.is_root:
            request = {
                "directory": str(directory),
                "layout": self.layout,
                "argvs": argvs,
                "changes": changes,
                "enters": enters,
            }
            return boxes.ask(self.account, request)
        box = Box(directory)
        box.lay_out(self.layout)
        if enters:
            return boxes.enter_all(box, argvs, changes)
        return [boxes.run(box, argv, changes) for argv in argvs]


def _needs_busybox() -> None:
    if not Path(boxes.BUSYBOX).exists():
        pytest.skip("busybox-static is not installed (`make setup` installs it)")


@pytest.fixture
def place(who: Account) -> Iterator[Place]:
    """Sandboxes of root, and of an ordinary user."""
    _needs_busybox()
    directory = Path(tempfile.mkdtemp(prefix="sandbox-", dir=who.home))
    who.own(directory)
    yield Place(who, directory)
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def root_box(tmp_path: Path) -> Box:
    """A root file system for sandboxes that this process starts as root."""
    _needs_busybox()
    if os.geteuid() != 0:
        pytest.skip("the tests do not run as root")
    return Box(tmp_path / "box")
