"""What a sandboxed process may do and see: Docker's defaults, and what options change of them.

A `Confinement` is a value: parsing makes one, a cache key names where it is not the usual,
`assemble` turns it into the fields of a specification, ``inspect`` shows it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence


class Limit(msgspec.Struct, frozen=True):
    """A resource limit by its name in lower case, such as ``nofile``."""

    name: str
    soft: int
    hard: int


CAPABILITIES = (
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
)
"""What root inside a container may do."""

ALL_CAPABILITIES = (
    *CAPABILITIES,
    "CAP_AUDIT_CONTROL",
    "CAP_AUDIT_READ",
    "CAP_BLOCK_SUSPEND",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
    "CAP_DAC_READ_SEARCH",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_LEASE",
    "CAP_LINUX_IMMUTABLE",
    "CAP_MAC_ADMIN",
    "CAP_MAC_OVERRIDE",
    "CAP_NET_ADMIN",
    "CAP_NET_BROADCAST",
    "CAP_PERFMON",
    "CAP_SYSLOG",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_MODULE",
    "CAP_SYS_NICE",
    "CAP_SYS_PACCT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_WAKE_ALARM",
)
"""Everything that there is to be allowed; what the builder lacks itself is left out."""

MASKED_PATHS = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
"""What a container cannot see: it would learn about the machine and its other users."""

READ_ONLY_PATHS = (
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
)
"""What a container may read but not change, for it belongs to the whole machine."""

SHM_BYTES = 64 << 20
"""The size of /dev/shm."""

OPEN_FILES = Limit("nofile", 1024, 524_288)
"""What a container may open, whatever the caller's own limit is: a result must not depend on
that. Programs that want more raise the soft limit, as they do under systemd."""

NETWORK_SYSCTLS = {"net.ipv4.ip_unprivileged_port_start": "0"}
"""Set in a network namespace of the container's own: its ports concern nobody else, so a
server that does not run as root may listen on port 80."""


class Confinement(msgspec.Struct, frozen=True, kw_only=True):
    """What one process, and all it starts, may do and see.

    ``seccomp`` is the system call filter. ``shm_bytes`` is the size of ``/dev/shm``, and
    ``limits`` hold what differs from `OPEN_FILES`. One that ``is_privileged`` has every right
    of whoever starts it, all devices, no filter, and nothing masked.
    """

    seccomp: Literal["default", "unconfined"] = "default"
    no_new_privileges: bool = False
    limits: tuple[Limit, ...] = ()
    shm_bytes: int = SHM_BYTES
    is_privileged: bool = False

    @property
    def capabilities(self) -> tuple[str, ...]:
        """The most that any process inside may get; user 0 has it from the start."""
        return ALL_CAPABILITIES if self.is_privileged else CAPABILITIES

    @property
    def is_filtered(self) -> bool:
        """Whether a filter for system calls applies."""
        return not self.is_privileged and self.seccomp == "default"

    @property
    def masked_paths(self) -> tuple[str, ...]:
        """What is hidden: Docker's list, and a directory for each processor that tells heat."""
        return () if self.is_privileged else (*MASKED_PATHS, *_thermal_paths())

    @property
    def read_only_paths(self) -> tuple[str, ...]:
        """What cannot be written to."""
        return () if self.is_privileged else READ_ONLY_PATHS

    def all_limits(self, hard: int) -> tuple[Limit, ...]:
        """List the limits of the process; ``hard`` is the highest ``nofile`` that can be had."""
        most = hard if hard >= 0 else OPEN_FILES.hard
        usual = Limit("nofile", min(OPEN_FILES.soft, most), min(OPEN_FILES.hard, most))
        named = {usual.name: usual, **{limit.name: limit for limit in self.limits}}
        return tuple(named.values())


USUAL = Confinement()
PROCESSORS = "/sys/devices/system/cpu"


def _thermal_paths() -> Sequence[str]:
    """List what tells how hot each processor is, and with that what others compute on it."""
    import os

    found = []
    try:
        with os.scandir(PROCESSORS) as entries:
            for entry in entries:
                place = f"{PROCESSORS}/{entry.name}/thermal_throttle"
                if entry.name[:3] == "cpu" and entry.name[3:].isdigit() and os.access(place, 0):
                    found.append(place)
    except OSError:
        return []
    return sorted(found)
