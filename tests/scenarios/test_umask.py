"""Nothing that the caller's umask says gets into an image or a container."""

from __future__ import annotations

import os

import pytest

from forms import in_both_forms
from scene import Cli

pytestmark = in_both_forms


@pytest.fixture
def strict_umask() -> object:
    before = os.umask(0o077)
    yield
    os.umask(before)


def test_a_strict_umask_changes_neither_layers_nor_containers(
    box: Cli, strict_umask: object
) -> None:
    context = box.directory(
        "umask", {"Dockerfile": "FROM box\nWORKDIR /app\nCOPY x /app/\nRUN touch /made\n", "x": "x"}
    )
    (context / "x").chmod(0o644)
    box("build", "-t", "umask", context)
    look = ["stat", "-c", "%a %u", "/", "/app", "/app/x", "/made", "/etc/hosts", "/dev"]
    seen = box.out("run", "--rm", "-u", "node", "umask", *look).splitlines()
    assert seen == ["755 0", "755 0", "644 0", "644 0", "644 0", "755 0"]
