"""Other engines, a registry between them, and a store: all as root, all of the test's own."""

from __future__ import annotations

import os
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from peers.engines import PEERS, Peer
from registry.conftest import repository, server
from scene import Account, Cli

__all__ = ["repository", "server"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get("DISSOLVER_TEST_PEERS"):
        return
    for item in items:
        if item.get_closest_marker("peers"):
            item.add_marker(pytest.mark.skip(reason="`make peers` runs other engines"))


@pytest.fixture(scope="session", params=sorted(PEERS))
def peer(request: pytest.FixtureRequest) -> Iterator[Peer]:
    """Another engine, one after the other."""
    if os.geteuid() != 0:
        pytest.skip("other engines need root here")
    with (
        tempfile.TemporaryDirectory(prefix="dissolver-peer-", dir="/var/tmp") as made,
        PEERS[request.param](Path(made) / "place") as running,
    ):
        yield running


@pytest.fixture
def ours(root_account: Account, busybox_tar: Path) -> Iterator[Cli]:
    """The command as root, with an image `box` in its store."""
    made = Cli(root_account, root_account.home / f"store-{uuid.uuid4().hex[:8]}")
    made("import", "-c", 'CMD ["sh"]', busybox_tar, "box")
    yield made
    subprocess.run(["rm", "-rf", "--one-file-system", made.root], check=True)


@pytest.fixture
def other(root_account: Account) -> Iterator[Cli]:
    """The same on another machine: an empty store."""
    made = Cli(root_account, root_account.home / f"store-{uuid.uuid4().hex[:8]}")
    yield made
    subprocess.run(["rm", "-rf", "--one-file-system", made.root], check=True)
