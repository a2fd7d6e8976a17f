"""What listens on this machine's loopback interface is not for containers."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dissolver.network.bridge import BRIDGE
from scene import Account, Cli, free_port, page, wait_until

SOURCE = Path(__file__).parent / "loopback.c"
SERVER = "mkdir /www; echo page > /www/index.html; exec httpd -f -p 80 -h /www"


@pytest.fixture(scope="module")
def attacker(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A program that sends what no honest one would."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("cc is not installed")
    program = tmp_path_factory.mktemp("attacker") / "attacker"
    words = [compiler, "-static", "-O1", "-Wall", "-Werror", "-o", program, SOURCE]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"cc makes no static programs here: {done.stderr}")
    return program.read_bytes()


@pytest.fixture
def armed(box: Cli, attacker: bytes) -> Cli:
    """The command with an image `armed`, which has the program."""
    recipe = "FROM box\nCOPY --chmod=755 attacker /\n"
    box(
        "build", "-t", "armed", box.directory("armed", {"Dockerfile": recipe, "attacker": attacker})
    )
    return box


class Listener:
    """A service on one address of this machine, which notes whether anything reached it."""

    def __init__(self, address: str) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.bind((address, 0))
        self.socket.setblocking(False)
        self.port = self.socket.getsockname()[1]

    def heard(self) -> bool:
        """Tell whether something came; it is fetched away."""
        try:
            self.socket.recv(100)
        except BlockingIOError:
            return False
        return True


@pytest.fixture
def listeners() -> Iterator[list[Listener]]:
    made: list[Listener] = []
    yield made
    for one in made:
        one.socket.close()


def machine_address() -> str:
    """The address by which this machine reaches others."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("198.51.100.1", 9))
        return str(probe.getsockname()[0])


def bridge_address() -> str:
    words = ["ip", "-o", "-4", "addr", "show", "dev", BRIDGE]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return done.stdout.split()[3].partition("/")[0]


def reachable(who: Account) -> str:
    """An address of this machine that containers may send to."""
    return bridge_address() if who.is_root else machine_address()


ATTACKS = [
    ("frame", "own", "127.0.0.1", "127.0.0.1"),
    ("frame", "own", "127.9.9.9", "127.9.9.9"),
    ("frame", "127.0.0.1", "127.0.0.1", "127.0.0.1"),
    ("frame", "own", "0.0.0.0", "127.0.0.1"),
    ("bound", "own", "127.0.0.1", "127.0.0.1"),
    ("frame", "fe80::9", "::1", "::1"),
    ("frame", "fe80::9", "::", "::1"),
    ("frame", "fe80::9", "::ffff:127.0.0.1", "127.0.0.1"),
]
"""How it is sent, from where, to where, and who would hear it."""


@pytest.mark.parametrize("way", ["run", "published", "build", "insecure"])
def test_no_packet_gets_to_the_loopback_interface(
    armed: Cli, listeners: list[Listener], way: str
) -> None:
    armed("run", "--rm", "box", "true")  # Root has a bridge from now on.
    commands = []

    def sent(kind: str, source: str, target: str, place: str) -> Listener:
        listeners.append(Listener(place))
        commands.append(f"/attacker {kind} {source} {target} {listeners[-1].port}")
        return listeners[-1]

    attacks = [*ATTACKS]
    place = reachable(armed.account)
    if armed.account.is_root:
        # To whom it is allowed to send, but in the name of a program of this machine.
        attacks.append(("frame", "127.0.0.1", place, place))
    reached = [(one, sent(*one)) for one in attacks]
    # Behind the others, to show that the program can do it.
    honest = sent("frame", "own", place, place)
    script = "; ".join(commands)
    if way in ("build", "insecure"):
        flag, words = "", ["build"]
        if way == "insecure":
            flag, words = "--security=insecure ", ["build", "--allow", "security.insecure"]
        recipe = f"FROM armed\nRUN {flag}{script}\n"
        done = armed(*words, armed.directory("attack", {"Dockerfile": recipe}))
    else:
        ports = ["-p", f"127.0.0.1:{free_port()}:80"] if way == "published" else []
        done = armed("run", "--rm", *ports, "armed", "sh", "-c", script)
    wait_until(honest.heard, seconds=5, what=f"the honest datagram ({done.stdout}{done.stderr})")
    assert [one for one, listener in reached if listener.heard()] == []


def test_a_port_on_the_loopback_interface_answers_there(box: Cli) -> None:
    port = free_port()
    name = box.out("run", "-d", "-p", f"127.0.0.1:{port}:80", "box", "sh", "-c", SERVER)
    assert page(f"http://127.0.0.1:{port}/") == "page\n"
    box("rm", "-f", name)
