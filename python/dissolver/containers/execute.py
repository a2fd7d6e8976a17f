"""One more process in a running container: ``exec``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dissolver._core import CoreError, sandbox
from dissolver.containers import bare, supervisor
from dissolver.containers import life as containers
from dissolver.containers.options import absolute_directory
from dissolver.containers.start import SPEC_FILE
from dissolver.containers.state import Fault
from dissolver.containers.streams import terminal
from dissolver.containers.streams.pipes import pipes
from dissolver.errors import ContainerNotRunning, RunError
from dissolver.sandbox import spec, users
from dissolver.sandbox.assemble import Process as Program
from dissolver.sandbox.assemble import joining
from dissolver.sandbox.upper import RunningFiles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dissolver._core.sandbox import Process
    from dissolver.store import Store


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

    The process gets none of the file descriptors, but pipes of its own, or with ``terminal``
    a terminal, and bytes are passed on between those and what is given. ``stdin`` is read
    only with ``interactive``, and only while the process takes more. What the process wrote
    has been passed on when this returns; what it left running is not waited for. Whoever
    stops reading the output leaves the process a broken pipe. A detached one has no streams,
    is not waited for, and gives 0.

    Raises:
        ContainerNotRunning: the container does not run.
        RunError: the user does not exist; 126 or 127 if the program cannot be executed.
        OutputLost: a file that was given takes no more, such as on a full disk.
        BrokenPipeError: nobody reads what a program with a terminal writes.
    """
    options = options or ExecOptions()
    if not argv:
        raise RunError("no command specified", hint="name a program to run in the container")
    pid, specification = _specification(store, container, argv, options, (stdin, stdout))
    if options.detach:
        _leave(pid, specification)
        return 0
    source = stdin if options.interactive else None
    if options.terminal:
        return _with_terminal(pid, specification, source, stdout)
    with pipes(source, stdout, stderr) as streams:
        process = _entered(pid, specification, *streams.theirs)
        try:
            streams.let_go()
            _release(process)
            return streams.pass_on(process)
        finally:
            process.close()


def _with_terminal(pid: int, specification: bytes, stdin: int | None, stdout: int | None) -> int:
    from dissolver.containers.streams.pseudo_terminal import PseudoTerminal

    process = _entered(pid, specification, None, None, None)
    try:
        _release(process)
        master = process.terminal
        assert master is not None  # noqa: S101 - the specification asks for one
        return PseudoTerminal(process, master, stdin, stdout).run()
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
