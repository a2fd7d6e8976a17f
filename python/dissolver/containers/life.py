"""Containers: create, start, attach to, end and remove them.

A container is a record in the store, a directory with its writable layer and
its log, and while it runs a supervisor. Nothing else has to be alive: any process
may pick a container up by its name.
"""

from __future__ import annotations

import math
import os
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from dissolver.containers import names, options, state, supervisor, volumes
from dissolver.containers.listing import ContainerSummary, summarize
from dissolver.containers.options import ContainerConfig, RunOptions
from dissolver.containers.signals import signal_number
from dissolver.containers.start import Connection, connection_of, prepare, socket_path
from dissolver.containers.streams import attach as streams
from dissolver.containers.streams import frames
from dissolver.containers.streams.logs import FILE as LOG_FILE
from dissolver.containers.streams.logs import LogLine, read_log
from dissolver.errors import ContainerNotRunning, InUse, NameInUse, RunError
from dissolver.network import plan as network
from dissolver.sandbox import rootless
from dissolver.store import processes
from dissolver.store.workspace import remove_tree

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dissolver.containers.streams.attach import Exit
    from dissolver.image.config import Image
    from dissolver.store import Store
    from dissolver.store.containers import ContainerRecord

__all__ = [
    "ContainerConfig",
    "ContainerSummary",
    "LogLine",
    "RunOptions",
    "attach",
    "config_of",
    "create",
    "describe",
    "kill",
    "list_containers",
    "locked",
    "logs",
    "remove",
    "start",
    "state_of",
    "stop",
    "summarize",
    "wait",
]

NAME_ATTEMPTS = 8
"""How often a made-up name may turn out to be taken by a process that was faster."""

END_SECONDS = 20.0
"""How long a supervisor may take to tidy up; disconnecting published ports takes 0.25 s."""


def create(
    store: Store,
    image: Image,
    command: Sequence[str] = (),
    choices: RunOptions | None = None,
    *,
    image_name: str | None = None,
    working_directory: str | None = None,
) -> str:
    """Create a container without starting it and return its full ID.

    ``image_name`` is what ``ps`` shows, by default the short ID. ``working_directory`` is
    where relative paths of volumes begin, by default the process's own.

    Raises:
        NameInUse: another container has the chosen name.
        RunError: an option is not valid, or there is nothing to run.
    """
    choices = choices or RunOptions()
    identity = names.make_id()
    config = options.settle(
        choices,
        command,
        image.config.config,
        identity=identity,
        image_name=image_name or image.id.removeprefix("sha256:")[:12],
        working_directory=working_directory or str(Path.cwd()),
    )
    chosen = options.check_name(choices.name)
    with store.lock_shared():
        directory = store.containers.directory(identity)
        directory.mkdir(mode=0o700)
        try:
            _add_record(store, identity, chosen, image.id, config)
        except BaseException:
            remove_tree(directory)
            raise
    return identity


def start(store: Store, container: str, *, waits_for_attach: bool = False) -> None:
    """Start a created or exited container; starting one that runs changes nothing.

    With ``waits_for_attach`` its process begins when somebody attaches, so that no output
    is missed. Otherwise it runs when this returns, and outlives the caller.

    Raises:
        RunError: it could not be started (125), its program cannot be executed (126) or
            does not exist (127).
        NetworkError: its network could not be set up, or a port is taken.
    """
    record = store.containers.resolve(container)
    directory = store.containers.directory(record.id)
    with locked(directory), store.lock_shared(), supervisor.interpreter() as waiting:
        if state.read_state(directory).is_running:
            return
        _forget_last_run(store, record.id, directory)
        if config_of(record).ports and rootless.is_rootless():
            _free_ports(store)
        connection = prepare(store, record, config_of(record), waits_for_attach=waits_for_attach)
        try:
            supervisor.launch(waiting, directory)
        finally:
            _hand_over(record.id, directory, connection)


def attach(
    store: Store,
    container: str,
    *,
    stdin: int | None = None,
    stdout: int | None = None,
    stderr: int | None = None,
    forwards_signals: bool = True,
) -> int:
    """Connect file descriptors to a container until it ends; return its exit code.

    ``None`` leaves a stream unconnected. A container that is to be removed at its end is
    gone when this returns. Detaching with ctrl-p ctrl-q returns 0 and leaves it running.

    Raises:
        ContainerNotRunning: there is nothing to attach to.
        RunError: it waited for this to start, and could not be started.
        BrokenPipeError: nobody reads ``stdout`` or ``stderr`` any more.
    """
    record = store.containers.resolve(container)
    config = config_of(record)
    link = streams.connect(socket_path(store, record.id))
    outcome = streams.attach(
        link,
        stdin=stdin if config.is_interactive else None,
        stdout=stdout,
        stderr=stderr,
        has_terminal=config.has_terminal,
        forwards_signals=forwards_signals,
    )
    if outcome.is_detached:
        return 0
    code = _final_code(store, record, outcome.exit)
    fault = outcome.exit.error if outcome.exit else None
    if config.is_removed_at_end:
        remove(store, record.id, removes_volumes=True)
    if fault is not None and fault.kind != "supervisor-died":
        raise supervisor.failure(fault)
    return code


def wait(store: Store, container: str) -> int:
    """Wait until a container ends and return its exit code; at once if it does not run."""
    record = store.containers.resolve(container)
    try:
        link = streams.connect(socket_path(store, record.id))
    except ContainerNotRunning:
        return _final_code(store, record, None)
    return _final_code(store, record, streams.wait_for_exit(link))


def stop(store: Store, container: str, *, timeout: float | None = None) -> None:
    """Ask a container to end, kill it after ``timeout`` seconds, and wait until it is over.

    By default it has the time that it was created with, or 10 s; a negative time has no
    end. A container that does not run is left alone.
    """
    record = store.containers.resolve(container)
    seconds = config_of(record).stop_seconds if timeout is None else timeout
    _send_and_wait(store, record, frames.stop(math.inf if seconds < 0 else seconds))


def kill(store: Store, container: str, signal: str | int = "KILL") -> None:
    """Send a signal to a container's first process; wait for the end after SIGKILL.

    Raises:
        ContainerNotRunning: there is no process.
        RunError: there is no such signal.
    """
    number = signal_number(signal)
    record = store.containers.resolve(container)
    if not state_of(store, record).is_running:
        raise ContainerNotRunning(
            f"the container `{record.name}` is not running",
            hint=f"`dissolver start {record.name}` starts it",
        )
    if number == 9:
        _send_and_wait(store, record, frames.signal(number))
        return
    with streams.connect(socket_path(store, record.id)) as link:
        # Closing a socket with something unread in it resets it, and loses what was sent.
        streams.greeting(link)
        link.sendall(frames.signal(number))


def remove(
    store: Store, container: str, *, force: bool = False, removes_volumes: bool = False
) -> None:
    """Remove a container that does not run; with ``force`` kill it first.

    Its anonymous volumes go with ``removes_volumes``.

    Raises:
        InUse: it runs.
    """
    record = store.containers.resolve(container)
    directory = store.containers.directory(record.id)
    last = state.read_state(directory)
    if last.status == "exited" or last.supervisor is None:
        _await_supervisor(last)
    elif force:
        _send_and_wait(store, record, frames.signal(9))
    else:
        raise InUse(
            f"the container `{record.name}` is {'running' if last.is_running else 'starting'}",
            hint=f"stop it first: `dissolver stop {record.name}`, or use `--force`",
        )
    store.containers.remove(record.id)
    _forget_last_run(store, record.id, directory)
    remove_tree(directory)
    if removes_volumes:
        for volume in config_of(record).volumes:
            if volume.is_anonymous:
                volumes.remove_volume(store.layout.volumes, volume.source)


def list_containers(store: Store, *, all_: bool = False) -> list[ContainerSummary]:
    """List the running containers, or all of them, the newest first."""
    found = (describe(store, record) for record in store.containers.list())
    return [summary for summary in found if all_ or summary.state == "running"]


def describe(store: Store, record: ContainerRecord) -> ContainerSummary:
    """Tell what a container is and does right now."""
    directory = store.containers.directory(record.id)
    connection = connection_of(directory)
    published = connection.ports if connection else ()
    return summarize(record, state.read_state(directory), published=published)


def logs(
    store: Store, container: str, *, follow: bool = False, tail: int | None = None
) -> Iterator[LogLine]:
    """Yield what a container wrote, oldest first; ``follow`` goes on until it ends.

    ``tail`` leaves out all but the last lines of what it has written so far.
    """
    record = store.containers.resolve(container)
    if config_of(record).kept_log.files == 0:
        raise RunError(
            f"nothing is kept of what the container `{container}` writes",
            hint="it was made with `--log-driver none`",
        )
    directory = store.containers.directory(record.id)
    return read_log(
        directory / LOG_FILE,
        follow=follow,
        tail=tail,
        is_running=lambda: state.read_state(directory).is_running,
    )


def config_of(record: ContainerRecord) -> ContainerConfig:
    """Read what a container is.

    Raises:
        RunError: a newer version created it.
    """
    try:
        return options.decode_config(record.config)
    except msgspec.MsgspecError as problem:
        raise RunError(f"the record of container `{record.name}` is not readable") from problem


def state_of(store: Store, record: ContainerRecord) -> state.State:
    """Tell what a container is doing."""
    return state.read_state(store.containers.directory(record.id))


def _add_record(
    store: Store, identity: str, chosen: str | None, image_id: str, config: ContainerConfig
) -> None:
    from dissolver.store.containers import ContainerRecord

    encoded = msgspec.json.encode(config)
    for attempt in range(NAME_ATTEMPTS):
        taken = {record.name for record in store.containers.list()} if chosen is None else set()
        name = chosen or names.make_name(taken.__contains__)
        try:
            record = ContainerRecord(identity, name, image_id, time.time_ns(), encoded)
            store.containers.add(record)
        except NameInUse:
            if chosen is not None or attempt == NAME_ATTEMPTS - 1:
                raise
        else:
            return


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Let nobody else start the container meanwhile."""
    import fcntl

    try:
        lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        raise RunError("the container's directory is gone") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _hand_over(identity: str, directory: Path, connection: Connection) -> None:
    """Leave to the supervisor what this process holds, or give it back if there is none."""
    who = state.read_state(directory).supervisor
    is_alive = who is not None and processes.is_alive(who.pid, who.start_time)
    if who is not None and is_alive:
        # Later processes of an unprivileged user find the namespace by it.
        rootless.register_in_namespace(who.pid)
    if connection.address:
        from dissolver.network import bridge

        if who is not None and is_alive:
            bridge.hand_over(identity, (who.pid, who.start_time))
        else:
            bridge.detach(identity)


def _free_ports(store: Store) -> None:
    """Take down the networks of all containers whose supervisors were killed.

    On the bridge that is done where a port is leased.
    """
    for record in store.containers.list():
        if processes.ended_without_a_word(str(store.containers.directory(record.id) / state.FILE)):
            network.take_down(record.id, is_rootless=True, run=store.run)


def _forget_last_run(store: Store, identity: str, directory: Path) -> None:
    if processes.ended_without_a_word(str(directory / state.FILE)):
        network.take_down(identity, is_rootless=rootless.is_rootless(), run=store.run)
    socket_path(store, identity).unlink(missing_ok=True)
    (directory / state.FILE).unlink(missing_ok=True)


def _send_and_wait(store: Store, record: ContainerRecord, message: bytes) -> None:
    """Send one frame to the supervisor and wait until it is done with everything."""
    before = state_of(store, record)
    try:
        link = streams.connect(socket_path(store, record.id))
    except ContainerNotRunning:
        _await_supervisor(before)
        return
    link.sendall(message)
    streams.wait_for_exit(link)
    _await_supervisor(before)


def _await_supervisor(last: state.State) -> None:
    """Wait for the last hooks, so that ports and addresses are free when this returns."""
    if last.supervisor is None:
        return
    who = last.supervisor
    if not supervisor.await_end(who.pid, who.start_time, END_SECONDS):
        raise RunError(
            "the container's supervisor does not end",
            hint=f"look at process {who.pid}; killing it ends the container",
        )


def _final_code(store: Store, record: ContainerRecord, ended: Exit | None) -> int:
    """Settle the exit code, after the supervisor is done where it still was."""
    last = state_of(store, record)
    _await_supervisor(last)
    if ended is not None and ended.exit_code is not None:
        return ended.exit_code
    last = state_of(store, record)
    return state.KILLED if last.exit_code is None and ended is None else last.exit_code or 0
