"""Processes by number and start time, and the ones that watch over containers.

A number alone may belong to another process by now. Leases, caches of namespaces and
container states name their owners this way, and ask here whether they still live.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from dissolver._core import sandbox


class Supervisor(msgspec.Struct, frozen=True):
    """A process, identified beyond its number by when it started (in clock ticks)."""

    pid: int
    start_time: int


class _Watched(msgspec.Struct, frozen=True):
    """The part of a container's state file that says who keeps it, and whether that has ended."""

    status: str = "created"
    supervisor: Supervisor | None = None


def is_alive(pid: int, start_time: int) -> bool:
    """Report whether the process that had this number at this time is still there."""
    return pid > 0 and sandbox.start_time(pid) == start_time


def this_process() -> tuple[int, int]:
    """Return the number of the calling process and when it started."""
    import os

    pid = os.getpid()
    return pid, sandbox.start_time(pid) or 0


def has_live_supervisor(state_file: str) -> bool:
    """Report whether the supervisor that writes ``state_file`` is alive."""
    found = _read(state_file)
    return (
        found is not None
        and found.supervisor is not None
        and is_alive(found.supervisor.pid, found.supervisor.start_time)
    )


def ended_without_a_word(state_file: str) -> bool:
    """Report whether the supervisor that kept ``state_file`` was killed, and tidied nothing up.

    A file that is not there belongs to a container that was removed, which tidies up as well.
    """
    found = _read(state_file)
    return (
        found is not None
        and found.status != "exited"
        and found.supervisor is not None
        and not is_alive(found.supervisor.pid, found.supervisor.start_time)
    )


def _read(state_file: str) -> _Watched | None:
    try:
        return msgspec.json.decode(Path(state_file).read_bytes(), type=_Watched)
    except (OSError, msgspec.MsgspecError):
        return None
