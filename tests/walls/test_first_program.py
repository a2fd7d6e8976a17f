"""What is executed first in a new root: never a file of the host, however an image asks for it."""

from __future__ import annotations

import io
import platform
import tarfile
from pathlib import Path

import pytest

from forms import in_both_forms
from walls.attack import Arena, Way, add, link

LOADERS = {
    "x86_64": "lib64/ld-linux-x86-64.so.2",
    "aarch64": "lib/ld-linux-aarch64.so.1",
}
ROUNDS = 25
SCRIPTS = {
    "magic": b"#!/proc/self/exe\n",
    "unended": b"#!/proc/self/exe",
    "blank": b"#! \t/proc/self/exe -c x\n",
    "thread": b"#!/proc/thread-self/exe\n",
    "first": b"#!/proc/1/exe\n",
    "chain": b"#!/bin/magic\n",
}


@pytest.fixture
def hostile(arena: Arena, attacks_tar: Path, attack_programs: Path) -> str:
    """An image with a loader of its own, and scripts that name the running program."""
    if platform.machine() not in LOADERS:
        pytest.skip(f"the loader of {platform.machine()} is not known here")
    data = io.BytesIO(attacks_tar.read_bytes())
    with tarfile.open(fileobj=data, mode="a") as tar:
        loader = (attack_programs / "loader").read_bytes()
        add(tar, LOADERS[platform.machine()], loader, mode=0o755)
        for name, text in SCRIPTS.items():
            add(tar, f"bin/{name}", text, mode=0o755)
        link(tar, "bin/link", "/proc/self/exe")
        link(tar, "bin/far", "../../../../proc/self/exe")
    path = arena.account.home / "hostile.tar"
    path.write_bytes(data.getvalue())
    path.chmod(0o644)
    arena.cli("import", "-c", 'CMD ["/bin/magic"]', path, "hostile")
    path.unlink()
    return "hostile"


NAMES = [*(f"/bin/{name}" for name in SCRIPTS), "/bin/link", "/bin/far", "/proc/self/exe"]


@in_both_forms
@pytest.mark.parametrize("program", NAMES)
def test_the_running_program_is_nothing_that_an_image_could_use(
    arena: Arena, hostile: str, way: Way, program: str
) -> None:
    if way == "exec":
        sleeper = arena.cli.out("run", "-d", hostile, "sleep", "1000")
        done = arena.cli("exec", sleeper, program, check=False)
        said = done.stdout + done.stderr
        arena.cli("rm", "-f", sleeper)
    else:
        said = arena.attack(way, [program], image=hostile)
    assert "OWNED" not in said, said


def test_a_program_that_changes_while_it_is_started_is_none_of_the_hosts(
    arena: Arena, hostile: str
) -> None:
    swap = (
        "while :; do ln -sf /proc/self/exe /tmp/n; mv -T /tmp/n /tmp/p; ln -sf /bin/true /tmp/n; "
    )
    swap += "mv -T /tmp/n /tmp/p; done"
    sleeper = arena.cli.out("run", "-d", hostile, "sh", "-c", swap)
    try:
        for _ in range(ROUNDS):
            done = arena.cli("exec", sleeper, "/tmp/p", check=False)
            assert "OWNED" not in done.stdout + done.stderr
    finally:
        arena.cli("rm", "-f", sleeper)


@in_both_forms
def test_the_shell_of_an_image_is_executed_as_ever(arena: Arena, hostile: str, way: Way) -> None:
    # What the attacks would have met, were they to succeed: the loader does what it does.
    assert arena.attack(way, ["sh", "-c", "echo $0 started"], image=hostile) == "sh started\n"
