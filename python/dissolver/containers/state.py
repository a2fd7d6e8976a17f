"""What a container is doing: the file its supervisor keeps, checked against the living."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from dissolver.store.processes import Supervisor, is_alive

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = 1
FILE = "state.json"

KILLED = 137
"""The exit code of a container whose supervisor died: it went down with SIGKILL."""

Status = Literal["created", "running", "exited"]


class Fault(msgspec.Struct, frozen=True):
    """Why a container did not start, or ended without an exit code of its own."""

    kind: str
    message: str
    hint: str | None = None


class State(msgspec.Struct, frozen=True):
    """What is known about a container's process; times are in nanoseconds since the epoch."""

    format: int = FORMAT
    status: Status = "created"
    pid: int = 0
    supervisor: Supervisor | None = None
    started_at: int | None = None
    finished_at: int | None = None
    exit_code: int | None = None
    error: Fault | None = None

    @property
    def is_running(self) -> bool:
        """Tell whether the container's process runs."""
        return self.status == "running"


def read_state(directory: Path) -> State:
    """Read the state of the container in ``directory``, and see whether it is still true.

    A container without a state file was created and never started. One whose supervisor
    is gone without a word has exited: its process was killed with the supervisor.
    """
    path = directory / FILE
    found = _decode(path)
    if found is None or found.status == "exited" or found.supervisor is None:
        return found or State()
    if is_alive(found.supervisor.pid, found.supervisor.start_time):
        return found
    # The supervisor may have written its last word between the two looks.
    again = _decode(path)
    if again is not None and (again.status == "exited" or again.supervisor != found.supervisor):
        return again
    if found.status == "created":
        return State()
    return msgspec.structs.replace(
        found,
        status="exited",
        pid=0,
        exit_code=KILLED,
        finished_at=found.finished_at or _modified(path),
        error=Fault("supervisor-died", "the container's supervisor was killed"),
    )


def _decode(path: Path) -> State | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=State)
    except (OSError, msgspec.MsgspecError):
        return None


def _modified(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None
