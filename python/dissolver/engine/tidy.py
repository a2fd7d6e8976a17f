"""Tidying up, and looking at the whole, as the engine offers them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dissolver.engine.results import Info, Pruned

if TYPE_CHECKING:
    from dissolver.engine.session import Session
    from dissolver.store.cache_usage import CacheEntry
    from dissolver.store.fsck import Finding
    from dissolver.store.gc import PruneReport
    from dissolver.store.usage import Usage


def prune_images(session: Session, all_: bool) -> Pruned:
    """Remove images that nothing uses."""
    return _pruned(session.store.prune_images(all_))


def prune_containers(session: Session) -> Pruned:
    """Remove the containers that do not run."""
    from dissolver.engine import containers
    from dissolver.errors import ContainerNotFound, InUse
    from dissolver.store.workspace import tree_bytes

    removed: list[str] = []
    freed = 0
    for record in session.store.containers.list():
        if containers.is_running(session, record.id):
            continue
        size = tree_bytes(session.store.containers.directory(record.id))
        try:
            containers.remove(session, record.id, force=False, removes_volumes=False)
        except (ContainerNotFound, InUse):
            continue  # Somebody was faster: it is gone, or it runs again.
        removed.append(record.id)
        freed += size
    return Pruned(containers=tuple(removed), reclaimed_bytes=freed)


def prune_builder(session: Session) -> Pruned:
    """Forget the build cache."""
    return _pruned(session.store.prune_records())


def prune_system(session: Session, all_: bool) -> Pruned:
    """Remove stopped containers, unused images, and what only the build cache held."""
    containers = prune_containers(session)
    images = prune_images(session, all_)
    records = _pruned(session.store.prune_records(all_))
    return Pruned(
        containers=containers.containers,
        untagged=images.untagged,
        images=images.images,
        records=images.records + records.records,
        cache_mounts=records.cache_mounts,
        reclaimed_bytes=sum(part.reclaimed_bytes for part in (containers, images, records)),
    )


def disk_usage(session: Session) -> list[Usage]:
    """Tell what takes space."""
    from dissolver.engine import containers
    from dissolver.store.workspace import tree_bytes

    rows = []
    for row in session.store.disk_usage():
        if row.kind != "Containers":
            rows.append(row)
            continue
        records = session.store.containers.list()
        stopped = [record for record in records if not containers.is_running(session, record.id)]
        idle = sum(tree_bytes(session.store.containers.directory(record.id)) for record in stopped)
        rows.append(replace(row, active=len(records) - len(stopped), reclaimable_bytes=idle))
    return rows


def list_cache(session: Session) -> list[CacheEntry]:
    """List what the build cache keeps."""
    return list(session.store.list_cache())


def check(session: Session) -> list[Finding]:
    """Verify everything in the store."""
    return list(session.store.check())


def info(session: Session) -> Info:
    """Tell about the engine and the machine."""
    import os

    from dissolver import _core
    from dissolver._core import sandbox
    from dissolver.engine import containers
    from dissolver.image.platform import platform_of_machine
    from dissolver.runtime import rootless

    store = session.store
    machine = os.uname()
    records = store.containers.list()
    with store.workspace() as directory:
        features = sandbox.probe(os.fspath(directory))
    features["erofs"] = store.layers.image_refusal()
    return Info(
        version=_core.version,
        root=os.fspath(store.root),
        run=os.fspath(store.run),
        is_rootless=rootless.is_rootless(),
        kernel=machine.release,
        architecture=platform_of_machine(machine.machine).architecture,
        images=len(store.images.list()),
        containers=len(records),
        containers_running=sum(containers.is_running(session, record.id) for record in records),
        features=dict(features),
    )


def _pruned(report: PruneReport) -> Pruned:
    return Pruned(
        untagged=report.untagged,
        images=report.images,
        records=report.records,
        cache_mounts=report.cache_mounts,
        reclaimed_bytes=report.reclaimed_bytes,
    )
