"""Tidying up, and looking at the whole, as the engine offers them."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from dissolver.engine.results import Info, Pruned

if TYPE_CHECKING:
    from dissolver.engine.filters import Filters
    from dissolver.engine.session import Session
    from dissolver.image.config import ImageConfig
    from dissolver.store import OnWait
    from dissolver.store.cache_usage import CacheEntry
    from dissolver.store.fsck import Finding
    from dissolver.store.gc import PruneReport
    from dissolver.store.usage import Usage


def prune_images(
    session: Session, all_: bool, filters: tuple[str, ...], on_wait: OnWait | None
) -> Pruned:
    """Remove images that nothing uses."""
    wanted = _read(filters)

    def may_go(config: ImageConfig) -> bool:
        return wanted.fits(config.created, config.config.labels)

    return _pruned(
        session.store.prune_images(all_, may_go=may_go if filters else None, on_wait=on_wait)
    )


def prune_containers(session: Session, filters: tuple[str, ...]) -> Pruned:
    """Remove the containers that do not run."""
    from dissolver.containers.life import config_of
    from dissolver.engine import containers
    from dissolver.errors import ContainerNotFound, InUse
    from dissolver.store.workspace import tree_bytes

    wanted = _read(filters)
    removed: list[str] = []
    freed = 0
    for record in session.store.containers.list():
        if filters and not wanted.fits(record.created_ns, config_of(record).labels):
            continue
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


def prune_builder(session: Session, filters: tuple[str, ...], on_wait: OnWait | None) -> Pruned:
    """Forget the build cache."""
    until_ns = _read(filters, ("until",)).until_ns
    return _pruned(session.store.prune_records(until_ns=until_ns, on_wait=on_wait))


def prune_system(
    session: Session,
    all_: bool,
    volumes: bool,
    filters: tuple[str, ...],
    on_wait: OnWait | None,
) -> Pruned:
    """Remove stopped containers, unused images, and what only the build cache held."""
    from dissolver.engine.volumes import prune as prune_volumes
    from dissolver.errors import BadOption

    if volumes and filters:
        raise BadOption(
            "volumes have no labels and no times that filters could ask for",
            hint="prune them apart: `dissolver volume prune`",
        )
    wanted = _read(filters)
    # Each part may have to wait, and that is told once.
    on_wait = None if on_wait is None else cache(on_wait)
    containers = prune_containers(session, filters)
    images = prune_images(session, all_, filters, on_wait)
    records, unmounted = Pruned(), Pruned()
    if not (wanted.labels or wanted.without):
        # Results of steps have no labels.
        records = _pruned(
            session.store.prune_records(all_, until_ns=wanted.until_ns, on_wait=on_wait)
        )
    if volumes:
        unmounted = prune_volumes(session, all_=False, on_wait=on_wait)
    return Pruned(
        containers=containers.containers,
        volumes=unmounted.volumes,
        untagged=images.untagged,
        images=images.images,
        records=images.records + records.records,
        cache_mounts=records.cache_mounts,
        reclaimed_bytes=sum(
            part.reclaimed_bytes for part in (containers, images, records, unmounted)
        ),
    )


def _read(words: tuple[str, ...], known: tuple[str, ...] = ("until", "label", "label!")) -> Filters:
    import time

    from dissolver.engine.filters import read_filters

    return read_filters(words, known, time.time_ns())


def disk_usage(session: Session) -> list[Usage]:
    """Tell what takes space."""
    fill_in = {"Containers": _with_stopped, "Local Volumes": _with_unused_volumes}
    return [
        fill_in[row.kind](session, row) if row.kind in fill_in else row
        for row in session.store.disk_usage()
    ]


def _with_stopped(session: Session, row: Usage) -> Usage:
    from dissolver.engine import containers
    from dissolver.store.workspace import tree_bytes

    records = session.store.containers.list()
    stopped = [record for record in records if not containers.is_running(session, record.id)]
    idle = sum(tree_bytes(session.store.containers.directory(record.id)) for record in stopped)
    return replace(row, active=len(records) - len(stopped), reclaimable_bytes=idle)


def _with_unused_volumes(session: Session, row: Usage) -> Usage:
    from dissolver.engine import volumes
    from dissolver.store.workspace import tree_bytes

    unused = [one.name for one in volumes.list_all(session) if not one.containers]
    idle = sum(tree_bytes(session.store.layout.volumes / name) for name in unused)
    return replace(row, active=row.total - len(unused), reclaimable_bytes=idle)


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
    from dissolver.sandbox import rootless

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
