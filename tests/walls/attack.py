"""Attacks: programs that try what they should not, and the three ways into a container.

A program of ``tests/walls/attacks`` runs in a container (``run``), beside one (``exec``) or in a
step of a build (``RUN``), as root or as a user; what it says is all that a test looks at.
"""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from scene import Account, Cli, wait_until

HERE = Path(__file__).parent
SOURCES = sorted((HERE / "attacks").glob("*.c"))
Way = Literal["run", "exec", "RUN"]
WAYS: tuple[Way, ...] = ("run", "exec", "RUN")

_STEP_LINE = re.compile(r"^#(\d+) \d+\.\d+ ?(.*)$")


def compiled(source: Path, directory: Path) -> str | None:
    """Compile one program without libraries; return the compiler's words if it cannot."""
    target = directory / source.stem
    flags = ("-static", "-O1", "-Wall", "-Wextra", "-Werror")
    try:
        done = subprocess.run(
            ["cc", *flags, "-o", target, source], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return "`cc` is not installed"
    return done.stderr or "`cc` failed" if done.returncode else None


def write_image(path: Path, base: Path, programs: Path) -> None:
    """Write the base system with all programs in /attacks; one runs as its owner."""
    path.write_bytes(base.read_bytes())
    with tarfile.open(path, "a") as tar:
        for program in sorted(programs.iterdir()):
            mode = 0o4755 if program.name == "become" else 0o755
            add(tar, f"attacks/{program.name}", program.read_bytes(), mode=mode)


def add(tar: tarfile.TarFile, name: str, data: bytes = b"", **facts: object) -> None:
    """Add one entry as a hostile archive has it: ``facts`` are fields of its header."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mtime, entry.mode = len(data), 1_700_000_000, 0o644
    for field, value in facts.items():
        setattr(entry, field, value)
    tar.addfile(entry, io.BytesIO(data))


def link(tar: tarfile.TarFile, name: str, target: str) -> None:
    """Add a symbolic link."""
    add(tar, name, type=tarfile.SYMTYPE, linkname=target, mode=0o777)


@dataclass
class Arena:
    """A store of one account with the image ``attacks`` in it, and a container that sleeps."""

    cli: Cli
    sleeper: str = ""

    @property
    def account(self) -> Account:
        return self.cli.account

    def sleeping(self) -> str:
        """Return the container that processes are started in; made when it is first asked for."""
        if not self.sleeper:
            words = ("run", "-d", "--name", "sleeper", "attacks", "sleep", "100000")
            self.sleeper = self.cli.out(*words)
        return self.sleeper

    def attack(
        self,
        way: Way,
        argv: Sequence[str],
        *,
        variables: Mapping[str, str] | None = None,
        options: Sequence[str] = (),
        stdin: str | None = None,
        user: str = "",
        image: str = "attacks",
    ) -> str:
        """Run a program in one of the three ways; return all that it said.

        ``options`` go to the command. Standard input is empty unless ``stdin`` has a text,
        which a step reads from a file.
        """
        given = variables or {}
        if way == "RUN":
            return last_step(self.built(argv, given, options, stdin, user, image)[1])
        options = (*options, "--user", user) if user else options
        settings = [word for name in given for word in ("-e", f"{name}={given[name]}")]
        interactive = [] if stdin is None else ["-i"]
        place = ["--rm", image] if way == "run" else [self.sleeping()]
        words = (way, *interactive, *settings, *options, *place, *argv)
        done = self.cli(*words, stdin=stdin, check=False)
        assert done.returncode != 125, done.stderr
        return done.stdout + done.stderr

    def built(
        self,
        argv: Sequence[str],
        variables: Mapping[str, str],
        options: Sequence[str] = (),
        stdin: str | None = None,
        user: str = "",
        image: str = "attacks",
    ) -> tuple[int, str]:
        """Run a program in a step; return the exit code of the build, and its plain display."""
        words = [*(["env"] if variables else []), *(f"{k}={v}" for k, v in variables.items())]
        command = json.dumps([*words, *argv])
        lines = [f"FROM {image}"]
        if stdin is not None:
            lines.append(f"RUN cat > /input <<'END'\n{stdin}\nEND")
            command = json.dumps(["sh", "-c", f"{' '.join([*words, *argv])} < /input"])
        if user:
            lines.append(f"USER {user}")
        context = self.cli.directory(
            "attack", {"Dockerfile": "\n".join([*lines, f"RUN {command}"])}
        )
        try:
            done = self.cli(
                *("build", "--progress", "plain", "--no-cache", *options, context), check=False
            )
        finally:
            subprocess.run(["rm", "-rf", context], check=False)
        return done.returncode, done.stderr + done.stdout


def last_step(log: str) -> str:
    """Take what the last step wrote out of the plain display; nothing if it was silent."""
    assert re.search(r"^#\d+ \[[^]]*\] RUN ", log, re.MULTILINE), log
    said: dict[int, list[str]] = {}
    for line in log.splitlines():
        found = _STEP_LINE.match(line)
        if found:
            said.setdefault(int(found[1]), []).append(found[2])
    return "".join(f"{line}\n" for line in said[max(said)]) if said else ""


def results(text: str) -> dict[str, str]:
    """Read lines of a name and a result."""
    return dict(line.rsplit(" ", 1) for line in text.splitlines() if " " in line)


def host_disk() -> str:
    """Name the device of the file system below the tests, as ``MAJOR:MINOR``."""
    device = HERE.stat().st_dev
    return f"{os.major(device)}:{os.minor(device)}"


def gone(container: str, cli: Cli) -> None:
    """Wait until a container has ended."""
    wait_until(lambda: cli.out("ps", "-q", "--filter", f"id={container}") == "", what="the end")
