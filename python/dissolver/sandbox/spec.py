"""The sandbox specification: what the core is asked to set up, as values.

These structs are the JSON that ``_core.sandbox`` reads, field for field, and pure values.
`dissolver.sandbox.assemble` is the only place that makes one.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from dissolver.sandbox.confinement import Limit

FORMAT = 1


class ErofsLower(msgspec.Struct, frozen=True):
    """A layer that is mounted in place: an EROFS image, and the files its contents lie in."""

    erofs: str
    devices: tuple[str, ...]


Lower = str | ErofsLower
"""One read-only part of a root file system; a text is a directory."""


class Rootfs(msgspec.Struct, frozen=True):
    """The layers to stack: ``lowers`` has the top-most first.

    Without ``upper`` and ``work`` nothing can be written. ``mountpoint`` is an empty
    directory of the host. All paths are absolute. ``volatile`` leaves out syncing, for an
    upper directory that a crash makes worthless anyway.
    """

    lowers: tuple[Lower, ...]
    upper: str | None
    work: str | None
    mountpoint: str
    read_only: bool = False
    userxattr: bool = False
    volatile: bool = False


class BindMount(msgspec.Struct, frozen=True, tag_field="kind", tag="bind"):
    """A path of the host that shows up at ``target``; both are absolute.

    ``create`` makes a missing *source* impossible to overlook: it stays an error. It
    names what a missing target becomes; ``None`` takes the source's own type.
    """

    source: str
    target: str
    read_only: bool = False
    recursive: bool = True
    create: Literal["directory", "file"] | None = None


class TmpfsMount(msgspec.Struct, frozen=True, tag_field="kind", tag="tmpfs"):
    """An empty file system in memory; ``size`` is in bytes, ``None`` for half the memory."""

    target: str
    size: int | None = None
    mode: int = 0o1777
    executable: bool = False
    read_only: bool = False


class DevMount(msgspec.Struct, frozen=True, tag_field="kind", tag="dev"):
    """The device directory with its standard nodes and links."""

    target: str = "/dev"


class ProcMount(msgspec.Struct, frozen=True, tag_field="kind", tag="proc"):
    """The process file system of the container's own process namespace."""

    target: str = "/proc"


class SysfsMount(msgspec.Struct, frozen=True, tag_field="kind", tag="sysfs"):
    """The kernel's objects, read-only unless it says otherwise."""

    target: str = "/sys"
    read_only: bool = True


class DevptsMount(msgspec.Struct, frozen=True, tag_field="kind", tag="devpts"):
    """Pseudo-terminals of the container's own."""

    target: str = "/dev/pts"


class MqueueMount(msgspec.Struct, frozen=True, tag_field="kind", tag="mqueue"):
    """POSIX message queues."""

    target: str = "/dev/mqueue"


class CgroupMount(msgspec.Struct, frozen=True, tag_field="kind", tag="cgroup"):
    """The container's control groups, read-only unless it says otherwise."""

    target: str = "/sys/fs/cgroup"
    read_only: bool = True


class LayersMount(msgspec.Struct, frozen=True, tag_field="kind", tag="layers"):
    """A file or directory out of layers, stacked as ``rootfs`` says, at ``target``.

    ``source`` is absolute within them, and links in it stay inside. ``create`` names what
    a missing target becomes.
    """

    rootfs: Rootfs
    source: str
    target: str
    read_only: bool
    create: Literal["directory", "file"]


class MemoryFile(msgspec.Struct, frozen=True, tag_field="kind", tag="file"):
    """A read-only file that lies in memory only; ``content`` is written as base64.

    ``mountpoint`` is an empty directory of the host. A process has to be allowed to
    execute it by ``executable`` and by its mode.
    """

    content: bytes
    mountpoint: str
    target: str
    mode: int
    uid: int = 0
    gid: int = 0
    executable: bool = False

    def __repr__(self) -> str:
        # The content may be a secret.
        return f"MemoryFile(target={self.target!r}, {len(self.content)} bytes)"


Mount = (
    BindMount
    | TmpfsMount
    | DevMount
    | ProcMount
    | SysfsMount
    | DevptsMount
    | MqueueMount
    | CgroupMount
    | LayersMount
    | MemoryFile
)


class User(msgspec.Struct, frozen=True):
    """Numbers that the process runs with; ``groups`` includes ``gid``."""

    uid: int
    gid: int
    groups: tuple[int, ...]


class Namespaces(msgspec.Struct, frozen=True):
    """Which namespaces are new; mount, pid, uts, ipc and cgroup always are."""

    network: Literal["host", "new"]


class SandboxSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that ``_core.sandbox`` needs to know about one process and its surroundings.

    ``seccomp`` is a filter in base64, or ``None`` for no filter. ``window`` is rows and
    columns. ``umask`` and modes are numbers. Mounts are made in order. ``devices`` are the
    container's own few, or all that the machine has: then device files work wherever they are.
    """

    format: int = FORMAT
    rootfs: Rootfs
    hostname: str
    argv: tuple[str, ...]
    env: tuple[str, ...]
    cwd: str
    user: User
    umask: int
    terminal: bool = False
    window: tuple[int, int] | None = None
    mounts: tuple[Mount, ...] = ()
    namespaces: Namespaces
    capabilities: tuple[str, ...]
    no_new_privileges: bool = False
    devices: Literal["own", "all"] = "own"
    seccomp: str | None
    masked_paths: tuple[str, ...]
    read_only_paths: tuple[str, ...]
    rlimits: tuple[Limit, ...] = ()
    sysctls: dict[str, str] = {}
    die_with_parent: bool = True


def encode_spec(spec: SandboxSpec) -> bytes:
    """Write ``spec`` as the JSON that the core reads."""
    return msgspec.json.encode(spec)


def decode_spec(data: bytes) -> SandboxSpec:
    """Read a specification that this version wrote."""
    return msgspec.json.decode(data, type=SandboxSpec)
