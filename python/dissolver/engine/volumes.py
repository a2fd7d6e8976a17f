"""Volumes that outlive containers, as the engine offers them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dissolver.containers.life import config_of
from dissolver.engine.results import ListedVolume, Pruned
from dissolver.store.workspace import remove_tree, tree_bytes

if TYPE_CHECKING:
    from dissolver.engine.session import Session
    from dissolver.store import OnWait


def list_all(session: Session) -> list[ListedVolume]:
    """List the volumes by name, with the containers that mount each."""
    users: dict[str, list[str]] = {}
    for record in session.store.containers.list():
        for volume in config_of(record).volumes:
            if not volume.is_bind:
                users.setdefault(volume.source, []).append(record.name)
    names = sorted(path.name for path in session.store.layout.volumes.iterdir())
    return [
        ListedVolume(name, str(session.store.layout.volumes / name / "_data"), tuple(found))
        for name in names
        for found in (users.get(name, ()),)
    ]


def remove(session: Session, name: str, on_wait: OnWait | None) -> None:
    """Remove a volume that no container mounts."""
    from dissolver.errors import InUse, VolumeNotFound

    # Whoever makes or starts a container holds the lock, too.
    with session.store.lock_exclusive(on_wait):
        found = next((one for one in list_all(session) if one.name == name), None)
        if found is None:
            raise VolumeNotFound(
                f"there is no volume `{name}`", hint="`dissolver volume ls` lists the volumes"
            )
        if found.containers:
            container = found.containers[0]
            raise InUse(
                f"the volume `{name}` is mounted by the container `{container}`",
                hint=f"remove that first: `dissolver rm {container}`",
            )
        _delete(session, name)


def prune(session: Session, all_: bool, on_wait: OnWait | None) -> Pruned:
    """Remove what no container mounts: anonymous volumes, or with ``all_`` named ones, too."""
    removed: list[str] = []
    freed = 0
    with session.store.lock_exclusive(on_wait):
        for volume in list_all(session):
            if not volume.containers and (all_ or volume.is_anonymous):
                freed += tree_bytes(session.store.layout.volumes / volume.name)
                _delete(session, volume.name)
                removed.append(volume.name)
    return Pruned(volumes=tuple(removed), reclaimed_bytes=freed)


def _delete(session: Session, name: str) -> None:
    from dissolver.store.faults import explained

    with explained("remove the volume"):
        remove_tree(session.store.layout.volumes / name, strict=True)
