"""Docker and podman, each on a place of its own, as the tests speak to them."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass
class Peer:
    """Another engine: its command, and what it has to be told in this place."""

    name: str
    words: list[str]
    pulling: tuple[str, ...] = ()
    """What a pull or push from a registry without encryption needs."""
    running: tuple[str, ...] = ()
    building: tuple[str, ...] = ()

    def __call__(self, *words: str | Path, stdin: bytes | None = None) -> str:
        """Run one of its commands to its end and answer what it printed."""
        done = subprocess.run(
            [*self.words, *map(str, words)],
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            check=False,
            timeout=300,
            env={**os.environ, "DOCKER_BUILDKIT": "0"},
        )
        assert done.returncode == 0, f"{words}: {done.stderr.decode()}"
        return done.stdout.decode()

    @property
    def version(self) -> int:
        """Tell the first number of its version."""
        return int(self("version", "--format", "{{.Client.Version}}").partition(".")[0])

    def pull(self, name: str) -> None:
        self("pull", *self.pulling, name)

    def push(self, name: str) -> None:
        self("push", *self.pulling, name)

    def run(self, name: str) -> str:
        return self("run", "--rm", *self.running, name)

    def digest(self, name: str) -> str:
        """Tell the digest that it knows an image of a registry by."""
        found = self("inspect", "--type", "image", "-f", "{{index .RepoDigests 0}}", name)
        return found.strip().partition("@")[2]

    def image_id(self, name: str) -> str:
        found = self("inspect", "--type", "image", "-f", "{{.Id}}", name).strip()
        return f"sha256:{found.removeprefix('sha256:')}"


@contextmanager
def podman(place: Path) -> Iterator[Peer]:
    """podman, which needs no daemon."""
    if shutil.which("podman") is None:
        pytest.skip("podman is not installed")
    place.mkdir(parents=True)
    words = ["podman", "--root", str(place / "root"), "--runroot", str(place / "run")]
    words += ["--storage-driver", "overlay", "--cgroup-manager", "cgroupfs"]
    # Its own limits are above what this process may set, where that has no full privilege.
    limits = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")
    running = ("--network", "host", *limits)
    yield Peer("podman", words, ("--tls-verify=false",), running, ("--tls-verify=false", *running))
    subprocess.run([*words, "unmount", "--all", "--force"], check=False, capture_output=True)
    subprocess.run(["rm", "-rf", "--one-file-system", str(place)], check=False)


@contextmanager
def docker(place: Path) -> Iterator[Peer]:
    """Docker with a daemon of its own."""
    if shutil.which("dockerd") is None:
        pytest.skip("Docker's daemon is not installed (Debian: docker.io)")
    place.mkdir(parents=True)
    # A client of another version may want a plugin to build; the daemon's own does not.
    beside = Path("/usr/bin/docker")
    words = [str(beside) if beside.exists() else "docker", "--host", f"unix://{place}/socket"]
    with (place / "log").open("wb") as log:
        daemon = subprocess.Popen(
            [
                *("dockerd", "--bridge=none", "--iptables=false", "--pidfile", place / "pid"),
                *("--data-root", place / "data", "--exec-root", place / "exec"),
                *("--host", f"unix://{place}/socket"),
            ],
            stdout=log,
            stderr=log,
        )
    try:
        end = time.monotonic() + 60
        while subprocess.run([*words, "version"], check=False, capture_output=True).returncode:
            if time.monotonic() > end or daemon.poll() is not None:
                pytest.skip(f"Docker's daemon does not start: {(place / 'log').read_text()[-500:]}")
            time.sleep(0.2)
        network = ("--network", "host")
        yield Peer("docker", words, running=network, building=network)
    finally:
        daemon.terminate()
        daemon.wait(60)
        left = place / "exec/netns/default"
        subprocess.run(["umount", left], check=False, capture_output=True)
        subprocess.run(["rm", "-rf", "--one-file-system", str(place)], check=False)


PEERS = {"podman": podman, "docker": docker}
