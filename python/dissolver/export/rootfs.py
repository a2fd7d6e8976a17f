"""Whole root file systems, of images and of containers: as one tar, or as a directory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dissolver.store.faults import explained

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dissolver.store import Store


def write_tar(
    store: Store, diff_ids: Sequence[str], descriptor: int, *, upper: Path | None = None
) -> None:
    """Write what layers make up, and ``upper`` on top of them, as a tar without whiteouts.

    ``upper`` is the writable layer of a container, which may run. The same files give the
    same bytes. Sockets are left out.

    Raises:
        CoreFailure: a layer is missing or damaged.
        DiskFull: there is no room for it.
    """
    with explained("write the root file system"):
        if upper is None or not upper.is_dir():
            store.layers.export_tar(diff_ids, descriptor)
        else:
            from dissolver._core.files import export_container

            export_container(store.layers, diff_ids, upper, descriptor)


def write_directory(store: Store, diff_ids: Sequence[str], target: Path) -> None:
    """Extract what layers make up into an empty or missing directory.

    Raises:
        CoreFailure: the directory is not empty; a layer is missing or damaged.
        DiskFull: there is no room for it.
    """
    with explained("extract the root file system"):
        store.layers.extract(diff_ids, target)
