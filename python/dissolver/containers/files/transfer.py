"""``cp``: files between a container and the machine, as they are or as a tar.

``placement`` has the rules; where they lead, ``files`` opens.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from dissolver._core import CoreError
from dissolver.containers.files.access import machine_root, opened_root
from dissolver.containers.files.placement import copy_between, look_up, refused
from dissolver.errors import CopyFailed
from dissolver.store.faults import explained

if TYPE_CHECKING:
    from dissolver._core.files import Root
    from dissolver._core.layer import Layers, View
    from dissolver.store import Store

ROOT_OWNER = (0, 0)


def copy_in(
    store: Store,
    container: str,
    source: str,
    path: str,
    *,
    keeps_owner: bool = False,
    follows_link: bool = False,
) -> int:
    """Copy the machine's ``source``, an absolute path, into a container; return the bytes copied.

    Files become root's unless ``keeps_owner``.

    Raises:
        CopyFailed: one of the two does not exist, or is not of the kind that it must be.
        RunError: the container's file system cannot be mounted.
    """
    record = store.containers.resolve(container)
    machine = machine_root()
    with explained(f"copy `{source}`"), opened_root(store, record) as root:
        return copy_between(
            machine,
            source,
            root,
            f"/{path}",
            owner=None if keeps_owner else ROOT_OWNER,
            follows_link=follows_link,
            shown=(source, f"{container}:{path}"),
        )


def copy_out(
    store: Store,
    container: str,
    path: str,
    target: str,
    *,
    keeps_owner: bool = False,
    follows_link: bool = False,
) -> int:
    """Copy ``path`` of a container to the absolute path ``target``; return the bytes copied.

    Files become the caller's unless ``keeps_owner``.

    Raises:
        CopyFailed: one of the two does not exist, or is not of the kind that it must be.
        RunError: the container's file system cannot be mounted.
    """
    record = store.containers.resolve(container)
    machine = machine_root()
    with explained(f"copy `{container}:{path}`"), opened_root(store, record) as root:
        return copy_between(
            root,
            f"/{path}",
            machine,
            target,
            owner=None if keeps_owner else (os.geteuid(), os.getegid()),
            follows_link=follows_link,
            shown=(f"{container}:{path}", target),
        )


def unpack_in(store: Store, container: str, descriptor: int, path: str) -> int:
    """Unpack the tar that comes out of an open file into a directory of a container.

    The tar may be compressed; it is read whole and checked before anything is written, and
    its owners are kept. Returns the bytes of its files.

    Raises:
        CopyFailed: ``path`` is no directory.
        CoreFailure: it is no proper tar.
    """
    from dissolver._core.layer import Layers

    record = store.containers.resolve(container)
    shown = f"{container}:{path}"
    with store.workspace() as place, explained(f"unpack into `{shown}`"):
        layers = Layers(place / "spool", userxattr=False)
        view = layers.view([_ingested(layers, descriptor)])
        with opened_root(store, record) as root:
            where, there = root.stat(f"/{path}", follow=True)
            if there is None:
                raise CopyFailed(f"the directory `{shown}` does not exist", hint="create it first")
            if there.kind != "directory":
                raise CopyFailed(f"`{shown}` is not a directory", hint="a tar needs one")
            return _unpacked(root, view, where, shown)


def archive_out(
    store: Store, container: str, path: str, descriptor: int, *, follows_link: bool = False
) -> int:
    """Write ``path`` of a container to an open file as a tar; return the bytes of its files.

    Raises:
        CopyFailed: it does not exist.
    """
    record = store.containers.resolve(container)
    with explained(f"read `{container}:{path}`"), opened_root(store, record) as root:
        origin = look_up(root, f"/{path}", f"{container}:{path}", follows_link=follows_link)
        name = None if origin.gives_contents else origin.name
        return root.archive(origin.path, descriptor, name=name, follow=follows_link)


def _unpacked(root: Root, view: View, where: bytes, shown: str) -> int:
    try:
        return root.unpack(view, where)
    except CoreError as error:
        raise refused(error, shown) from error


def _ingested(layers: Layers, descriptor: int) -> str:
    """Store a tar in a thread, so that this one hears signals while the tar is slow to come."""
    found: list[str] = []
    failures: list[Exception] = []

    def ingest() -> None:
        try:
            found.append(layers.ingest(own).diff_id)
        except Exception as error:  # noqa: BLE001 - it is raised in the thread that waits
            failures.append(error)
        finally:
            os.close(own)

    # Whoever gives up closes the original; reading must not go on elsewhere.
    own = os.dup(descriptor)
    thread = threading.Thread(target=ingest, name="unpack", daemon=True)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
    return found[0]
