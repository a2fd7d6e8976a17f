"""The command again and again without starting an interpreter each time.

A process of the account imports the program once and then forks for every request, so
that each command has a process of its own, and hundreds of them take seconds. It runs
from its text alone: an ordinary user need not be able to read this file.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scene import Account


@dataclass(frozen=True)
class Done:
    """How the last of some commands ended, and what all of them wrote."""

    status: int
    stdout: str
    stderr: str


class Warm:
    """`dissolver` as one account on one store, each request in a fork of one process."""

    def __init__(self, account: Account, root: Path) -> None:
        self.account = account
        self._process = subprocess.Popen(
            [*account.become, account.python, "-c", Path(__file__).read_text(encoding="utf-8")],
            cwd=account.home,
            env={**account.environment, "DISSOLVER_ROOT": str(root)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(
        self,
        *commands: Sequence[str | Path],
        stdin: bytes = b"",
        cwd: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Done:
        """Run commands one after the other, up to the first that fails."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request = {
            "commands": [[str(word) for word in command] for command in commands],
            "stdin": base64.b64encode(stdin).decode(),
            "cwd": str(cwd or self.account.home),
            "environment": dict(environment or {}),
        }
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        return Done(**answer)

    def close(self) -> None:
        """Let the process end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(timeout=60)


# In the account's process -------------------------------------------------------------


def carry_out(request: dict[str, Any]) -> dict[str, Any]:
    """Fork for each command of a request, and answer what came of them."""
    streams = [os.memfd_create(name) for name in ("stdin", "stdout", "stderr")]
    status = 0
    try:
        os.write(streams[0], base64.b64decode(request["stdin"]))
        for words in request["commands"]:
            os.lseek(streams[0], 0, os.SEEK_SET)
            child = os.fork()
            if child == 0:
                become_command(words, request, streams)
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            if status != 0:
                break
        stdout, stderr = (_content(stream) for stream in streams[1:])
    finally:
        for stream in streams:
            os.close(stream)
    return {"status": status, "stdout": stdout, "stderr": stderr}


def become_command(words: list[str], request: dict[str, Any], streams: Sequence[int]) -> None:
    """Run one command in this process, and end it with its code."""
    from dissolver.cli.app import main

    status = 70
    try:
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        os.chdir(request["cwd"])
        os.environ.update(request["environment"])
        status = main(words)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status)


def _content(stream: int) -> str:
    return os.pread(stream, os.fstat(stream).st_size, 0).decode("utf-8", "replace")


def serve() -> None:
    """Import what every build needs, then answer requests until there are no more."""
    import dissolver.build.builder
    import dissolver.cli.app
    import dissolver.cli.archives
    import dissolver.cli.build
    import dissolver.engine
    import dissolver.export.save  # noqa: F401  (imported for the forks)

    for line in sys.stdin:
        sys.stdout.write(json.dumps(carry_out(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve()
