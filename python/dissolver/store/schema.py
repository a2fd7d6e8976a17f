"""The tables of a store's database, by version. docs/store.md draws them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlite3 import Connection

SCHEMA_VERSION = 4

_TRANSFERS = """
CREATE TABLE image_manifests (
    image TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    digest TEXT NOT NULL,
    media_type TEXT NOT NULL,
    PRIMARY KEY (image, digest)
) STRICT, WITHOUT ROWID;

CREATE TABLE layer_blobs (
    digest TEXT PRIMARY KEY,
    diff_id TEXT NOT NULL,
    compression TEXT NOT NULL,
    size INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX layer_blobs_by_layer ON layer_blobs (diff_id);

CREATE TABLE blob_places (
    digest TEXT NOT NULL,
    repository TEXT NOT NULL,
    PRIMARY KEY (digest, repository)
) STRICT, WITHOUT ROWID;
"""
"""What version 2 added: what is remembered of pulls and pushes."""

_ANNOTATIONS = """
CREATE TABLE image_annotations (
    image TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    place TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (image, place, name)
) STRICT, WITHOUT ROWID;
"""
"""What version 4 added: what is said about images beside their configurations."""

SCHEMA = f"""
CREATE TABLE images (
    id TEXT PRIMARY KEY,
    size INTEGER NOT NULL,
    stored_ns INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE image_layers (
    image TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    diff_id TEXT NOT NULL,
    PRIMARY KEY (image, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX image_layers_by_layer ON image_layers (diff_id);

CREATE TABLE refs (
    name TEXT PRIMARY KEY,
    image TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX refs_by_image ON refs (image);

CREATE TABLE containers (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    image TEXT NOT NULL,
    created_ns INTEGER NOT NULL,
    config BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX containers_by_image ON containers (image);

CREATE TABLE container_layers (
    container TEXT NOT NULL REFERENCES containers (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    diff_id TEXT NOT NULL,
    PRIMARY KEY (container, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX container_layers_by_layer ON container_layers (diff_id);

CREATE TABLE step_records (
    key TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    diff_id TEXT NOT NULL,
    created_ns INTEGER NOT NULL,
    inputs BLOB NOT NULL,
    depot TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX step_records_by_layer ON step_records (diff_id);

CREATE TABLE step_uses (
    build TEXT NOT NULL,
    step TEXT NOT NULL,
    key TEXT NOT NULL REFERENCES step_records (key) ON DELETE CASCADE,
    used_ns INTEGER NOT NULL,
    PRIMARY KEY (build, step)
) STRICT, WITHOUT ROWID;
CREATE INDEX step_uses_by_key ON step_uses (key);
{_TRANSFERS}{_ANNOTATIONS}"""

_DEPOTS = "ALTER TABLE step_records ADD COLUMN depot TEXT NOT NULL DEFAULT ''"
"""What version 3 added: from which shared cache a record came; empty for one made here."""

_STEPS = {1: _TRANSFERS, 2: _DEPOTS, 3: _ANNOTATIONS}
"""What makes a database of each older version one of the next."""


def migrate(connection: Connection) -> None:
    """Bring a database of an older version up to date, in one transaction.

    Several processes may try at once; the second one finds it done.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        for step in range(version, SCHEMA_VERSION):
            for statement in _STEPS[step].split(";"):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {max(version, SCHEMA_VERSION)}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
