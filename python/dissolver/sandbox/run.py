"""One RUN step: a process on top of layers, and what it left in the writable one."""

from __future__ import annotations

import os
import select
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from dissolver._core import CoreError, sandbox
from dissolver.errors import NetworkError, RunError
from dissolver.network.plan import parse_mode, plan_network
from dissolver.network.programs import Command, run_command
from dissolver.sandbox import certificates, defaults, rootfs, rootless, spec, users
from dissolver.sandbox.assemble import Process as Program
from dissolver.sandbox.assemble import World, assemble, etc_mounts, system_mounts
from dissolver.sandbox.confinement import USUAL, Confinement
from dissolver.sandbox.upper import make_directories, make_working_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from dissolver._core.layer import View
    from dissolver._core.sandbox import Process
    from dissolver.network.hosts import Host
    from dissolver.network.plan import NetworkPlan
    from dissolver.sandbox.certificates import Bundle, Loan
    from dissolver.sandbox.spec import Mount
    from dissolver.store import Store

POLL_MILLISECONDS = 50
"""How long a cancelled step runs on at most."""

CHUNK_BYTES = 64 << 10
"""A pipe's capacity: what can be read at once."""

KILLED = 137
NOT_FOUND, NOT_EXECUTABLE = 127, 126


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a step sees of a machine, where it is not the usual.

    ``hosts`` are names with addresses, as ``network.hosts`` reads them; ``confinement`` is
    what it may do.
    """

    hosts: tuple[Host, ...] = ()
    confinement: Confinement = USUAL


PLAIN = Surroundings()


@dataclass
class StepResult:
    """How a step ended.

    ``status`` is the exit code, or 128 + n when signal n ended it. ``upper`` holds what the
    step wrote, for ``Layers.commit_upper`` together with ``stubs``; it is ``None`` for a step
    that was cancelled or whose program could not be started. The directory lives as long as
    this object, or until ``close``.
    """

    status: int
    upper: Path | None
    stubs: list[bytes]
    _workspace: AbstractContextManager[Path] | None = field(default=None, repr=False)

    def close(self) -> None:
        """Remove what is left of the step's directories; closing again changes nothing."""
        if self._workspace is not None:
            self._workspace.__exit__(None, None, None)
            self._workspace = None

    def __enter__(self) -> StepResult:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def run_step(
    store: Store,
    *,
    parents: Sequence[str],
    argv: Sequence[str],
    env: Sequence[tuple[str, str]],
    cwd: str,
    user: str = "",
    network: str = "default",
    hostname: str = defaults.BUILD_HOSTNAME,
    extra_mounts: Sequence[Mount | Bundle] = (),
    surroundings: Surroundings = PLAIN,
    on_output: Callable[[bytes], None],
    is_cancelled: Callable[[], bool],
    is_rootless: bool | None = None,
) -> StepResult:
    """Run ``argv`` on top of the layers ``parents`` (bottom first) and wait for its end.

    ``on_output`` gets everything the process writes to either stream, in order, from the
    calling thread. A true ``is_cancelled`` kills the process and all it started. When this
    returns nothing of the step runs or is mounted any more, however it ended; a killed
    caller leaves a directory that the store's next sweep removes, and no process.

    ``surroundings`` say what is unusual about the machine that the process sees.

    Raises:
        RunError: the sandbox could not be set up, or the user does not exist.
        NetworkError: the network that was asked for could not be set up.
    """
    workspace = store.workspace(waits=False)
    directory = workspace.__enter__()
    try:
        step = _Step(store, directory, parents, extra_mounts, surroundings, is_rootless=is_rootless)
        step.connect(network, hostname)
        specification = step.specify(argv, env, cwd, user, hostname)
        status = step.run(specification, on_output, is_cancelled)
    except BaseException:
        workspace.__exit__(None, None, None)
        raise
    upper = step.upper if status is not None else None
    result = StepResult(KILLED if status is None else status, upper, step.stubs, workspace)
    if status is None:
        result.close()
    return result


class _Step:
    """The parts of one step, made in the order of the methods."""

    def __init__(
        self,
        store: Store,
        directory: Path,
        parents: Sequence[str],
        mounts: Sequence[Mount | Bundle],
        surroundings: Surroundings,
        *,
        is_rootless: bool | None,
    ) -> None:
        self._store = store
        self._surroundings = surroundings
        self._directory = directory
        self._parents = list(parents)
        self._is_rootless = rootless.is_rootless() if is_rootless is None else is_rootless
        self._view: View = store.layers.view(self._parents)
        self._mounts = [mount for mount in mounts if not isinstance(mount, certificates.Bundle)]
        bundle = certificates.split(mounts)
        self._loan: Loan | None = None
        if bundle is not None:
            self._loan = certificates.lend(bundle, self._view, directory)
            self._mounts += self._loan.mounts
        self._plan: NetworkPlan | None = None
        self.stubs: list[bytes] = []
        self.upper = directory / "upper"

    def connect(self, mode: str, hostname: str) -> None:
        """Plan the network; the name of its lease is unique to the step."""
        import secrets

        self._name = secrets.token_hex(6)
        self._plan = plan_network(
            parse_mode(mode),
            name=self._name,
            hostname=hostname,
            is_rootless=self._is_rootless,
            run=self._store.run,
            is_step=True,
            hosts=self._surroundings.hosts,
        )

    def specify(
        self,
        argv: Sequence[str],
        env: Sequence[tuple[str, str]],
        cwd: str,
        user: str,
        hostname: str,
    ) -> bytes:
        """Make the directories and write the specification."""
        assert self._plan is not None  # noqa: S101 - `connect` came first
        make_directories(self._view, self._directory)
        make_working_directory(self._view, self.upper, cwd or "/")
        files = etc_mounts(self._plan.files.write(self._directory, with_hostname=False))
        mounts = [*files, *self._mounts]
        lent = self._loan.lower if self._loan else None
        roots = spec.Rootfs(
            lowers=self._stack(mounts, lent),
            upper=str(self.upper),
            work=str(self._directory / "work"),
            mountpoint=str(self._directory / "root"),
            userxattr=self._is_rootless,
            volatile=True,
        )
        process = Program(
            argv=argv,
            env=[f"{name}={value}" for name, value in env],
            cwd=cwd,
            user=users.resolve_user(user, self._view),
        )
        world = World(
            rootfs=roots,
            hostname=hostname,
            network=self._plan.namespace,
            mounts=mounts,
            # What it prints must not depend on a name.
            names_itself=False,
        )
        confined = self._surroundings.confinement
        return spec.encode_spec(assemble(process, world, confined, filters=self._store.run))

    def _stack(self, mounts: Sequence[Mount], lent: Path | None) -> tuple[spec.Lower, ...]:
        """Order the layers, and put mount points that the image lacks below them all."""
        targets = [(m.target, _is_directory(m)) for m in mounts]
        directories, files = rootfs.missing_stubs(self._view, targets)
        below = [rootfs.stubs_directory(self._store.root, is_step=True)]
        files = [name for name in files if name not in rootfs.STEP_STUB_FILES]
        if directories or files:
            extra = self._directory / "stubs"
            rootfs.make_stubs(extra, directories, files)
            below.append(extra)
        system = [mount.target for mount in system_mounts()]
        places = [*system, *(target for target, _ in targets)]
        if self._loan is not None:
            # A step that only touched the bundle has copied the directories it is lent in.
            places += [str(PurePosixPath(target).parent) for target in self._loan.targets]
        self.stubs = rootfs.missing_paths(self._view, places)
        stack = rootfs.lowers(self._store.layers, self._parents, *below)
        return (str(lent), *stack) if lent else stack

    def run(
        self,
        specification: bytes,
        on_output: Callable[[bytes], None],
        is_cancelled: Callable[[], bool],
    ) -> int | None:
        """Start the process and see it through; ``None`` for a cancelled one."""
        assert self._plan is not None  # noqa: S101 - `connect` came first
        reading, writing = os.pipe2(os.O_CLOEXEC)
        process: Process | None = None
        try:
            process = _started(specification, writing)
            _connect(process, self._plan.setup)
            refused = _release(process, on_output)
            os.close(writing)
            writing = -1
            if refused is not None:
                return refused
            status = _watch(process, reading, on_output, is_cancelled)
        finally:
            if process is not None:
                process.close()
            for descriptor in (reading, writing):
                if descriptor >= 0:
                    os.close(descriptor)
            self._disconnect()
        if self._loan is not None and status is not None:
            self._loan.settle(self.upper, self._view)
        return status

    def _disconnect(self) -> None:
        assert self._plan is not None  # noqa: S101 - `connect` came first
        for command in self._plan.teardown:
            run_command(command, "disconnecting the network")
        if self._plan.address:
            from dissolver.network import bridge

            bridge.detach(self._name)


def _started(specification: bytes, output: int) -> Process:
    try:
        return sandbox.start(specification, stdin=None, stdout=output, stderr=output)
    except CoreError as problem:
        raise explain(problem) from problem


def _connect(process: Process, setup: Sequence[Command]) -> None:
    try:
        for command in setup:
            bound = command.bound_to(process.pid, process.network_namespace)
            run_command(bound, "connecting the network")
    except NetworkError:
        # A process whose own set-up failed has no network any more; that is the reason to report.
        try:
            process.await_gate()
        except CoreError as problem:
            raise explain(problem) from problem
        raise


def _release(process: Process, on_output: Callable[[bytes], None]) -> int | None:
    """Let the process go; answer an exit code if its program cannot be executed."""
    try:
        process.release()
    except CoreError as problem:
        codes = {"not-found": NOT_FOUND, "not-executable": NOT_EXECUTABLE}
        if problem.kind not in codes:
            raise explain(problem) from problem
        on_output(f"{problem.message}\n".encode(errors="surrogateescape"))
        return codes[problem.kind]
    return None


def explain(problem: CoreError) -> RunError:
    """Turn the core's report of a failed set-up into an error of this package."""
    return RunError(f"the sandbox could not be set up: {problem.message}", hint=problem.hint)


def _watch(
    process: Process,
    reading: int,
    on_output: Callable[[bytes], None],
    is_cancelled: Callable[[], bool],
) -> int | None:
    """Pass output on until there is no more, then wait for the end of the process."""
    poll = select.poll()
    poll.register(reading, select.POLLIN)
    while True:
        if is_cancelled():
            return None
        if not poll.poll(POLL_MILLISECONDS):
            continue
        data = os.read(reading, CHUNK_BYTES)
        if not data:
            break
        on_output(data)
    while (status := process.wait(POLL_MILLISECONDS / 1000)) is None:
        if is_cancelled():
            return None
    return status


def _is_directory(mount: Mount) -> bool:
    if isinstance(mount, spec.LayersMount):
        return mount.create == "directory"
    if not isinstance(mount, spec.BindMount):
        return not isinstance(mount, spec.MemoryFile)
    return mount.create == "directory" or (mount.create is None and Path(mount.source).is_dir())
