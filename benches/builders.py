"""The builders that are compared: dissolver, Docker's BuildKit, buildah, and the floor.

Each offers the same three calls: forget everything (so that the next build is cold),
build a context, and tell its version. Peers that are not installed are skipped with
a reason. Docker's daemon is started for the run when none answers.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Protocol

QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}


class Missing(Exception):
    """A peer that this machine does not have; the message says what is missing."""


class Builder(Protocol):
    """What a benchmark asks of each builder."""

    name: str

    def forget(self) -> None:
        """Drop images, caches and records: the next build is cold."""

    def build(self, context: Path) -> None:
        """Build ``context`` with its Dockerfile, the whole command."""

    def version(self) -> str:
        """Tell the version, for the report."""


def run(*words: str | Path, **environment: str) -> None:
    """Run a command to its end; a failure carries what it said."""
    done = subprocess.run(
        list(map(str, words)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, **environment},
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{words}: exit {done.returncode}\n{done.stderr.decode()[-2000:]}")


class Dissolver:
    """This project, as the command that users type, on a store of its own."""

    name = "dissolver"

    def __init__(self, place: Path) -> None:
        self.root = place / "dissolver-store"

    def forget(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)

    def build(self, context: Path) -> None:
        run(
            *(sys.executable, "-m", "dissolver", "--root", self.root),
            *("build", "-q", "-t", "bench", context),
        )

    def version(self) -> str:
        words = [sys.executable, "-m", "dissolver", "--version"]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()

    def stored_bytes(self) -> int:
        """Add up what the store occupies on disk."""
        return sum(
            (Path(base) / name).lstat().st_blocks * 512
            for base, _, names in os.walk(self.root)
            for name in names
        )


class Docker:
    """BuildKit as `docker build` uses it; its daemon is started when none runs."""

    name = "docker (BuildKit)"

    def __init__(self, place: Path) -> None:
        if shutil.which("dockerd") is None:
            raise Missing("Docker's daemon is not installed (Debian: docker.io)")
        # A client of another version may want a plugin for BuildKit; the daemon's own does not.
        beside = Path("/usr/bin/docker")
        self.client = str(beside) if beside.exists() else "docker"
        self.place = place / "docker"
        self.socket = self.place / "docker.sock"
        self.place.mkdir(parents=True, exist_ok=True)
        with (self.place / "log").open("wb") as log:
            self.daemon = subprocess.Popen(
                [
                    *("dockerd", "--bridge=none", "--iptables=false"),
                    *("--data-root", self.place / "data", "--exec-root", self.place / "exec"),
                    *("--pidfile", self.place / "pid", "--host", f"unix://{self.socket}"),
                ],
                stdout=log,
                stderr=log,
            )
        end = time.monotonic() + 30
        while subprocess.run(self.words("version"), check=False, capture_output=True).returncode:
            if time.monotonic() > end or self.daemon.poll() is not None:
                raise Missing(f"Docker's daemon does not start; see {self.place / 'log'}")
            time.sleep(0.2)

    def words(self, *words: str | Path) -> list[str]:
        return [self.client, "--host", f"unix://{self.socket}", *map(str, words)]

    def forget(self) -> None:
        run(*self.words("system", "prune", "--all", "--force", "--volumes"))
        run(*self.words("builder", "prune", "--all", "--force"), DOCKER_BUILDKIT="1")

    def build(self, context: Path) -> None:
        words = self.words("build", "-q", "--network", "host", "-t", "bench", context)
        run(*words, DOCKER_BUILDKIT="1")

    def version(self) -> str:
        words = self.words("version", "--format", "{{.Server.Version}}")
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        return f"docker {done.stdout.strip()}"

    def stop(self) -> None:
        """End the daemon that this run started, and drop its data."""
        self.daemon.terminate()
        self.daemon.wait(timeout=60)
        left = self.place / "exec/netns/default"
        subprocess.run(["umount", left], check=False, capture_output=True)
        subprocess.run(["rm", "-rf", str(self.place)], check=False)


class Buildah:
    """buildah with layers cached, which is how people compare it."""

    name = "buildah"

    def __init__(self, place: Path) -> None:
        if shutil.which("buildah") is None:
            raise Missing("buildah is not installed (Debian: buildah)")
        self.place = place / "buildah"

    def words(self, *words: str | Path) -> list[str]:
        places = ["--root", self.place / "root", "--runroot", self.place / "run"]
        return ["buildah", *map(str, places), *map(str, words)]

    def forget(self) -> None:
        subprocess.run(self.words("rmi", "--all", "--force"), check=False, capture_output=True)

    def build(self, context: Path) -> None:
        run(*self.words("build", "-q", "--layers", "--isolation", "chroot", "-t", "bench", context))

    def version(self) -> str:
        return subprocess.run(
            ["buildah", "--version"], capture_output=True, text=True, check=True
        ).stdout.strip()


class Floor:
    """The least that a cold build can cost: one tar to a file, and its SHA-256."""

    name = "floor (tar + SHA-256)"

    def __init__(self, place: Path) -> None:
        self.place = Path(tempfile.mkdtemp(prefix="floor-", dir=place))

    def forget(self) -> None:
        (self.place / "layer.tar").unlink(missing_ok=True)

    def build(self, context: Path) -> None:
        target = self.place / "layer.tar"
        run("tar", "-cf", target, "-C", context, ".")
        run("sha256sum", target)

    def version(self) -> str:
        words = ["tar", "--version"]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.split("\n")[
            0
        ]
