"""Programs of the host that networks and user namespaces are made with."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dissolver.errors import NetworkError

if TYPE_CHECKING:
    from collections.abc import Sequence

DIRECTORIES = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
"""Where programs are looked for: not the caller's PATH, for they run with privileges."""

NETAVARK = ("/usr/lib/podman", "/usr/libexec/podman")

SECONDS = 30.0
"""How long a program may take; all of them need milliseconds."""


@dataclass(frozen=True, slots=True)
class Command:
    """A program to run, with what it reads; ``{pid}`` and ``{netns}`` stand for the container's.

    A background command is started, kept, and killed when the container has ended.
    """

    argv: tuple[str, ...]
    stdin: str | None = None
    background: bool = False

    def bound_to(self, pid: int, netns: str) -> Command:
        """Return the command with the container's process and network namespace put in."""

        def fill(text: str) -> str:
            return text.replace("{pid}", str(pid)).replace("{netns}", netns)

        stdin = None if self.stdin is None else fill(self.stdin)
        return Command(tuple(fill(word) for word in self.argv), stdin, self.background)


def find_program(name: str, directories: Sequence[str] = DIRECTORIES) -> str | None:
    """Return the path of an installed program, or ``None``."""
    for directory in directories:
        path = f"{directory}/{name}"
        if os.access(path, os.X_OK):
            return path
    return None


def need_program(name: str, hint: str, directories: Sequence[str] = DIRECTORIES) -> str:
    """Return the path of an installed program.

    Raises:
        NetworkError: it is not installed; ``hint`` says what to do.
    """
    found = find_program(name, directories)
    if found is None:
        raise NetworkError(f"`{name}` is not installed", hint=hint)
    return found


def run_command(command: Command, what: str) -> str:
    """Run ``command`` to its end and return what it printed.

    Raises:
        NetworkError: it failed; the last line it wrote says why.
    """
    import subprocess

    try:
        done = subprocess.run(
            command.argv,
            input=command.stdin,
            stdin=subprocess.DEVNULL if command.stdin is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise NetworkError(f"{what} failed: {problem}") from problem
    if done.returncode:
        raise NetworkError(f"{what} failed: {complaint(done.stderr or done.stdout)}")
    return done.stdout


def complaint(output: str) -> str:
    """Pick the line of a program's output that says what went wrong: the last one.

    netavark writes JSON with the text in ``error``.
    """
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    if not lines:
        return "it said nothing"
    before, brace, rest = lines[-1].partition("{")
    if brace:
        import json

        with suppress(ValueError, KeyError, TypeError):
            return before + str(json.loads(brace + rest)["error"])
    return lines[-1]
