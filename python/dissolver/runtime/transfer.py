"""``cp``: files between a container and the machine, by Docker's rules.

| source | destination | what happens |
| --- | --- | --- |
| a file | nothing | it is created, if the directory for it exists |
| a file | nothing, with a slash at the end | an error |
| a file | a file | it is replaced |
| a file | a directory | it is copied into that |
| a directory | nothing | it is created with what the source holds |
| a directory | a file | an error |
| a directory | a directory | it is copied into that |
| a directory, with ``/.`` at the end | a directory | what it holds is copied into that |

Symbolic links are copied as they are; one at the end of a source is followed only if
that is asked for, one at the end of a destination always.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dissolver._core import CoreError
from dissolver.errors import CopyFailed
from dissolver.runtime.files import machine_root, opened_root
from dissolver.store.faults import explained

if TYPE_CHECKING:
    from dissolver._core.files import Root
    from dissolver._core.layer import Layers, View
    from dissolver.store import Store

ROOT_OWNER = (0, 0)


@dataclass(frozen=True, slots=True)
class Origin:
    """Something to copy: its path, and the name that it has where it is put into a directory."""

    path: bytes
    name: bytes
    is_directory: bool
    gives_contents: bool


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
    with explained(f"copy `{source}`"):
        origin = _origin(machine, source, source, follows_link)
        with opened_root(store, record) as root:
            owner = None if keeps_owner else ROOT_OWNER
            return _copy(
                machine, origin, root, f"/{path}", f"{container}:{path}", owner, follows_link
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
        origin = _origin(root, f"/{path}", f"{container}:{path}", follows_link)
        owner = None if keeps_owner else (os.geteuid(), os.getegid())
        return _copy(root, origin, machine, target, target, owner, follows_link)


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
        origin = _origin(root, f"/{path}", f"{container}:{path}", follows_link)
        name = None if origin.gives_contents else origin.name
        return root.archive(origin.path, descriptor, name=name, follow=follows_link)


def _origin(root: Root, path: str, shown: str, follows_link: bool) -> Origin:
    """Look at what is to be copied."""
    _, entry = root.stat(path, follow=follows_link or path.endswith("/"))
    if entry is None:
        raise CopyFailed(f"`{shown}` does not exist")
    is_directory = entry.kind == "directory"
    if not is_directory and _means_directory(path):
        raise CopyFailed(f"`{shown}` is not a directory")
    stem = path.rstrip("/")
    name = stem.rpartition("/")[2]
    gives_contents = is_directory and name in ("", ".")
    if name == "..":
        name = Path(stem).resolve().name
    return Origin(os.fsencode(path), os.fsencode(name), is_directory, gives_contents)


def _copy(
    source: Root,
    origin: Origin,
    target: Root,
    path: str,
    shown: str,
    owner: tuple[int, int] | None,
    follows_link: bool,
) -> int:
    directory, name = _place(origin, target, path, shown)
    try:
        return source.copy(
            origin.path, target, directory, name=name, owner=owner, follow=follows_link
        )
    except CoreError as error:
        raise _explained_clash(error, shown) from error


def _place(origin: Origin, target: Root, path: str, shown: str) -> tuple[bytes, bytes | None]:
    """Decide by the rules above which directory the copy goes to, and under which name."""
    where, there = target.stat(path, follow=True)
    if there is None:
        if _means_directory(path) and not origin.is_directory:
            raise CopyFailed(f"the directory `{shown}` does not exist", hint="create it first")
        above, _, name = where.rstrip(b"/").rpartition(b"/")
        _, parent = target.stat(os.fsdecode(above) or "/", follow=True)
        if parent is None or parent.kind != "directory":
            raise CopyFailed(
                f"there is no directory for `{shown}`",
                hint="missing directories are not created: create them first",
            )
        return above or b"/", name
    if there.kind == "directory":
        return where, None if origin.gives_contents else origin.name
    if origin.is_directory:
        raise CopyFailed(f"cannot copy a directory to the file `{shown}`")
    if _means_directory(path):
        raise CopyFailed(f"`{shown}` is not a directory")
    above, _, name = where.rpartition(b"/")
    return above or b"/", name


def _means_directory(path: str) -> bool:
    return path.rpartition("/")[2] in ("", ".", "..")


def _unpacked(root: Root, view: View, where: bytes, shown: str) -> int:
    try:
        return root.unpack(view, where)
    except CoreError as error:
        raise _explained_clash(error, shown) from error


def _explained_clash(error: CoreError, shown: str) -> CopyFailed | CoreError:
    place = os.fsdecode(error.path or b"")
    if error.kind == "not-a-directory":
        return CopyFailed(
            f"cannot replace `{place}` in `{shown}` by a directory",
            hint="remove it first: only directories are merged",
        )
    if error.kind == "not-a-file":
        return CopyFailed(
            f"cannot replace the directory `{place}` in `{shown}` by a file",
            hint="remove it first",
        )
    return error


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
