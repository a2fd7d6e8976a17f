"""How much of the disk the store takes, and how much of that could be given back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dissolver.store.faults import explained
from dissolver.store.gc import held_layers
from dissolver.store.workspace import tree_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dissolver.store import Store


@dataclass(frozen=True, slots=True)
class Usage:
    """One kind of object: how many there are, and what they take on disk.

    ``active`` counts those in use; ``reclaimable_bytes`` is what pruning the others
    would give back. A layer that several objects share counts once.
    """

    kind: str
    total: int
    active: int
    size_bytes: int
    reclaimable_bytes: int


def disk_usage(store: Store) -> tuple[Usage, ...]:
    """Tell what images, containers, volumes and the build cache take, in this order."""
    with explained("measure the store"):
        return (_images(store), _containers(store), _volumes(store), _build_cache(store))


def _images(store: Store) -> Usage:
    connection = store.database.read()
    layers_of: dict[str, set[str]] = {}
    for (identity,) in connection.execute("SELECT id FROM images"):
        layers_of[identity] = set()
    for identity, diff_id in connection.execute("SELECT image, diff_id FROM image_layers"):
        layers_of[identity].add(diff_id)
    used = {row[0] for row in connection.execute("SELECT DISTINCT image FROM containers")}
    held = set(_container_layers(store))
    for identity in used & layers_of.keys():
        held |= layers_of[identity]
    every = set().union(*layers_of.values())
    blobs = {identity: _blob_bytes(store, identity) for identity in layers_of}
    for identity, digest in connection.execute("SELECT image, digest FROM image_manifests"):
        blobs[identity] += _blob_bytes(store, digest)
    packed = dict.fromkeys(every, 0)
    for diff_id, digest in connection.execute("SELECT diff_id, digest FROM layer_blobs"):
        if diff_id in packed:
            packed[diff_id] += _blob_bytes(store, digest)
    return Usage(
        kind="Images",
        total=len(layers_of),
        active=len(used & layers_of.keys()),
        size_bytes=_disk_bytes(store, every) + sum(blobs.values()) + sum(packed.values()),
        reclaimable_bytes=_disk_bytes(store, every - held, beside=held)
        + sum(packed[diff_id] for diff_id in every - held)
        + sum(size for identity, size in blobs.items() if identity not in used),
    )


def _containers(store: Store) -> Usage:
    records = store.containers.list()
    size = sum(tree_bytes(store.containers.directory(record.id)) for record in records)
    # Whether a container runs is the runtime's to know; it fills these two in.
    return Usage("Containers", len(records), 0, size, 0)


def _volumes(store: Store) -> Usage:
    volumes = list(store.layout.volumes.iterdir())
    size = sum(tree_bytes(volume) for volume in volumes)
    # Which containers mount one is the runtime's to know, too.
    return Usage("Local Volumes", len(volumes), 0, size, 0)


def _build_cache(store: Store) -> Usage:
    connection = store.database.read()
    recorded = {row[0] for row in connection.execute("SELECT DISTINCT diff_id FROM step_records")}
    imaged = {row[0] for row in connection.execute("SELECT DISTINCT diff_id FROM image_layers")}
    held = imaged | set(_container_layers(store))
    own = recorded - held
    # A layer that nothing holds is the remains of a build that was killed.
    remains = set(store.layers.list()) - held_layers(connection)
    mounts = store.cache_mounts.usage()
    size = _disk_bytes(store, own | remains, beside=held)
    size += sum(mount.size_bytes for mount in mounts)
    # What contexts held goes with the records.
    size += sum(tree_bytes(cache) for cache in store.layout.stat.iterdir())
    total = store.records.count() + len(mounts)
    return Usage("Build Cache", total, len(recorded - own), size, size)


def _container_layers(store: Store) -> Iterable[str]:
    query = "SELECT DISTINCT diff_id FROM container_layers"
    return (row[0] for row in store.database.read().execute(query))


def _disk_bytes(store: Store, diff_ids: Iterable[str], beside: Iterable[str] = ()) -> int:
    return store.layers.disk_bytes_of(list(diff_ids), beside=list(beside))


def _blob_bytes(store: Store, digest: str) -> int:
    try:
        return store.blobs.path(digest).stat().st_blocks * 512
    except FileNotFoundError:
        return 0
