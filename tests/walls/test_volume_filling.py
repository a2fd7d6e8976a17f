"""Volumes that are filled while somebody who has them already puts links there."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from scene import Cli

ROUNDS = 12


@pytest.fixture
def outside(box: Cli) -> Iterator[Path]:
    """A directory of the host that everybody may write to."""
    path = Path(f"/var/tmp/dissolver-outside-{uuid.uuid4().hex}")
    path.mkdir()
    path.chmod(0o777)
    yield path
    subprocess.run(["rm", "-rf", path], check=True)


def test_no_file_of_an_image_lands_behind_a_neighbours_link(box: Cli, outside: Path) -> None:
    text = (
        "FROM box\nRUN mkdir -p /srv/d && cd /srv/d && "
        "for n in a b c d; do mkdir -p $n/$n; echo x > $n/$n/evil; chmod 4755 $n/$n/evil; done\n"
    )
    box("build", "-q", "-t", "filled", box.directory("image", {"Dockerfile": text}))
    swap = (
        f"cd /v; while :; do for n in a b c d; do ln -s {outside} $n; rm -rf /v/$n/$n; "
        f"ln -s {outside} $n/$n; rm -rf /v/*; done; done 2>/dev/null"
    )
    box("run", "-d", "--name", "neighbour", "-v", "shared:/v", "box", "sh", "-c", swap)
    for _ in range(ROUNDS):
        box("run", "--rm", "-v", "shared:/srv/d", "filled", "true", check=False)
        assert list(outside.iterdir()) == []
    box("rm", "-f", "neighbour")
