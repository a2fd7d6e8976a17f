"""``--ssh``: agents and keys that RUN steps may sign with, and no more than that.

A step never talks to an agent itself: a relay passes on the two requests that
logging in takes, listing keys and signing, and refuses all others. So a step can
neither add nor remove keys, nor lock the agent of whoever builds. Keys in files
are held by an agent of the build's own, ``ssh-agent``, which ends with the build.
"""

from __future__ import annotations

import os
import stat
import threading
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dissolver.errors import BuildError

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Mapping, Sequence

    from dissolver.store import Store

_KEY_SECONDS = 30


class Agents:
    """The agents of one build, by their id; those that hold keys start when they are needed.

    ``sources`` maps each id to the path of an agent's socket, or to those of private
    keys; ``check`` raises where these must not be read any more. As a context manager it ends
    what it started.
    """

    def __init__(
        self,
        store: Store,
        sources: Mapping[str, Sequence[str]],
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._sources = sources
        self._check = check
        self._sockets: dict[str, str] = {}
        self._lock = threading.Lock()
        self._stack = ExitStack()

    def __enter__(self) -> Agents:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def find(self, identity: str) -> str | None:
        """Return the path of an agent's socket; nothing if the build was not given it.

        Raises:
            BuildError: what was given is neither an agent nor a usable key.
        """
        with self._lock:
            if identity not in self._sockets and identity in self._sources:
                self._sockets[identity] = self._open(self._sources[identity])
            return self._sockets.get(identity)

    def _open(self, paths: Sequence[str]) -> str:
        self._check()
        kinds = {path: _kind(path) for path in paths}
        sockets = [path for path, kind in kinds.items() if kind == "socket"]
        if sockets and len(paths) > 1:
            raise BuildError(
                f"`{sockets[0]}` is an agent, and no other can be joined with it",
                hint="give one socket, or one or more private keys",
            )
        return sockets[0] if sockets else self._agent_with(paths)

    def _agent_with(self, keys: Sequence[str]) -> str:
        import subprocess

        from dissolver.network.programs import find_program

        programs = [find_program(name) for name in ("ssh-agent", "ssh-add")]
        if None in programs:
            raise BuildError(
                "keys for `--ssh` need the program `ssh-agent`", hint="install `openssh-client`"
            )
        agent, adder = (program or "" for program in programs)
        directory = self._stack.enter_context(self._store.workspace())
        place = directory / "agent.sock"
        # The agent looks after its parent, the command, and ends with it: that way it does not
        # outlive a killed build, of whose pipe the command then finds the end.
        process = subprocess.Popen(
            [
                agent,
                "-a",
                short_name(directory, place.name, self._stack),
                "sh",
                "-c",
                'echo "$SSH_AGENT_PID"; exec cat',
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        identity = _identified(process)
        self._stack.callback(_end, process, identity)
        for key in keys:
            _add_key(adder, str(place), key)
        return str(place)


def _kind(path: str) -> str:
    try:
        mode = Path(path).stat().st_mode
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise BuildError(
            f"cannot read `{path}`: {why}",
            hint="`--ssh` takes the socket of an agent, or private keys",
        ) from error
    return "socket" if stat.S_ISSOCK(mode) else "file"


def _add_key(adder: str, place: str, key: str) -> None:
    import subprocess

    try:
        content = Path(key).read_bytes()
        done = subprocess.run(
            # From its input, because the modes of a file in a repository are not secret enough
            # for the program.
            [adder, "-q", "-"],
            input=content,
            capture_output=True,
            env={"SSH_AUTH_SOCK": place, "SSH_ASKPASS_REQUIRE": "never", "PATH": os.defpath},
            start_new_session=True,
            timeout=_KEY_SECONDS,
            check=False,
        )
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise BuildError(f"cannot use the key `{key}`: {why}") from error
    except subprocess.TimeoutExpired as error:
        raise BuildError(f"cannot use the key `{key}`: `ssh-add` does not end") from error
    if done.returncode != 0:
        raise BuildError(
            f"`{key}` is no private key that can be used",
            hint="a key with a passphrase has to be in an agent: `ssh-add`, then `--ssh default`",
        )


def _identified(process: subprocess.Popen[bytes]) -> tuple[int, int | None]:
    """Read the agent's process number, and when it started: together they name it for good."""
    from dissolver._core.sandbox import start_time

    assert process.stdout is not None  # noqa: S101 - it was asked for
    line = process.stdout.readline().strip()
    if not line.isdigit():
        process.kill()
        process.wait()
        raise BuildError("`ssh-agent` did not start")
    return int(line), start_time(int(line))


def _end(process: subprocess.Popen[bytes], identity: tuple[int, int | None]) -> None:
    """End an agent, and the command that it belongs to."""
    import signal

    from dissolver._core.sandbox import start_time

    number, started = identity
    if started is not None and start_time(number) == started:
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGTERM)
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()
    process.wait()


def short_name(directory: Path, name: str, stack: ExitStack) -> str:
    """Name a file shortly enough for a socket's address, which has room for 107 bytes."""
    path = str(directory / name)
    if len(os.fsencode(path)) < 100:
        return path
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    stack.callback(os.close, descriptor)
    return f"/proc/{os.getpid()}/fd/{descriptor}/{name}"
