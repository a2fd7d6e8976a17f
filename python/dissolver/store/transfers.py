"""What is remembered of pulls and pushes: which blobs are which layers, and where they lie.

A registry knows a layer by the digest of its compressed bytes, the store by that of
the tar. What both have to do with each other was computed once, and is true for ever;
where a blob was seen may change, so it is only a good guess.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dissolver.store.faults import explained
from dissolver.store.layer_blobs import LayerBlob

if TYPE_CHECKING:
    from collections.abc import Iterable
    from sqlite3 import Connection

    from dissolver.store.database import Database

_NEEDED = """
SELECT id FROM images
UNION SELECT digest FROM image_manifests
UNION SELECT digest FROM layer_blobs WHERE diff_id IN (
    SELECT diff_id FROM image_layers UNION SELECT diff_id FROM container_layers
)
"""
_FORGET_LAYERS = """
DELETE FROM layer_blobs WHERE diff_id NOT IN (
    SELECT diff_id FROM image_layers
    UNION SELECT diff_id FROM container_layers
    UNION SELECT diff_id FROM step_records
)
"""
_FORGET_PLACES = "DELETE FROM blob_places WHERE digest NOT IN (SELECT digest FROM layer_blobs)"


class TransferRecords:
    """Layers as blobs, the manifests that images came with, and where blobs were seen."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def remember_layer(self, blob: LayerBlob) -> None:
        """Keep which blob is which layer; both digests were computed from the bytes."""
        with self._database.write("remember a layer's blob") as connection:
            connection.execute(
                "INSERT OR REPLACE INTO layer_blobs (digest, diff_id, compression, size)"
                " VALUES (?, ?, ?, ?)",
                (blob.digest, blob.diff_id, blob.compression, blob.size),
            )

    def layer_blobs(self, diff_id: str) -> list[LayerBlob]:
        """List the blobs that are known to be a layer, in a fixed order."""
        with explained("look up a layer's blobs"):
            rows = self._database.read().execute(
                "SELECT compression, digest, size FROM layer_blobs WHERE diff_id = ?"
                " ORDER BY digest",
                (diff_id,),
            )
            return [LayerBlob(diff_id, *row) for row in rows]

    def layer_of(self, digest: str) -> str | None:
        """Tell which layer a blob is, if that is known."""
        with explained("look up a blob's layer"):
            row = (
                self._database.read()
                .execute("SELECT diff_id FROM layer_blobs WHERE digest = ?", (digest,))
                .fetchone()
            )
        return None if row is None else str(row[0])

    def remember_place(self, digest: str, repository: str) -> None:
        """Keep that a blob was seen in a repository, named with its registry."""
        with self._database.write("remember where a blob lies") as connection:
            connection.execute(
                "INSERT OR IGNORE INTO blob_places (digest, repository) VALUES (?, ?)",
                (digest, repository),
            )

    def forget_place(self, digest: str, repository: str) -> None:
        """Take back what turned out not to be so any more."""
        with self._database.write("forget where a blob lay") as connection:
            connection.execute(
                "DELETE FROM blob_places WHERE digest = ? AND repository = ?", (digest, repository)
            )

    def places(self, digest: str) -> list[str]:
        """List the repositories that a blob was seen in, sorted."""
        with explained("look up where a blob lies"):
            rows = self._database.read().execute(
                "SELECT repository FROM blob_places WHERE digest = ? ORDER BY repository", (digest,)
            )
            return [str(row[0]) for row in rows]

    def remember_manifest(self, image: str, digest: str, media_type: str) -> None:
        """Keep that an image came with a manifest, which is stored as a blob."""
        with self._database.write("remember an image's manifest") as connection:
            connection.execute(
                "INSERT OR REPLACE INTO image_manifests (image, digest, media_type)"
                " VALUES (?, ?, ?)",
                (image, digest, media_type),
            )

    def manifests(self, image: str) -> list[tuple[str, str]]:
        """List the manifests of an image: digest and media type."""
        with explained("look up an image's manifests"):
            rows = self._database.read().execute(
                "SELECT digest, media_type FROM image_manifests WHERE image = ? ORDER BY digest",
                (image,),
            )
            return [(str(digest), str(media_type)) for digest, media_type in rows]


def needed_blobs(connection: Connection) -> set[str]:
    """List the blobs that an image or one of its layers needs."""
    return {row[0] for row in connection.execute(_NEEDED)}


def forget_unneeded(connection: Connection) -> None:
    """Forget the blobs of layers that nothing needs any more."""
    connection.execute(_FORGET_LAYERS)
    connection.execute(_FORGET_PLACES)


def unneeded(stored: Iterable[str], connection: Connection) -> list[str]:
    """Pick the blobs that nothing needs."""
    needed = needed_blobs(connection)
    return [digest for digest in stored if digest not in needed]
