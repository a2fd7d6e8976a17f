"""Starting the process that watches over a container.

The supervisor is a bare interpreter that loads the core and nothing else: it
starts in 15 ms and keeps 12 MB less than one that imports this package.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Literal

import msgspec

from dissolver._core import sandbox
from dissolver.errors import NetworkError, NotExecutable, ProgramNotFound, RunError
from dissolver.runtime.programs import complaint
from dissolver.runtime.state import Fault

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dissolver.runtime.programs import Command

FORMAT = 1
FILE = "supervise.json"
REPORT_DESCRIPTOR = 3

_CODE = """
import os, sys
if os.fork():
    os._exit(0)
os.chdir("/")
os.closerange(4, os.sysconf("SC_OPEN_MAX"))
from _frozen_importlib import ModuleSpec, _load
from _frozen_importlib_external import ExtensionFileLoader
path, directory = sys.argv[1:]
loader = ExtensionFileLoader("dissolver._core", path)
core = _load(ModuleSpec("dissolver._core", loader, origin=path))
sys.exit(core.sandbox.supervise(directory))
"""
"""Forks once, so that nobody who starts a container has to wait for its supervisor."""


class Hook(msgspec.Struct, frozen=True):
    """A program that the supervisor runs; ``{pid}`` and ``{netns}`` are the container's."""

    argv: tuple[str, ...]
    stdin: str | None = None
    background: bool = False


class Hooks(msgspec.Struct, frozen=True):
    """When programs run: before the container's process, after it, and at the very end."""

    start: tuple[Hook, ...] = ()
    stop: tuple[Hook, ...] = ()
    final: tuple[Hook, ...] = ()


class Supervision(msgspec.Struct, frozen=True, kw_only=True):
    """What a supervisor needs to know besides the sandbox's specification."""

    format: int = FORMAT
    id: str
    socket: str
    log: str
    state: str
    waits_for_attach: bool
    keeps_stdin: bool
    terminal: bool
    stop_signal: int
    hooks: Hooks


class _Report(msgspec.Struct, frozen=True):
    ok: bool
    kind: str = ""
    message: str = ""
    op: str | None = None
    errno: int | None = None
    hint: str | None = None


def hooks_of(commands: Sequence[Command]) -> tuple[Hook, ...]:
    """Write commands as hooks."""
    return tuple(Hook(command.argv, command.stdin, command.background) for command in commands)


def launch(directory: Path) -> None:
    """Start the supervisor of the container in ``directory``; wait until that runs.

    Where it waits for an attachment, this returns when it can be connected to. The
    supervisor outlives this process and everything else about its session.

    Raises:
        RunError: the container could not be started; the exit code says how.
    """
    report = _spawn(os.fspath(directory))
    if report is None:
        raise RunError("the container's supervisor ended without a word")
    if not report.ok:
        raise failure(Fault(report.kind, report.message, report.hint))


def failure(fault: Fault) -> RunError:
    """Turn what a supervisor reported into an error of this package."""
    kinds: dict[str, type[RunError]] = {
        "not-found": ProgramNotFound,
        "not-executable": NotExecutable,
        "hook-failed": NetworkError,
    }
    message = complaint(fault.message) if fault.kind == "hook-failed" else fault.message
    return kinds.get(fault.kind, RunError)(message, hint=fault.hint)


def _spawn(directory: str) -> _Report | None:
    """Run the bare interpreter and read the one line that it reports."""
    library = getattr(sys.modules["dissolver._core"], "__file__", None) or ""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    null = "/dev/null"
    actions: list[tuple[Literal[0], int, str, int, int] | tuple[Literal[2], int, int]] = [
        (os.POSIX_SPAWN_DUP2, writing, REPORT_DESCRIPTOR),
        (os.POSIX_SPAWN_OPEN, 0, null, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, null, os.O_WRONLY, 0),
        (os.POSIX_SPAWN_OPEN, 2, null, os.O_WRONLY, 0),
    ]
    words = [sys.executable, "-I", "-S", "-c", _CODE, library, directory]
    try:
        pid = os.posix_spawn(
            sys.executable,
            words,
            {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
            file_actions=actions,
            setsid=True,
        )
        os.close(writing)
        writing = -1
        os.waitpid(pid, 0)
        return _read_report(reading)
    finally:
        os.close(reading)
        if writing >= 0:
            os.close(writing)


def _read_report(descriptor: int) -> _Report | None:
    line = b""
    while b"\n" not in line:
        data = os.read(descriptor, 4096)
        if not data:
            return None
        line += data
    return msgspec.json.decode(line.partition(b"\n")[0], type=_Report)


def await_end(pid: int, start_time: int, seconds: float) -> bool:
    """Wait until the supervisor has ended, hooks and all; tell whether it did in time."""
    import select

    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        # The number may have gone to another process before it was opened.
        if sandbox.start_time(pid) != start_time:
            return True
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(seconds * 1000))
    finally:
        os.close(descriptor)
