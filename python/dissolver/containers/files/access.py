"""A container's files from outside, whether it runs or not.

A running container's root is the one of its first process. For one that does not run,
the same mounts are made as for a start, volumes included, in a process that waits at
its gate and never runs anything. Either way the kernel resolves paths, copies up and
records removals, and no path leads out (``_core.files.Root``).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from dissolver._core import CoreError
from dissolver.containers import life as containers
from dissolver.containers import state, volumes
from dissolver.errors import RunError
from dissolver.sandbox import rootfs, spec
from dissolver.sandbox.assemble import World, unstarted
from dissolver.sandbox.rootless import is_rootless
from dissolver.sandbox.upper import make_directories

if TYPE_CHECKING:
    from pathlib import Path

    from dissolver._core.files import Root
    from dissolver._core.sandbox import Process
    from dissolver.store import Store
    from dissolver.store.containers import ContainerRecord

_PATH_ONLY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


@contextmanager
def opened_root(store: Store, record: ContainerRecord) -> Iterator[Root]:
    """Open the root directory of a container.

    A container that does not run cannot be started meanwhile; starting it waits.

    Raises:
        RunError: its file system cannot be mounted.
    """
    from dissolver._core.files import Root

    directory = store.containers.directory(record.id)
    with ExitStack() as stack:
        descriptor = _running_root(directory)
        if descriptor is None:
            stack.enter_context(containers.locked(directory))
            stack.enter_context(store.lock_shared())
            # It may have been started before the lock was free.
            descriptor = _running_root(directory)
        if descriptor is None:
            process = stack.enter_context(_mounted(store, record, directory))
            descriptor = os.open(f"/proc/{process.pid}/root", _PATH_ONLY)
        stack.callback(os.close, descriptor)
        yield Root(descriptor)


def machine_root() -> Root:
    """Open the machine's own root directory."""
    from dissolver._core.files import Root

    descriptor = os.open("/", _PATH_ONLY)
    try:
        return Root(descriptor)
    finally:
        os.close(descriptor)


def _running_root(directory: Path) -> int | None:
    """Open the root of the first process, if there is one, running or about to."""
    before = state.read_state(directory)
    if before.status == "exited" or not before.pid:
        return None
    try:
        descriptor = os.open(f"/proc/{before.pid}/root", _PATH_ONLY)
    except (FileNotFoundError, ProcessLookupError):
        return None
    after = state.read_state(directory)
    if after.status != "exited" and after.pid == before.pid:
        return descriptor
    # The number may have become another process's before it was opened.
    os.close(descriptor)
    return None


@contextmanager
def _mounted(store: Store, record: ContainerRecord, directory: Path) -> Iterator[Process]:
    from dissolver._core import sandbox

    config = containers.config_of(record)
    diff_ids = store.containers.layers(record.id)
    view = store.layers.view(diff_ids)
    make_directories(view, directory)
    world = World(
        rootfs=spec.Rootfs(
            lowers=rootfs.lowers(store.layers, diff_ids, rootfs.stubs_directory(store.root)),
            upper=str(directory / "upper"),
            work=str(directory / "work"),
            mountpoint=str(directory / "root"),
            read_only=config.is_read_only,
            userxattr=is_rootless(),
        ),
        hostname=record.name,
        network="host",
        mounts=volumes.mount_volumes(config.volumes, directory=store.layout.volumes, view=view),
    )
    specification = unstarted(world)
    try:
        process = sandbox.start(
            spec.encode_spec(specification), stdin=None, stdout=None, stderr=None
        )
    except CoreError as error:
        raise _unmountable(record, error) from error
    with process:
        try:
            process.await_gate()
        except CoreError as error:
            raise _unmountable(record, error) from error
        yield process


def _unmountable(record: ContainerRecord, error: CoreError) -> RunError:
    return RunError(
        f"the file system of the container `{record.name}` cannot be mounted: {error.message}",
        hint=error.hint,
    )
