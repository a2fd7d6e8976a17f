"""Containers' processes: started, entered, supervised. See ``docs/sandbox.md``.

Every function raises ``CoreError``; what ``kind`` may be is said where it matters.
"""

from collections.abc import Sequence
from os import PathLike
from types import TracebackType
from typing import Self, final

@final
class Process:
    """A sandboxed process. Leaving its context closes it.

    It was set up, or is being set up, and waits at its gate until ``release``.
    """

    @property
    def pid(self) -> int:
        """Its process ID, as this process sees it."""

    @property
    def network_namespace(self) -> str:
        """A path to its network namespace, good for other processes until ``close``."""

    @property
    def terminal(self) -> int | None:
        """The master's end of its terminal, open until ``close``."""

    @property
    def pidfd(self) -> int:
        """A descriptor that is readable once the process has ended, open until ``close``."""

    def await_gate(self) -> None:
        """Wait until the process is set up: its mounts are made, and it waits at its gate.

        Raises:
            CoreError: as for `release`.
        """

    def release(self) -> None:
        """Open the gate, and return once the program is running.

        Raises:
            CoreError: ``setup-failed`` (with ``op``, ``path``, ``errno``), ``not-found`` (the
                exit code for it is 127) or ``not-executable`` (126). The process has ended then.
        """

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait for the end and return the exit status; ``None`` if ``timeout`` seconds passed.

        A process that a signal killed has the status 128 + the signal's number.
        """

    def kill(self, signal: int) -> None:
        """Send a signal. Raises ``not-running`` once the process was waited for."""

    def close(self) -> None:
        """Kill the process if it still runs, wait for its end, and close what belongs to it."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...

def start(spec: bytes, *, stdin: int | None, stdout: int | None, stderr: int | None) -> Process:
    """Start a container's first process in new namespaces; it waits at its gate.

    The descriptors are duplicated; ``None`` is ``/dev/null``. With a terminal they are ignored.

    Raises:
        CoreError: ``bad-spec``, or ``setup-failed`` for what failed outside the new process.
    """

def enter(
    pid: int, spec: bytes, *, stdin: int | None, stdout: int | None, stderr: int | None
) -> Process:
    """Start one more process in the container whose first process is ``pid``.

    Of ``spec`` only what concerns a process is used. It waits at its gate as well.

    Raises:
        CoreError: ``not-running``, or as for ``start``.
    """

def supervise(container_directory: str | PathLike[str]) -> int:
    """Start the container in a directory and watch it until its end.

    The body of a process of its own, with a single thread. Returns its exit status.
    """

def describe(spec: bytes) -> list[str]:
    """Say in words what ``start`` would do on this machine."""

def enter_user_namespace(
    uid_map: Sequence[tuple[int, int, int]],
    gid_map: Sequence[tuple[int, int, int]],
    *,
    helpers: bool,
) -> None:
    """Put this process into a user and mount namespace of its own, as root there.

    The maps list (first ID inside, first ID outside, how many). With ``helpers``, newuidmap and
    newgidmap write them; without, each is the caller's own ID alone.

    Raises:
        CoreError: ``has-threads``, ``map-refused`` or ``setup-failed``. Where mapping failed, the
            process must not go on.
    """

def join_user_namespace(pid: int) -> None:
    """Put this process into the user and mount namespaces of another one, as root there.

    Raises:
        CoreError: ``has-threads``, ``not-running`` or ``setup-failed``.
    """

def remove_groups_left_behind() -> None:
    """Remove the control groups of containers and steps whose owner was killed.

    Cheap where there are none. What is in use, or may not be removed, stays.
    """

def start_time(pid: int) -> int | None:
    """Tell when a process started, in clock ticks since the machine did; ``None`` if it ended.

    Together with the process ID this names one process for as long as the machine runs.
    """

def set_window(fd: int, rows: int, columns: int) -> None:
    """Set the size of a terminal, in characters."""

def probe(directory: str | PathLike[str]) -> dict[str, str]:
    """Try out what this machine allows; a feature has an empty text, or why it is refused.

    ``directory`` must be writable and on the file system that layers will be on. Features:
    ``overlay``, ``overlay-userxattr``, ``namespaces``, ``user-namespace``, ``mount-api``,
    ``devices``, ``cgroup2``, ``seccomp``.
    """
