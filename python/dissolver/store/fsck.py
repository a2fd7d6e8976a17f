"""The check of a whole store: every digest, configuration and reference."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dissolver._core import CoreError
from dissolver.errors import DissolverError, ImageNotFound
from dissolver.image.digest import short
from dissolver.store.faults import explained
from dissolver.store.gc import held_layers
from dissolver.store.transfers import needed_blobs, unneeded

if TYPE_CHECKING:
    from sqlite3 import Connection

    from dissolver.store import Store


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, or was left by something that was killed.

    ``kind`` is ``damaged``, ``missing`` or ``leftover``; ``subject`` names the image,
    layer, container, blob or record. A leftover harms nothing: a prune removes it.
    """

    kind: str
    subject: str
    message: str


def check(store: Store) -> tuple[Finding, ...]:
    """Verify the store and answer what is wrong; reads every byte of every layer once."""
    connection = store.database.read()
    with explained("check the store"):
        findings = list(_database(connection))
        if findings:
            # What the rows say means nothing then.
            return tuple(findings)
        stored = set(store.layers.list())
        findings += _images(store, connection, stored)
        findings += _holders(connection, stored)
        findings += _containers(store)
        findings += _layers(store, stored)
        findings += _blobs(store, connection)
        findings += _leftovers(store, connection, stored)
    return tuple(findings)


def _database(connection: Connection) -> Iterator[Finding]:
    for (text,) in connection.execute("PRAGMA integrity_check"):
        if text != "ok":
            yield Finding("damaged", "store.sqlite", f"the database is damaged: {text}")
    for table, _, parent, _ in connection.execute("PRAGMA foreign_key_check"):
        yield Finding(
            "damaged", "store.sqlite", f"a row of `{table}` refers to a missing one of `{parent}`"
        )


def _images(store: Store, connection: Connection, stored: set[str]) -> Iterator[Finding]:
    for (identity,) in connection.execute("SELECT id FROM images ORDER BY id").fetchall():
        name = f"image {short(identity)}"
        rows = connection.execute(
            "SELECT diff_id FROM image_layers WHERE image = ? ORDER BY position", (identity,)
        )
        diff_ids = tuple(row[0] for row in rows)
        if not store.blobs.has(identity):
            yield Finding("missing", name, f"the configuration of {name} is missing")
            continue
        try:
            image = store.images.get(identity)
        except ImageNotFound:
            continue  # Somebody removed it meanwhile.
        except DissolverError as error:
            yield Finding("damaged", name, error.message)
            continue
        if image.config.diff_ids != diff_ids:
            yield Finding(
                "damaged", name, f"the configuration of {name} and the database differ in layers"
            )
        for diff_id in sorted(set(diff_ids) - stored):
            yield Finding("missing", name, f"the layer {short(diff_id)} of {name} is missing")


def _holders(connection: Connection, stored: set[str]) -> Iterator[Finding]:
    rows = connection.execute(
        "SELECT containers.name, diff_id FROM container_layers"
        " JOIN containers ON containers.id = container ORDER BY containers.name, position"
    )
    for name, diff_id in rows:
        if diff_id not in stored:
            yield Finding(
                "missing",
                f"container {name}",
                f"the layer {short(diff_id)} of container {name} is missing",
            )
    for key, diff_id in connection.execute("SELECT key, diff_id FROM step_records ORDER BY key"):
        if diff_id not in stored:
            subject = f"record {short(key)}"
            yield Finding("missing", subject, f"the layer {short(diff_id)} of {subject} is missing")


def _containers(store: Store) -> Iterator[Finding]:
    bare = [
        record
        for record in store.containers.list()
        if not store.containers.directory(record.id).is_dir()
    ]
    # Removing a container waits for no check.
    recorded = {record.id for record in store.containers.list()} if bare else set()
    for record in bare:
        if record.id in recorded:
            name = f"container {record.name}"
            yield Finding("missing", name, f"the files of {name} are missing")


def _layers(store: Store, stored: set[str]) -> Iterator[Finding]:
    for diff_id in sorted(stored):
        name = f"layer {short(diff_id)}"
        try:
            store.layers.verify(diff_id)
        except CoreError as error:
            yield Finding("damaged", name, f"{name} is damaged: {error.message}")


def _blobs(store: Store, connection: Connection) -> Iterator[Finding]:
    """Verify what images came with: their manifests, and their layers as registries have them."""
    images = {row[0] for row in connection.execute("SELECT id FROM images")}
    for digest in sorted(needed_blobs(connection) - images):
        if store.blobs.has(digest) and store.blobs.actual_digest(digest) != digest:
            name = f"blob {short(digest)}"
            yield Finding("damaged", name, f"the content of {name} has another digest")


def _leftovers(store: Store, connection: Connection, stored: set[str]) -> Iterator[Finding]:
    for diff_id in sorted(stored - held_layers(connection)):
        name = f"layer {short(diff_id)}"
        yield Finding("leftover", name, f"nothing uses {name}; `image prune` removes it")
    for pack in _abandoned_packs(store):
        name = f"pack {pack[:12]}"
        yield Finding("leftover", name, f"nothing uses {name}; `image prune` removes it")
    for digest in unneeded(store.blobs.list(), connection):
        name = f"blob {short(digest)}"
        yield Finding("leftover", name, f"nothing uses {name}; `image prune` removes it")
    containers = {row[0] for row in connection.execute("SELECT id FROM containers")}
    for directory in sorted(store.layout.containers.iterdir()):
        if directory.name not in containers:
            name = f"container {directory.name[:12]}"
            yield Finding("leftover", name, f"{name} has files and no record")


def _abandoned_packs(store: Store) -> list[str]:
    try:
        return [pack.name for pack in store.layers.packs() if not pack.layers]
    except CoreError:
        # A damaged index, which is a finding of its own: it may need any of them.
        return []
