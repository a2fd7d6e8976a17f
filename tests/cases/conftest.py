"""Accounts with a store each, servers, and a key, for all cases together."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cases.builders import Dissolver
from cases.yard import Servers, servers

if not os.environ.get("DISSOLVER_TEST_BUILDKIT"):
    collect_ignore = ["test_same_as_buildkit.py"]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with servers(tmp_path_factory.mktemp("served")) as made:
        yield made


@pytest.fixture(scope="session")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A private key for agents to sign with."""
    if shutil.which("ssh-keygen") is None:
        pytest.skip("openssh-client is not installed")
    path = tmp_path_factory.mktemp("keys") / "key"
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "cases", "-f", path]
    subprocess.run(words, check=True)
    return path


@pytest.fixture(scope="module", params=["root", "user"])
def dissolver(
    request: pytest.FixtureRequest, busybox_tar: Path, served: Servers, key: Path
) -> Iterator[Dissolver]:
    """Dissolver as root, and as an ordinary user, on a store with the base images."""
    account = request.getfixturevalue(f"{request.param}_account")
    made = Dissolver(account, busybox_tar, served, key)
    yield made
    made.close()
