"""Starting the process that watches over a container, and hearing what became of it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from dissolver._core import sandbox
from dissolver.containers import bare
from dissolver.containers.streams.kept_log import KeptLog
from dissolver.errors import NetworkError, NotExecutable, ProgramNotFound, RunError
from dissolver.network.programs import complaint

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dissolver.containers.state import Fault
    from dissolver.network.programs import Command

FORMAT = 1
FILE = "supervise.json"

_CODE = "os._exit(core.sandbox.supervise(os.fsdecode(given)))"


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
    kept_log: KeptLog
    state: str
    waits_for_attach: bool
    keeps_stdin: bool
    terminal: bool
    stop_signal: int
    hooks: Hooks


def hooks_of(commands: Sequence[Command]) -> tuple[Hook, ...]:
    """Write commands as hooks."""
    return tuple(Hook(command.argv, command.stdin, command.background) for command in commands)


def interpreter() -> bare.Interpreter:
    """Start what will become a supervisor, while the container is being prepared."""
    return bare.Interpreter(_CODE)


def launch(waiting: bare.Interpreter, directory: Path) -> None:
    """Make ``waiting`` the supervisor of the container in ``directory``; wait until that runs.

    Where it waits for an attachment, this returns when it can be connected to. The
    supervisor outlives this process and everything else about its session.

    Raises:
        RunError: the container could not be started; the exit code says how.
    """
    report = waiting.run(os.fsencode(directory))
    if report is None:
        raise RunError("the container's supervisor ended without a word")
    if not report.ok:
        raise failure(report.fault)


def failure(fault: Fault) -> RunError:
    """Turn what a supervisor reported into an error of this package."""
    kinds: dict[str, type[RunError]] = {
        "not-found": ProgramNotFound,
        "not-executable": NotExecutable,
        "hook-failed": NetworkError,
    }
    message = complaint(fault.message) if fault.kind == "hook-failed" else fault.message
    return kinds.get(fault.kind, RunError)(message, hint=fault.hint)


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
