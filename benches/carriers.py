"""The engines that carry images to and from a registry: dissolver, Docker and podman.

Each is offered the same calls, and each of them is one command of its own that runs to its
end. Docker's daemon is started for the run. What is measured is how long the command takes,
and how much memory it needs: for Docker, that of its daemon.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Protocol

from benches.builders import Docker, Missing, run


class Carrier(Protocol):
    """What a benchmark asks of each engine."""

    name: str
    peak: int
    """Bytes of memory that the last command needed."""

    def forget(self) -> None:
        """Drop all images and all that is remembered of them."""

    def pull(self, name: str) -> None:
        """Fetch an image."""

    def run(self, name: str) -> None:
        """Run the program of an image to its end."""

    def push(self, name: str) -> None:
        """Send an image."""

    def load(self, archive: Path, name: str) -> None:
        """Take in an archive with one image, which is called ``name``."""

    def tag(self, image: str, name: str) -> None:
        """Give an image one more name."""

    def version(self) -> str:
        """Tell the version, for the report."""


def measured(words: list[str]) -> int:
    """Run a command to its end, and answer the most memory that it had, in bytes."""
    with Path(os.devnull).open("wb") as nowhere:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=nowhere, stderr=subprocess.PIPE
        )
        assert process.stderr is not None
        said = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        process.stderr.close()
    if process.returncode != 0:
        raise RuntimeError(f"{words}: exit {process.returncode}\n{said.decode()[-2000:]}")
    return usage.ru_maxrss * 1024


class Commands(ABC):
    """The commands that all of them spell alike."""

    peak = 0

    @abstractmethod
    def do(self, *words: str | Path) -> None:
        """Run a command, and keep how much memory it needed."""

    def pull(self, name: str) -> None:
        self.do("pull", "-q", name)

    def push(self, name: str) -> None:
        self.do("push", "-q", name)

    def load(self, archive: Path, name: str) -> None:
        self.do("load", "-q", "-i", archive)

    def tag(self, image: str, name: str) -> None:
        self.do("tag", image, name)


class DissolverCarrier(Commands):
    """This project, as the command that users type."""

    name = "dissolver"

    def __init__(self, place: Path) -> None:
        self.root = place / "dissolver-carrier"

    def words(self, *words: str | Path) -> list[str]:
        """Give the whole command."""
        return [sys.executable, "-m", "dissolver", "--root", str(self.root), *map(str, words)]

    def do(self, *words: str | Path) -> None:
        """Run a command, and keep how much memory it needed."""
        self.peak = measured(self.words(*words))

    def forget(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)

    def run(self, name: str) -> None:
        self.do("run", "--rm", "--network", "none", name)

    def version(self) -> str:
        done = subprocess.run(self.words("--version"), capture_output=True, text=True, check=True)
        return done.stdout.strip()


class DockerCarrier(Commands):
    """Docker, with a daemon of its own."""

    name = "docker"

    def __init__(self, place: Path) -> None:
        self.builder = Docker(place / "docker-carrier")

    def do(self, *words: str | Path) -> None:
        """Run a command, and keep how much memory its daemon needed meanwhile."""
        proc = Path(f"/proc/{self.builder.daemon.pid}")
        (proc / "clear_refs").write_text("5")
        run(*self.builder.words(*words))
        for line in (proc / "status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                self.peak = int(line.split()[1]) * 1024

    def forget(self) -> None:
        self.builder.forget()

    def run(self, name: str) -> None:
        self.do("run", "--rm", "--network", "host", name)

    def version(self) -> str:
        return self.builder.version()

    def stop(self) -> None:
        """End the daemon, and drop its data."""
        self.builder.stop()


class PodmanCarrier(Commands):
    """podman, which needs no daemon."""

    name = "podman"

    def __init__(self, place: Path) -> None:
        if shutil.which("podman") is None:
            raise Missing("podman is not installed (Debian: podman)")
        self.place = place / "podman-carrier"
        # It takes no longer path than of 50 characters.
        self.state = tempfile.mkdtemp(prefix="podman-", dir="/tmp")

    def do(self, *words: str | Path) -> None:
        """Run a command, and keep how much memory it needed."""
        self.peak = measured(
            [
                *("podman", "--root", str(self.place / "root"), "--runroot"),
                *(self.state, "--storage-driver", "overlay"),
                *("--cgroup-manager", "cgroupfs", *map(str, words)),
            ]
        )

    def forget(self) -> None:
        self.do("rmi", "--all", "--force")

    def pull(self, name: str) -> None:
        self.do("pull", "-q", "--tls-verify=false", name)

    def run(self, name: str) -> None:
        # Its own limits are above what may be set without full privilege.
        limits = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")
        self.do("run", "--rm", "--network", "none", *limits, name)

    def push(self, name: str) -> None:
        self.do("push", "-q", "--tls-verify=false", name)

    def version(self) -> str:
        words = ["podman", "--version"]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()

    def stop(self) -> None:
        """Drop its data."""
        self.forget()
        drop = ["rm", "-rf", "--one-file-system", str(self.place), self.state]
        subprocess.run(drop, check=False)


CARRIERS = {"dissolver": DissolverCarrier, "docker": DockerCarrier, "podman": PodmanCarrier}
