"""Fixtures of the runtime's tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from basis import Base, Box
from dissolver.containers import life as containers
from dissolver.network import programs
from dissolver.store import Store
from forms import FORM


@pytest.fixture
def base(tmp_path: Path, busybox_tar: Path) -> Iterator[Base]:
    """A store of this test alone; its containers are gone afterwards."""
    with Store(tmp_path / "store", tmp_path / "run", layers=FORM) as store:
        layer = store.layers.ingest(os.fspath(busybox_tar)).diff_id
        yield Base(store, layer)
        for record in store.containers.list():
            containers.remove(store, record.id, force=True, removes_volumes=True)


@pytest.fixture
def box(base: Base) -> Box:
    """Containers of one small image."""
    return Box(base)


@pytest.fixture
def bridge() -> None:
    """Skip where the bridge's programs are missing."""
    if os.geteuid() != 0:
        pytest.skip("only root has a bridge")
    directories = ("/usr/lib/podman", "/usr/libexec/podman", *programs.DIRECTORIES)
    if programs.find_program("netavark", directories) is None:
        pytest.skip("netavark is not installed")
