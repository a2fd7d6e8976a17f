"""Fixtures of the attacks: the programs, an image that has them, and one arena for each account."""

from __future__ import annotations

import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scene import Account, Cli
from walls.attack import SOURCES, WAYS, Arena, Way, compiled, write_image

OpenArena = Callable[[Account], Arena]


@pytest.fixture(scope="session")
def attack_programs() -> Iterator[Path]:
    """A directory with every program of ``tests/walls/attacks``, compiled without libraries."""
    with tempfile.TemporaryDirectory(prefix="dissolver-attacks-", dir="/var/tmp") as made:
        directory = Path(made)
        directory.chmod(0o755)
        for source in SOURCES:
            problem = compiled(source, directory)
            if problem:
                pytest.skip(f"no static C programs can be compiled here: {problem}")
        yield directory


@pytest.fixture(scope="session")
def attacks_tar(attack_programs: Path, busybox_tar: Path) -> Iterator[Path]:
    """The tar of the base system with the programs in /attacks."""
    with tempfile.TemporaryDirectory(prefix="dissolver-attacks-", dir="/var/tmp") as made:
        Path(made).chmod(0o755)
        path = Path(made) / "attacks.tar"
        write_image(path, busybox_tar, attack_programs)
        path.chmod(0o644)
        yield path


@pytest.fixture(scope="module")
def open_arena(attacks_tar: Path) -> Iterator[OpenArena]:
    """Make the arena of an account when it is first asked for; it lasts for the tests of a file.

    Not longer: the accounts, which are made later than this, have to outlive it.
    """
    made: dict[tuple[str, str], Arena] = {}

    def open_one(account: Account) -> Arena:
        key = (account.name, account.form)
        if key not in made:
            cli = Cli(account, account.home / f"arena-{uuid.uuid4().hex[:8]}")
            cli("import", "-c", 'CMD ["sh"]', attacks_tar, "attacks")
            made[key] = Arena(cli)
        return made[key]

    yield open_one
    for arena in made.values():
        for name in arena.cli("ps", "-a", "-q", check=False).stdout.split():
            arena.cli("rm", "-f", name, check=False)
        for path in (arena.cli.root, arena.cli.run_directory):
            subprocess.run(["rm", "-rf", "--one-file-system", path], check=False)


@pytest.fixture
def arena(who: Account, open_arena: OpenArena) -> Arena:
    """The arena of whoever runs the test."""
    return open_arena(who)


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Way:
    """Come into the container in each of the three ways."""
    given: Way = request.param
    return given
