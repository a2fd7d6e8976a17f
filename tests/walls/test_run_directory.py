"""Somebody else who takes a user's name in /tmp first locks nobody out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from basis import needs_root
from scene import Cli


@pytest.fixture
def taken(box: Cli) -> Iterator[Path]:
    """The name in /tmp, taken by somebody else; what was there comes back."""
    account = box.account
    if account.is_root:
        pytest.skip("root has a place of its own")
    if Path(f"/run/user/{account.uid}").exists():
        pytest.skip("the user has a session")
    place, aside = (Path(f"/tmp/dissolver-run-{account.uid}{end}") for end in ("", "-aside"))
    if place.exists():
        place.rename(aside)
    place.mkdir(mode=0o777)
    os.chown(place, 65534, 65534)
    yield place
    if place.exists():
        place.rmdir()
    for made in (account.home / ".local/state/dissolver").glob("run-*"):
        box.account.own(made)
        for file in (*made.glob("*/*"), *made.glob("*"), made):
            file.rmdir() if file.is_dir() else file.unlink()
    if aside.exists():
        aside.rename(place)


@needs_root
def test_a_stranger_in_tmp_locks_nobody_out(box: Cli, taken: Path) -> None:
    name = box.out("run", "-d", "box", "sleep", "100")
    assert box.out("exec", name, "echo", "hello") == "hello"
    taken.rmdir()
    # The place is free again; the container is still found.
    assert box.out("exec", name, "echo", "hello") == "hello"
    box("rm", "-f", name)
    assert list(taken.parent.glob(f"{taken.name}/*")) == []
