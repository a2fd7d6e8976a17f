"""One more process in a running container: ``exec``."""

from __future__ import annotations

import os
import select
import signal
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dissolver._core import CoreError, sandbox
from dissolver.containers import bare, supervisor
from dissolver.containers import life as containers
from dissolver.containers.options import absolute_directory
from dissolver.containers.start import SPEC_FILE
from dissolver.containers.state import Fault
from dissolver.containers.streams import terminal
from dissolver.errors import ContainerNotRunning, RunError
from dissolver.sandbox import spec, users
from dissolver.sandbox.assemble import Process as Program
from dissolver.sandbox.assemble import joining
from dissolver.sandbox.upper import RunningFiles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dissolver._core.sandbox import Process
    from dissolver.store import Store

CHUNK_BYTES = 64 << 10
POLL_SECONDS = 0.1

END_OF_INPUT = b"\x04"
"""What a terminal means by the end of input."""


@dataclass(frozen=True, slots=True)
class ExecOptions:
    """How a process differs from the container's first one.

    ``env`` holds ``NAME=value`` texts that come on top of the container's.
    """

    env: tuple[str, ...] = ()
    workdir: str | None = None
    user: str | None = None
    interactive: bool = False
    terminal: bool = False
    detach: bool = False


def execute(
    store: Store,
    container: str,
    argv: Sequence[str],
    options: ExecOptions | None = None,
    *,
    stdin: int | None = None,
    stdout: int | None = None,
    stderr: int | None = None,
) -> int:
    """Run ``argv`` in a running container, wait for its end, and return its exit code.

    The process gets the file descriptors themselves, or with ``terminal`` a terminal that
    is connected to them. A detached one has none, is not waited for, and gives 0.

    Raises:
        ContainerNotRunning: the container does not run.
        RunError: the user does not exist; 126 or 127 if the program cannot be executed.
    """
    options = options or ExecOptions()
    if not argv:
        raise RunError("no command specified", hint="name a program to run in the container")
    pid, specification = _specification(store, container, argv, options, (stdin, stdout))
    if options.detach:
        _leave(pid, specification)
        return 0
    has_streams = not options.terminal
    process = _entered(
        pid,
        specification,
        stdin if has_streams and options.interactive else None,
        stdout if has_streams else None,
        stderr if has_streams else None,
    )
    try:
        _release(process)
        if process.terminal is not None:
            given = stdin if options.interactive else None
            return _Terminal(process, process.terminal, given, stdout).run()
        return _waited(process)
    finally:
        process.close()


def _specification(
    store: Store,
    container: str,
    argv: Sequence[str],
    options: ExecOptions,
    terminals: tuple[int | None, int | None],
) -> tuple[int, bytes]:
    record = store.containers.resolve(container)
    directory = store.containers.directory(record.id)
    state = containers.state_of(store, record)
    if not state.is_running or not state.pid:
        raise ContainerNotRunning(
            f"the container `{record.name}` is not running",
            hint=f"`dissolver start {record.name}` starts it",
        )
    config = containers.config_of(record)
    base = spec.decode_spec((directory / SPEC_FILE).read_bytes())
    files = RunningFiles(store.layers.view(store.containers.layers(record.id)), directory / "upper")
    chosen = config.user if options.user is None else options.user
    process = Program(
        argv=argv,
        env=[*config.env, *options.env],
        cwd=absolute_directory(options.workdir, config.cwd),
        user=users.resolve_user(chosen, files),
        terminal=options.terminal and not options.detach,
        window=terminal.window_of(*terminals),
    )
    specification = joining(base, process, dies_with_parent=not options.detach)
    return state.pid, spec.encode_spec(specification)


def _entered(
    pid: int, specification: bytes, stdin: int | None, stdout: int | None, stderr: int | None
) -> Process:
    try:
        return sandbox.enter(pid, specification, stdin=stdin, stdout=stdout, stderr=stderr)
    except CoreError as problem:
        raise RunError(
            f"the container could not be entered: {problem.message}", hint=problem.hint
        ) from problem


_DETACHED = """
import json
pid, _, specification = given.partition(b"\\n")
try:
    process = core.sandbox.enter(int(pid), specification, stdin=None, stdout=None, stderr=None)
    process.release()
    report = {"ok": True}
except core.CoreError as problem:
    report = {
        "ok": False, "kind": problem.kind, "message": problem.message, "hint": problem.hint
    }
os.write(3, json.dumps(report).encode() + b"\\n")
# Not by way of the interpreter's end: that would end the process with its object.
os._exit(0)
"""


def _leave(pid: int, specification: bytes) -> None:
    """Start a process that goes on when this one is gone."""
    with bare.Interpreter(_DETACHED) as waiting:
        report = waiting.run(f"{pid}\n".encode() + specification)
    if report is None:
        raise RunError("the process that enters the container ended without a word")
    if not report.ok:
        raise supervisor.failure(report.fault)


def _release(process: Process) -> None:
    try:
        process.release()
    except CoreError as problem:
        raise supervisor.failure(Fault(problem.kind, problem.message, problem.hint)) from problem


def _waited(process: Process) -> int:
    while (status := process.wait(POLL_SECONDS)) is None:
        pass
    return status


class _Terminal:
    """Passes bytes between the caller's terminal and the process's, until that ends."""

    def __init__(
        self, process: Process, master: int, stdin: int | None, stdout: int | None
    ) -> None:
        self._process = process
        self._master = master
        self._stdin = stdin
        self._stdout = stdout
        self._keys = terminal.DetachKeys()

    def run(self) -> int:
        with ExitStack() as stack:
            signals = stack.enter_context(terminal.caught([signal.SIGWINCH]))
            stack.enter_context(terminal.raw(self._stdin))
            sources = [self._master, signals]
            if self._stdin is not None:
                sources.append(self._stdin)
            while True:
                ready, _, _ = select.select(sources, [], [])
                if signals in ready:
                    os.read(signals, CHUNK_BYTES)
                    self._tell_window()
                if self._stdin in ready:
                    typed = self._read_input()
                    if typed is None:
                        return 0
                    if not typed:
                        sources.remove(self._stdin)
                if self._master in ready and not self._pass_output():
                    return _waited(self._process)

    def _tell_window(self) -> None:
        window = terminal.window_of(self._stdin, self._stdout)
        if window is not None:
            sandbox.set_window(self._master, *window)

    def _read_input(self) -> bool | None:
        """Pass on what was typed; tell whether there may be more, ``None`` to detach."""
        data = os.read(self._stdin or 0, CHUNK_BYTES)
        if not data:
            os.write(self._master, END_OF_INPUT)
            return False
        data, is_detached = self._keys.filter(data)
        while data:
            data = data[os.write(self._master, data) :]
        return None if is_detached else True

    def _pass_output(self) -> bool:
        try:
            data = os.read(self._master, CHUNK_BYTES)
        except OSError:
            return False  # EIO: every process let go of the terminal.
        if self._stdout is not None:
            rest = data
            while rest:
                rest = rest[os.write(self._stdout, rest) :]
        return bool(data)
