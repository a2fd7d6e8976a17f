"""Containers, as the engine offers them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dissolver.engine.capture import Capture, feed
from dissolver.engine.results import RunResult
from dissolver.engine.wire import Descriptor
from dissolver.errors import Cancelled, ContainerNotFound, ContainerNotRunning

if TYPE_CHECKING:
    from dissolver.containers.execute import ExecOptions
    from dissolver.containers.life import ContainerSummary, LogLine, RunOptions
    from dissolver.engine.session import Session

OnOutput = Callable[[int, bytes], None]

# How late a cancellation may come; looking costs next to nothing.
_CANCEL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Streams:
    """Open files that a process is connected to; ``None`` leaves one unconnected."""

    stdin: Descriptor | None = None
    stdout: Descriptor | None = None
    stderr: Descriptor | None = None


def streams(stdin: int | None, stdout: int | None, stderr: int | None) -> Streams:
    """Name the files that a process is to be connected to."""
    given = (None if number is None else Descriptor(number) for number in (stdin, stdout, stderr))
    return Streams(*given)


def run(
    session: Session,
    image: str,
    command: tuple[str, ...],
    options: RunOptions | None,
    stdin: bytes,
    on_output: OnOutput | None,
    directory: str,
    cancel: threading.Event,
) -> RunResult:
    """Run a container to its end, or with ``options.detach`` until it has begun."""
    from dissolver.containers import life as containers
    from dissolver.containers.life import RunOptions

    chosen = options or RunOptions()
    identity = create(session, image, command, chosen, directory)
    with _removed_on_failure(session, identity, chosen):
        containers.start(session.store, identity, waits_for_attach=not chosen.detach)
        if chosen.detach:
            return RunResult(identity, 0, b"", b"")
        with (
            _killed_on(session, identity, cancel),
            Capture(on_output) as output,
            feed(stdin if chosen.interactive else None) as reading,
        ):
            code = containers.attach(
                session.store,
                identity,
                stdin=reading,
                stdout=output.stdout,
                stderr=output.stderr,
                # Ctrl-C is for the program that called; it ends the container below.
                forwards_signals=False,
            )
    if cancel.is_set():
        raise Cancelled("the container was killed: its run was cancelled")
    return RunResult(identity, code, output.collected(1), output.collected(2))


@contextmanager
def _killed_on(session: Session, identity: str, cancel: threading.Event) -> Iterator[None]:
    """Kill the container as soon as ``cancel`` is set, while the block runs."""
    from dissolver.containers import life as containers

    has_ended = threading.Event()

    def watch() -> None:
        while not has_ended.wait(_CANCEL_SECONDS):
            if cancel.is_set():
                # It may be over, or even gone, on its own by now.
                with suppress(ContainerNotFound, ContainerNotRunning):
                    containers.kill(session.store, identity)
                return

    watcher = threading.Thread(target=watch, name="cancel", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        has_ended.set()
        watcher.join()


@contextmanager
def _removed_on_failure(session: Session, identity: str, options: RunOptions) -> Iterator[None]:
    """Leave nothing running that nobody waits for any more."""
    from dissolver.containers import life as containers

    try:
        yield
    except BaseException:
        # It may have ended on its own, and have been removed at its end.
        with suppress(ContainerNotFound, ContainerNotRunning):
            if options.remove:
                containers.remove(session.store, identity, force=True, removes_volumes=True)
            elif is_running(session, identity):
                containers.kill(session.store, identity)
        raise


def create(
    session: Session,
    image: str,
    command: tuple[str, ...],
    options: RunOptions | None,
    directory: str,
) -> str:
    """Create a container; ``directory`` is where relative paths of volumes begin."""
    from dissolver.containers import life as containers

    store = session.store
    return containers.create(
        store,
        store.images.resolve(image),
        command,
        options,
        image_name=image,
        working_directory=directory,
    )


def start(session: Session, container: str, waits_for_attach: bool) -> None:
    """Start a container."""
    from dissolver.containers import life as containers

    containers.start(session.store, container, waits_for_attach=waits_for_attach)


def attach(session: Session, container: str, files: Streams) -> int:
    """Connect open files to a container until it ends; answer its exit code."""
    from dissolver.containers import life as containers

    return containers.attach(
        session.store,
        container,
        stdin=files.stdin,
        stdout=files.stdout,
        stderr=files.stderr,
        # Only the main thread of a program can be told of signals.
        forwards_signals=threading.current_thread() is threading.main_thread(),
    )


def execute(
    session: Session,
    container: str,
    command: tuple[str, ...],
    options: ExecOptions,
    files: Streams,
) -> RunResult:
    """Run a program in a running container; collect what has no file to go to."""
    from dissolver.containers.execute import execute as carry_out

    identity = session.store.containers.resolve(container).id
    if options.detach or files.stdout is not None or files.stderr is not None:
        code = carry_out(
            session.store,
            identity,
            command,
            options,
            stdin=files.stdin,
            stdout=files.stdout,
            stderr=files.stderr,
        )
        return RunResult(identity, code, b"", b"")
    with Capture(None) as output:
        code = carry_out(
            session.store,
            identity,
            command,
            options,
            stdin=files.stdin,
            stdout=output.stdout,
            stderr=output.stderr,
        )
    return RunResult(identity, code, output.collected(1), output.collected(2))


def list_all(session: Session, all_: bool) -> list[ContainerSummary]:
    """List the running containers, or all."""
    from dissolver.containers import life as containers

    return containers.list_containers(session.store, all_=all_)


def summary(session: Session, container: str) -> ContainerSummary:
    """Tell about one container."""
    from dissolver.containers import life as containers

    return containers.describe(session.store, session.store.containers.resolve(container))


def is_running(session: Session, identity: str) -> bool:
    """Tell whether the container with this ID runs; one that is gone does not."""
    from dissolver.containers import life as containers

    try:
        record = session.store.containers.get(identity)
    except ContainerNotFound:
        return False
    return containers.state_of(session.store, record).is_running


def stop(session: Session, container: str, timeout: float | None) -> None:
    """Ask a container to end, and see that it does."""
    from dissolver.containers import life as containers

    containers.stop(session.store, container, timeout=timeout)


def kill(session: Session, container: str, signal: str) -> None:
    """Send a signal to a container."""
    from dissolver.containers import life as containers

    containers.kill(session.store, container, signal)


def remove(session: Session, container: str, force: bool, removes_volumes: bool) -> None:
    """Remove a container."""
    from dissolver.containers import life as containers

    containers.remove(session.store, container, force=force, removes_volumes=removes_volumes)


def logs(session: Session, container: str, follow: bool, tail: int | None) -> Iterator[LogLine]:
    """Yield what a container wrote."""
    from dissolver.containers import life as containers

    return containers.logs(session.store, container, follow=follow, tail=tail)


def wait(session: Session, container: str) -> int:
    """Wait for the end of a container."""
    from dissolver.containers import life as containers

    return containers.wait(session.store, container)


def current_directory() -> str:
    """Tell where relative paths begin for the program that calls, not for a worker."""
    return str(Path.cwd())
