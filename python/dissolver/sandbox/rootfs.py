"""The stack of directories that a root file system is made of.

Below all layers of the image lies a directory of *stubs*: empty mount points for
what the runtime mounts. The overlay shows them where the image has nothing of
its own, so mounting creates nothing in the writable layer.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from dissolver._core import CoreError
from dissolver.errors import RunError
from dissolver.sandbox.spec import ErofsLower
from dissolver.store.faults import explained

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dissolver._core import layer
    from dissolver._core.layer import Entry, Layers, View
    from dissolver.sandbox.spec import Lower

STUB_DIRECTORIES = ("dev", "proc", "sys", "etc")
STEP_STUB_FILES = ("etc/hosts", "etc/resolv.conf")
STUB_FILES = (*STEP_STUB_FILES, "etc/hostname")

OVERLAY_LOWERS = 500
"""The kernel's limit (``OVL_MAX_STACK``), which it tells as an invalid argument."""

_NAME = "stubs-1"
_STEP_NAME = "step-stubs-1"
"""The directories' names hold a version: another set of stubs is another directory."""


def stubs_directory(root: Path, *, is_step: bool = False) -> Path:
    """Return the directory of stubs that all containers, or all steps, share, made on first use.

    It gets its name only when it is complete, so a killed maker leaves no broken one.
    """
    final = root / "runtime" / (_STEP_NAME if is_step else _NAME)
    if final.is_dir():
        return final
    final.parent.mkdir(mode=0o755, exist_ok=True)
    # Threads build at the same time as well, and so may processes.
    part = final.with_name(f"{_NAME}.{os.getpid()}-{threading.get_ident()}.part")
    make_stubs(part, STUB_DIRECTORIES, STEP_STUB_FILES if is_step else STUB_FILES)
    try:
        part.rename(final)
    except OSError:
        # Another process was first: a directory is never renamed onto a full one.
        _remove_stubs(part)
    return final


def make_stubs(base: Path, directories: Iterable[str], files: Iterable[str]) -> None:
    """Make empty directories and files below ``base``, with the modes a new system has."""
    for name in ("", *directories):
        _make_directory(base, name)
    for name in files:
        _make_directory(base, str(PurePosixPath(name).parent))
        path = base / name
        path.touch(exist_ok=True)
        path.chmod(0o644)


def missing_stubs(view: View, targets: Iterable[tuple[str, bool]]) -> tuple[list[str], list[str]]:
    """Tell which mount points the image lacks: (directories, files), as relative paths.

    ``targets`` pairs an absolute path with whether a directory is to be mounted there. A
    target is followed through the image's own symbolic links first.
    """
    directories: list[str] = []
    files: list[str] = []
    for target, is_directory in targets:
        path = resolve(view, target).lstrip("/")
        if path and stat(view, f"/{path}") is None:
            (directories if is_directory else files).append(path)
    return directories, files


def missing_paths(view: View, targets: Iterable[str]) -> list[bytes]:
    """List every path, parents included, that mounting at ``targets`` may create.

    Relative and sorted, parents first: what a layer must not contain.
    """
    found: set[str] = set()
    for target in targets:
        path = resolve(view, target).strip("/")
        while path and stat(view, f"/{path}") is None:
            found.add(path)
            path = path.rpartition("/")[0]
    return [os.fsencode(path) for path in sorted(found)]


def resolve(view: View, path: str) -> str:
    """Return the absolute path that ``path`` leads to inside the image."""
    try:
        return os.fsdecode(view.resolve(path))
    except CoreError:
        return path


def stat(view: View, path: str) -> Entry | None:
    """Look up a path without following a link at its end; ``None`` where there is nothing."""
    try:
        return view.stat(path, follow=False)
    except CoreError:
        return None


def lowers(layers: Layers, diff_ids: Sequence[str], *below: Path) -> tuple[Lower, ...]:
    """Make an image's layers mountable, and order them as the sandbox wants it.

    That is the top-most first, and what lies ``below`` them last. ``diff_ids`` are the
    image's, bottom first.

    Raises:
        DiskFull: a layer has to be extracted, and there is no space for it.
        RunError: there are more layers than the kernel stacks.
    """
    with explained("extract the layers"):
        stack = layers.mountable(diff_ids)
    if len(stack) + len(below) > OVERLAY_LOWERS:
        raise RunError(
            f"a root file system of {len(diff_ids)} layers cannot be mounted: the kernel stacks "
            f"no more than {OVERLAY_LOWERS} directories",
            hint="RUN and COPY make a layer each: let one do the work of several",
        )
    return (*(_specified(lower) for lower in reversed(stack)), *map(str, below))


def _specified(lower: layer.Lower) -> Lower:
    if lower.erofs is None:
        return lower.directory or ""
    return ErofsLower(lower.erofs, tuple(lower.devices))


def _make_directory(base: Path, name: str) -> None:
    path = base
    path.mkdir(mode=0o755, exist_ok=True)
    for part in PurePosixPath(name).parts:
        path = path / part
        path.mkdir(mode=0o755, exist_ok=True)
        path.chmod(0o755)


def _remove_stubs(path: Path) -> None:
    import shutil

    shutil.rmtree(path, ignore_errors=True)
