"""The only maker of sandbox specifications: of RUN steps, containers, and further processes.

What differs between the three is data: `Process` says what runs, `World` what it sees,
`Confinement` what it may do. A protection that one of them has, all have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import msgspec

from dissolver.sandbox import confinement, defaults, spec
from dissolver.sandbox.confinement import USUAL, Confinement
from dissolver.sandbox.spec import (
    BindMount,
    CgroupMount,
    DevMount,
    DevptsMount,
    MqueueMount,
    ProcMount,
    SandboxSpec,
    SysfsMount,
    TmpfsMount,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from dissolver.sandbox.spec import Mount, Rootfs
    from dissolver.sandbox.users import User as Identity


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """What runs, and as whom; ``env`` holds ``NAME=value`` texts, ``window`` rows and columns."""

    argv: Sequence[str]
    env: Iterable[str]
    cwd: str
    user: Identity
    terminal: bool = False
    window: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What the process sees of a machine; ``mounts`` come after the system's own.

    ``names_itself`` puts the host name into the environment as well.
    """

    rootfs: Rootfs
    hostname: str
    network: Literal["host", "new"]
    mounts: Sequence[Mount] = ()
    names_itself: bool = True


def assemble(
    process: Process, world: World, confined: Confinement = USUAL, *, filters: Path
) -> SandboxSpec:
    """Specify the first process of a sandbox; it lives as long as whoever starts it.

    ``filters`` is the directory in which compiled system call filters are kept.

    Raises:
        RunError: the filter cannot be compiled.
    """
    import resource

    filter_: str | None = None
    if confined.is_filtered:
        from dissolver.sandbox import seccomp

        program = seccomp.default_filter(confined.capabilities, cache=filters)
        filter_ = seccomp.encoded(program)
    hostname = world.hostname if world.names_itself else None
    return SandboxSpec(
        rootfs=world.rootfs,
        hostname=world.hostname,
        argv=tuple(process.argv),
        env=environment(
            process.env, home=process.user.home, hostname=hostname, terminal=process.terminal
        ),
        cwd=process.cwd or "/",
        user=_ids(process.user),
        umask=defaults.UMASK,
        terminal=process.terminal,
        window=process.window,
        mounts=(*system_mounts(confined), *world.mounts),
        namespaces=spec.Namespaces(world.network),
        capabilities=confined.capabilities,
        no_new_privileges=confined.no_new_privileges,
        devices="all" if confined.is_privileged else "own",
        seccomp=filter_,
        masked_paths=confined.masked_paths,
        read_only_paths=confined.read_only_paths,
        rlimits=confined.all_limits(resource.getrlimit(resource.RLIMIT_NOFILE)[1]),
        sysctls=dict(confinement.NETWORK_SYSCTLS) if world.network == "new" else {},
    )


def unstarted(world: World) -> SandboxSpec:
    """Specify a root file system with its mounts, on which no program is ever started."""
    return SandboxSpec(
        rootfs=world.rootfs,
        hostname=world.hostname,
        argv=("/",),
        env=(),
        cwd="/",
        user=spec.User(0, 0, (0,)),
        umask=defaults.UMASK,
        mounts=tuple(world.mounts),
        namespaces=spec.Namespaces(world.network),
        capabilities=(),
        seccomp=None,
        masked_paths=(),
        read_only_paths=(),
    )


def joining(base: SandboxSpec, process: Process, *, dies_with_parent: bool) -> SandboxSpec:
    """Specify one more process in the sandbox that ``base`` started, confined as its first one."""
    return msgspec.structs.replace(
        base,
        argv=tuple(process.argv),
        env=environment(
            process.env,
            home=process.user.home,
            hostname=base.hostname,
            terminal=process.terminal,
        ),
        cwd=process.cwd or "/",
        user=_ids(process.user),
        terminal=process.terminal,
        window=process.window,
        die_with_parent=dies_with_parent,
    )


def system_mounts(confined: Confinement = USUAL) -> tuple[Mount, ...]:
    """List the mounts that every sandbox has, in the order they are made."""
    is_open = confined.is_privileged
    return (
        ProcMount(),
        DevMount(),
        DevptsMount(),
        SysfsMount(read_only=not is_open),
        CgroupMount(read_only=not is_open),
        MqueueMount(),
        TmpfsMount("/dev/shm", confined.shm_bytes, 0o1777),  # noqa: S108 - inside the container
    )


def etc_mounts(files: Iterable[tuple[str, str]]) -> tuple[BindMount, ...]:
    """Turn files of the network, as (path, place inside), into mounts."""
    return tuple(BindMount(path, place, create="file") for path, place in files)


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


def _ids(user: Identity) -> spec.User:
    return spec.User(user.uid, user.gid, user.groups)
