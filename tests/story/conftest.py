"""The store of the story: a real Debian, a real Node.js, made once for each account."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from scene import Account, Cli

EXAMPLES = Path(__file__).parents[2] / "examples"


def _with_node(account: Account) -> Iterator[Cli]:
    cli = Cli(account, account.home / "node-store")
    cli("image", "bootstrap", "bookworm", "-t", "debian:bookworm-slim", timeout=600)
    recipe = (EXAMPLES / "node" / "Dockerfile").read_text(encoding="utf-8")
    context = cli.directory("node", {"Dockerfile": recipe})
    cli("build", "-t", "node:latest", context, timeout=600)
    yield cli
    for container in cli("ps", "-aq", check=False).stdout.split():
        cli("rm", "-f", container, check=False)


@pytest.fixture(scope="session")
def root_node(root_account: Account) -> Iterator[Cli]:
    yield from _with_node(root_account)


@pytest.fixture(scope="session")
def user_node(user_account: Account) -> Iterator[Cli]:
    yield from _with_node(user_account)


@pytest.fixture(params=["root", "user"])
def node(request: pytest.FixtureRequest) -> Cli:
    """The command on a store that has `node`, as root and as an ordinary user."""
    cli: Cli = request.getfixturevalue(f"{request.param}_node")
    return cli
