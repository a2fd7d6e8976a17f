"""The sandbox specification: what the core is asked to set up, as values.

These structs are the JSON that ``_core.sandbox`` reads, field for field. The
functions build the two kinds there are, for a RUN step and for a container,
with Docker's defaults; everything that looks at the machine happens elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from dissolver.runtime import defaults
from dissolver.runtime.users import User as Identity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

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


class UserIds(msgspec.Struct, frozen=True):
    """Numbers that the process runs with; ``groups`` includes ``gid``."""

    uid: int
    gid: int
    groups: tuple[int, ...]


class Namespaces(msgspec.Struct, frozen=True):
    """Which namespaces are new; mount, pid, uts, ipc and cgroup always are."""

    network: Literal["host", "new"]


class Rlimit(msgspec.Struct, frozen=True):
    """A resource limit by its name in lower case, such as ``nofile``."""

    name: str
    soft: int
    hard: int


class SandboxSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that ``_core.sandbox`` needs to know about one process and its surroundings.

    ``seccomp`` is a filter in base64, or ``None`` for no filter. ``window`` is rows and
    columns. ``umask`` and modes are numbers. Mounts are made in order.
    """

    format: int = FORMAT
    rootfs: Rootfs
    hostname: str
    argv: tuple[str, ...]
    env: tuple[str, ...]
    cwd: str
    user: UserIds
    umask: int = defaults.UMASK
    terminal: bool = False
    window: tuple[int, int] | None = None
    mounts: tuple[Mount, ...] = ()
    namespaces: Namespaces
    capabilities: tuple[str, ...] = defaults.CAPABILITIES
    no_new_privileges: bool = False
    seccomp: str | None
    masked_paths: tuple[str, ...] = defaults.MASKED_PATHS
    read_only_paths: tuple[str, ...] = defaults.READ_ONLY_PATHS
    rlimits: tuple[Rlimit, ...] = ()
    sysctls: dict[str, str] = {}
    die_with_parent: bool = True


def encode_spec(spec: SandboxSpec) -> bytes:
    """Write ``spec`` as the JSON that the core reads."""
    return msgspec.json.encode(spec)


def decode_spec(data: bytes) -> SandboxSpec:
    """Read a specification that this version wrote."""
    return msgspec.json.decode(data, type=SandboxSpec)


def system_mounts(
    *, shm_bytes: int = defaults.SHM_BYTES, is_privileged: bool = False
) -> tuple[Mount, ...]:
    """List the mounts that every container has, in the order they are made."""
    return (
        ProcMount(),
        DevMount(),
        DevptsMount(),
        SysfsMount(read_only=not is_privileged),
        CgroupMount(read_only=not is_privileged),
        MqueueMount(),
        TmpfsMount("/dev/shm", shm_bytes, 0o1777),  # noqa: S108 - inside the container
    )


def environment(
    given: Iterable[str], *, home: str, hostname: str | None = None, terminal: bool = False
) -> tuple[str, ...]:
    """Complete an environment of ``NAME=value`` texts with what programs expect to find.

    ``PATH`` and ``HOME`` are added where they are missing, ``HOSTNAME`` where one is given,
    ``TERM`` for terminals. A later text of the same name replaces an earlier one, in its place;
    a name alone removes it.
    """
    variables: dict[str, str] = {"PATH": defaults.PATH}
    if hostname is not None:
        variables["HOSTNAME"] = hostname
    if terminal:
        variables["TERM"] = "xterm"
    for text in given:
        name, equals, value = text.partition("=")
        if equals:
            variables[name] = value
        else:
            variables.pop(name, None)
    if not variables.get("HOME"):
        variables["HOME"] = home
    return tuple(f"{name}={value}" for name, value in variables.items())


def step_spec(
    rootfs: Rootfs,
    *,
    argv: Sequence[str],
    env: Sequence[str],
    cwd: str,
    user: Identity,
    mounts: Sequence[Mount],
    network: Literal["host", "new"],
    seccomp: str | None,
    hostname: str = defaults.BUILD_HOSTNAME,
    shm_bytes: int = defaults.SHM_BYTES,
    rlimits: Sequence[Rlimit] = (),
    is_privileged: bool = False,
) -> SandboxSpec:
    """Specify the process of a RUN step; ``mounts`` come after the system's own.

    One that ``is_privileged`` has every right that this process has.
    """
    return SandboxSpec(
        rootfs=rootfs,
        hostname=hostname,
        argv=tuple(argv),
        env=environment(env, home=user.home),
        cwd=cwd or "/",
        user=UserIds(user.uid, user.gid, user.groups),
        mounts=(*system_mounts(shm_bytes=shm_bytes, is_privileged=is_privileged), *mounts),
        namespaces=Namespaces(network),
        capabilities=defaults.ALL_CAPABILITIES if is_privileged else defaults.CAPABILITIES,
        seccomp=None if is_privileged else seccomp,
        masked_paths=() if is_privileged else defaults.MASKED_PATHS,
        read_only_paths=() if is_privileged else defaults.READ_ONLY_PATHS,
        rlimits=tuple(rlimits),
        sysctls=network_sysctls(network),
    )


def container_spec(
    rootfs: Rootfs,
    *,
    argv: Sequence[str],
    env: Sequence[str],
    cwd: str,
    user: Identity,
    mounts: Sequence[Mount],
    network: Literal["host", "new"],
    seccomp: str | None,
    hostname: str,
    terminal: bool = False,
    window: tuple[int, int] | None = None,
    capabilities: Sequence[str] = defaults.CAPABILITIES,
    no_new_privileges: bool = False,
    shm_bytes: int = defaults.SHM_BYTES,
    rlimits: Sequence[Rlimit] = (),
    sysctls: Mapping[str, str] | None = None,
) -> SandboxSpec:
    """Specify the first process of a container; ``mounts`` come after the system's own.

    It lives as long as its supervisor, which is what starts it.
    """
    return SandboxSpec(
        rootfs=rootfs,
        hostname=hostname,
        argv=tuple(argv),
        env=environment(env, home=user.home, hostname=hostname, terminal=terminal),
        cwd=cwd or "/",
        user=UserIds(user.uid, user.gid, user.groups),
        terminal=terminal,
        window=window,
        mounts=(*system_mounts(shm_bytes=shm_bytes), *mounts),
        namespaces=Namespaces(network),
        capabilities=tuple(capabilities),
        no_new_privileges=no_new_privileges,
        seccomp=seccomp,
        rlimits=tuple(rlimits),
        sysctls={**network_sysctls(network), **(sysctls or {})},
    )


def network_sysctls(network: Literal["host", "new"]) -> dict[str, str]:
    """Give the settings for a network namespace; the host's own are left alone."""
    return dict(defaults.NETWORK_SYSCTLS) if network == "new" else {}


def process_spec(
    base: SandboxSpec,
    *,
    argv: Sequence[str],
    env: Sequence[str],
    cwd: str,
    user: Identity,
    terminal: bool,
    window: tuple[int, int] | None,
    dies_with_parent: bool,
) -> SandboxSpec:
    """Specify one more process in the container that ``base`` started."""
    return msgspec.structs.replace(
        base,
        argv=tuple(argv),
        env=environment(env, home=user.home, hostname=base.hostname, terminal=terminal),
        cwd=cwd or "/",
        user=UserIds(user.uid, user.gid, user.groups),
        terminal=terminal,
        window=window,
        die_with_parent=dies_with_parent,
    )
