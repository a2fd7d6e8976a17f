"""What ``-v`` mounts: directories of the host, and volumes that outlive containers.

A volume is the directory ``volumes/<name>/_data`` of the store. An anonymous one
has 64 hex digits for a name and goes with its container where that is wanted.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from dissolver.containers.names import make_id
from dissolver.errors import BadVolume
from dissolver.sandbox.spec import BindMount
from dissolver.store.workspace import remove_tree

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dissolver._core.layer import View

FORMS = "write `SOURCE:TARGET[:ro]` with an absolute TARGET, such as `./data:/data`"
_OPTIONS = frozenset({"ro", "rw", "z", "Z", "nocopy", "rprivate"})
_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")


class Volume(msgspec.Struct, frozen=True):
    """Something to mount at ``target``: an absolute host path, or a volume by name.

    ``is_anonymous`` marks a volume that was made for one container.
    """

    source: str
    target: str
    is_read_only: bool = False
    is_anonymous: bool = False
    copies: bool = True

    @property
    def is_bind(self) -> bool:
        """Whether the source is a path of the host."""
        return self.source.startswith("/")


def parse_volume(text: str, working_directory: str) -> Volume:
    """Read ``[source:]target[:options]``.

    A source with a slash is a path, relative ones below ``working_directory``; another
    one is the name of a volume; without a source the volume is anonymous.

    Raises:
        BadVolume: the target is not absolute, or an option or name is not known or valid.
    """
    parts = text.split(":")
    if len(parts) > 3 or not all(parts):
        raise BadVolume(f"invalid volume `{text}`", hint=FORMS)
    options: set[str] = set()
    if len(parts) == 3 or (len(parts) == 2 and not parts[1].startswith("/")):
        options = set(parts.pop().split(","))
    unknown = options - _OPTIONS
    if unknown:
        raise BadVolume(
            f"unknown option `{sorted(unknown)[0]}` in volume `{text}`",
            hint="the options are `ro`, `rw` and `nocopy`",
        )
    target = os.path.normpath(parts[-1])
    if target in ("/", "//"):
        raise BadVolume(f"volume `{text}` cannot be mounted on `/`", hint=FORMS)
    if not target.startswith("/"):
        raise BadVolume(f"the target of volume `{text}` must be an absolute path", hint=FORMS)
    is_read_only, copies = "ro" in options, "nocopy" not in options
    if len(parts) == 1:
        return Volume(make_id(), target, is_read_only, is_anonymous=True, copies=copies)
    source = parts[0]
    if "/" in source or source in (".", "..") or source.startswith("~"):
        path = os.path.normpath(Path(working_directory, Path(source).expanduser()))
        return Volume(path, target, is_read_only)
    if len(source) < 2 or not source[0].isalnum() or not _NAME.issuperset(source):
        raise BadVolume(
            f"invalid volume name `{source}` in `{text}`",
            hint="a path begins with `/` or `./`; a name has two or more letters, digits, `_`, `.` "
            "and `-`",
        )
    return Volume(source, target, is_read_only, copies=copies)


def image_volumes(targets: Sequence[str], taken: Sequence[Volume]) -> list[Volume]:
    """Make an anonymous volume for each VOLUME of an image that has no mount yet."""
    have = {volume.target for volume in taken}
    return [
        Volume(make_id(), os.path.normpath(target), is_anonymous=True)
        for target in targets
        if os.path.normpath(target) not in have
    ]


def mount_volumes(
    volumes: Sequence[Volume], *, directory: Path, view: View
) -> tuple[BindMount, ...]:
    """Make what ``volumes`` mount, and return the mounts, the outermost first.

    Missing host directories are created, as Docker does. A volume that is new or empty is
    filled with what the image has at its target. ``directory`` is the store's ``volumes``.

    Raises:
        BadVolume: a host directory cannot be created.
        StoreError: a volume cannot be filled.
    """
    mounts: list[BindMount] = []
    for volume in sorted(volumes, key=lambda one: one.target.count("/")):
        if volume.is_bind:
            source = _host_path(volume.source)
        else:
            # Most containers have no volumes, and start without what fills them.
            from dissolver.containers.filling import filled_volume

            place = directory / volume.source
            source = str(filled_volume(place, volume.target, view, copies=volume.copies))
        create = "directory" if Path(source).is_dir() else "file"
        mounts.append(
            BindMount(
                source,
                volume.target,
                read_only=volume.is_read_only,
                create="directory" if create == "directory" else "file",
            )
        )
    return tuple(mounts)


def remove_volume(directory: Path, name: str) -> None:
    """Remove a volume with all it holds; removing it again changes nothing."""
    remove_tree(directory / name)


def _host_path(source: str) -> str:
    if not os.path.lexists(source):
        try:
            Path(source).mkdir(mode=0o755, parents=True)
        except OSError as problem:
            raise BadVolume(
                f"cannot create the host directory `{source}`: {problem.strerror}"
            ) from None
    return source
