"""What ``RUN --mount`` puts into a step's file system while it runs.

Every value here is complete: targets are absolute and clean, defaults are filled
in, variables are expanded. Nothing of a mount gets into a layer; what has to be
made to mount on is taken away after the step.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from dissolver.plan.origins import Origin

Sharing = Literal["shared", "private", "locked"]
"""Who may use a cache at once: everyone, everyone with one of their own, or one after the other."""

SECRET_DIRECTORY = "/run/secrets"  # noqa: S105 - a path, and no secret
"""Where secrets without a target are found."""

SSH_DIRECTORY = "/run/buildkit"
"""Where the sockets of agents without a target are found, as ``ssh_agent.0`` and so on."""


class BindMount(msgspec.Struct, frozen=True):
    """Files of ``origin`` at ``target``; ``source`` is absolute within the origin.

    What the step writes to one that is not read-only is thrown away.
    """

    target: str
    source: str = "/"
    origin: Origin = None
    is_read_only: bool = True


class CacheMount(msgspec.Struct, frozen=True):
    """A directory at ``target`` that outlives the build; ``id`` names it.

    It starts empty, or with the directory ``source`` of ``origin`` where
    ``is_seeded``. An empty one belongs to ``uid`` and ``gid`` and has ``mode``.
    ``identity`` is what two mounts must agree in to be the same cache: the same
    ``id`` with another owner, mode, or seed is another cache.
    """

    target: str
    id: str
    sharing: Sharing = "shared"
    is_read_only: bool = False
    is_seeded: bool = False
    origin: Origin = None
    source: str = "/"
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None

    @property
    def identity(self) -> tuple[str, Origin, str, int | None, int | None, int | None]:
        """What tells this cache from others."""
        origin = self.origin if self.is_seeded else None
        return (self.id, origin, self.source, self.mode, self.uid, self.gid)


class TmpfsMount(msgspec.Struct, frozen=True):
    """Memory at ``target``; ``size`` is its limit in bytes, ``None`` the kernel's default."""

    target: str
    size: int | None = None
    is_read_only: bool = False


class SecretMount(msgspec.Struct, frozen=True):
    """The secret ``id``: a file at ``target``, a variable ``env``, or both.

    Where it is not given to the build, a required one is an error, and the step
    runs without any other.
    """

    id: str
    target: str | None
    env: str | None = None
    is_required: bool = False
    mode: int = 0o400
    uid: int = 0
    gid: int = 0


class SshMount(msgspec.Struct, frozen=True):
    """The socket of the SSH agent ``id`` at ``target``; required as for secrets."""

    id: str
    target: str
    is_required: bool = False
    mode: int = 0o600
    uid: int = 0
    gid: int = 0


Mount: TypeAlias = BindMount | CacheMount | TmpfsMount | SecretMount | SshMount
"""Anything that RUN mounts."""


def origin_of(mount: Mount) -> Origin:
    """Return where the files of a mount come from; ``None`` where there are none as well."""
    return mount.origin if isinstance(mount, BindMount | CacheMount) else None


def reads_context(mount: Mount) -> bool:
    """Tell whether a mount shows files of the build context."""
    return isinstance(mount, BindMount) and mount.origin is None
