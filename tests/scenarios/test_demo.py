"""The demo that newcomers run first: again and again, and on machines where much else is going on.

Node and npm are stand-ins made of shell scripts here, so that nothing is fetched.
"""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from scene import Cli

EXAMPLES = Path(__file__).parents[2] / "examples"
PORT = 3000

# Installing gives other files each time, as no clock and no registry stands still.
STAND_INS = {
    "npm": "#!/bin/sh\nmkdir node_modules\ncat /proc/sys/kernel/random/uuid > node_modules/made\n",
    "node": "#!/bin/sh\ntrap 'exit 0' TERM\nmkdir /www\n"
    'sed -n "s/^const greeting = \'\\(.*\\)\';/\\1/p" "$1" > /www/index.html\n'
    "httpd -p 80 -h /www\nwhile :; do sleep 0.1; done\n",
    "Dockerfile": "FROM box\nCOPY --chmod=755 npm node /bin/\nLABEL made.by=test\n",
}


@pytest.fixture
def machine(box: Cli) -> Cli:
    """A store with a stand-in of the demo's `node`, in which the other names are somebody's."""
    box("build", "-q", "-t", "dissolver-demo/node", box.directory("node", STAND_INS))
    for name in ("node", "node-app", "debian:bookworm-slim"):
        box("tag", "box", name)
    box("run", "-d", "--name", "dissolver-demo", "--network", "none", "box", "sleep", "900")
    return box


@pytest.fixture
def listener() -> Iterator[None]:
    """Something that listens on the port that the demo likes best, and never answers."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", PORT))
        except OSError:
            pass  # It is taken already, which is as good.
        else:
            taken.listen()
        yield


def start_demo(cli: Cli) -> subprocess.Popen[str]:
    # A copy, because a user may not be able to read where the tests are.
    examples = cli.directory("examples", {})
    shutil.copytree(EXAMPLES, examples, dirs_exist_ok=True)
    cli.account.own(examples)
    account = cli.account
    return subprocess.Popen(
        [*account.become, account.python, str(examples / "demo.py")],
        cwd=account.home,
        env={**cli.environment, "http_proxy": "http://127.0.0.1:9", "TMPDIR": str(account.home)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def demo(cli: Cli) -> str:
    """Run the demo to its end and return all that it said."""
    (said,) = finish(start_demo(cli))
    return said


def finish(*demos: subprocess.Popen[str]) -> list[str]:
    """Wait for the end of demos, all of them, and return what each said."""
    said = [process.communicate(timeout=300)[0] for process in demos]
    for process, text in zip(demos, said, strict=True):
        assert process.returncode == 0, text
        assert "CACHED after the change" in text
    return said


def ids(cli: Cli, *names: str) -> list[str]:
    return [cli.out("image", "inspect", "-f", "{{.Id}}", name) for name in names]


def test_the_demo_works_any_number_of_times_and_leaves_everything_else_alone(
    machine: Cli,
) -> None:
    names = ("node", "node-app", "debian:bookworm-slim", "box")
    before = ids(machine, *names)
    for _ in range(3):
        said = demo(machine)
        assert re.search(r"^COPY \. /app before .* s   WORKDIR /app$", said, re.MULTILINE)
        assert re.search(r"^COPY package.json .* RUN npm install$", said, re.MULTILINE)
    assert ids(machine, *names) == before
    assert machine.out("ps", "-a", "--format", "{{.Names}}") == "dissolver-demo"
    assert machine.out("images", "-q", "dissolver-demo/node-app")


def test_a_taken_port_is_said_and_another_one_serves(machine: Cli, listener: None) -> None:
    said = demo(machine)
    assert "Port 3000 of this machine is taken, so the container gets another one." in said
    (port,) = re.findall(r"curl http://127\.0\.0\.1:(\d+)/", said)
    assert port != str(PORT)


def test_two_demos_at_once_do_not_disturb_each_other(machine: Cli) -> None:
    demo(machine)  # So that the step which both have in common is in the cache.
    finish(*[start_demo(machine) for _ in range(2)])


def test_a_long_list_of_images_does_not_stop_the_demo(machine: Cli) -> None:
    # More than a pipe holds (64 KiB on Linux, pipe(7)).
    tags = [f"dissolver-demo/{'x' * 100}:{number}" for number in range(500)]
    for start in range(0, len(tags), 100):
        words = [word for tag in tags[start : start + 100] for word in ("-t", tag)]
        machine("build", "-q", *words, machine.directory("one", {"Dockerfile": "FROM box\n"}))
    assert "dissolver-demo/xxx" in demo(machine)
