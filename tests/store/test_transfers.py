"""What is remembered of pulls and pushes, and for how long."""

from __future__ import annotations

import hashlib
import sqlite3
from pathlib import Path

from dissolver.image.config import Image
from dissolver.image.reference import Reference, parse_reference
from dissolver.store import Store
from dissolver.store.layer_blobs import LayerBlob
from dissolver.store.schema import SCHEMA_VERSION
from shelf import add_image, add_layer

DIGEST = "sha256:" + 64 * "d"


def digest_name(name: str, digest: str = DIGEST) -> Reference:
    return parse_reference(f"{name}@{digest}")


def with_blob(store: Store, image: Image, content: bytes = b"compressed") -> LayerBlob:
    """Give the image's layer a blob, as a pull does."""
    digest = store.blobs.put(content)
    blob = LayerBlob(image.config.diff_ids[0], "gzip", digest, len(content))
    store.transfers.remember_layer(blob)
    return blob


def test_a_database_of_the_first_version_is_brought_up_to_date(store: Store) -> None:
    image = add_image(store, "a", "app")
    store.close()
    with sqlite3.connect(store.layout.database) as connection:
        for table in ("image_manifests", "layer_blobs", "blob_places", "image_annotations"):
            connection.execute(f"DROP TABLE {table}")
        connection.execute("ALTER TABLE step_records DROP COLUMN depot")
        connection.execute("PRAGMA user_version = 1")
    connection.close()
    again = Store(store.root, store.run)
    assert again.images.resolve("app") == image
    assert with_blob(again, image) in again.transfers.layer_blobs(image.config.diff_ids[0])
    version = again.database.read().execute("PRAGMA user_version").fetchone()[0]
    assert version == SCHEMA_VERSION == 4
    again.close()


def test_old_and_new_databases_have_the_same_tables(store: Store, tmp_path: Path) -> None:
    def tables(of: Store) -> list[str]:
        rows = of.database.read().execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL")
        return sorted("".join(row[0].split()) for row in rows)

    fresh = tables(store)
    old = Store(tmp_path / "old", tmp_path / "run")
    with sqlite3.connect(old.layout.database) as connection:
        for table in ("image_manifests", "layer_blobs", "blob_places", "image_annotations"):
            connection.execute(f"DROP TABLE {table}")
        connection.execute("ALTER TABLE step_records DROP COLUMN depot")
        connection.execute("PRAGMA user_version = 1")
    connection.close()
    assert tables(old) == fresh
    old.close()


def test_the_last_tag_of_a_repository_takes_its_digests_along(store: Store) -> None:
    image = add_image(store, "a", "app:1")
    store.images.tag(image.id, parse_reference("app:2"))
    store.images.tag(image.id, digest_name("app"))
    store.images.tag(image.id, digest_name("other.example/app"))
    assert store.images.remove("app:1").untagged == ("app:1",)
    gone = store.images.remove("app:2")
    assert gone.untagged == ("app:2", f"app@{DIGEST}")
    assert gone.deleted == ()
    gone = store.images.remove(f"other.example/app@{DIGEST}")
    assert gone.untagged == (f"other.example/app@{DIGEST}",)
    assert gone.deleted == (image.id,)


def test_an_image_that_only_its_digest_names_is_pruned(store: Store) -> None:
    image = add_image(store, "a", "app")
    store.images.tag(image.id, digest_name("app"))
    assert store.prune_images().images == ()
    store.images.untag(parse_reference("app"))
    assert store.prune_images().images == (image.id,)


def test_blobs_stay_as_long_as_an_image_needs_them(store: Store) -> None:
    image = add_image(store, "a", "app")
    layer = with_blob(store, image)
    manifest = store.blobs.put(b"{}")
    store.transfers.remember_manifest(image.id, manifest, "application/json")
    store.transfers.remember_place(layer.digest, "docker.io/library/app")
    leftover = store.blobs.put(b"nobody's")
    store.collect()
    assert set(store.blobs.list()) == {image.id, layer.digest, manifest}
    assert leftover not in store.blobs.list()
    assert store.transfers.places(layer.digest) == ["docker.io/library/app"]
    store.images.remove("app")
    assert store.blobs.list() == []
    store.collect()
    assert store.transfers.layer_of(layer.digest) is None
    assert store.transfers.places(layer.digest) == []
    assert store.transfers.manifests(image.id) == []


def test_blobs_count_as_what_images_take(store: Store) -> None:
    image = add_image(store, "a", "app")
    (before, *_) = store.disk_usage()
    with_blob(store, image, b"x" * 100_000)
    (after, *_) = store.disk_usage()
    grown = after.size_bytes - before.size_bytes
    assert grown >= 100_000
    assert after.reclaimable_bytes - before.reclaimable_bytes == grown
    report = store.prune_images(all_=True)
    assert report.reclaimed_bytes == after.reclaimable_bytes


def test_the_check_reads_blobs(store: Store) -> None:
    image = add_image(store, "a", "app")
    layer = with_blob(store, image)
    assert store.check() == ()
    store.blobs.path(layer.digest).write_bytes(b"something else")
    (finding,) = store.check()
    assert (finding.kind, finding.subject) == ("damaged", f"blob {layer.digest[7:19]}")
    assert store.blobs.actual_digest(layer.digest) == (
        "sha256:" + hashlib.sha256(b"something else").hexdigest()
    )


def test_a_layer_may_be_known_as_several_blobs(store: Store) -> None:
    diff_id = add_layer(store, "a")
    blobs = [
        LayerBlob(diff_id, "gzip", "sha256:" + 64 * "a", 10),
        LayerBlob(diff_id, "zstd", "sha256:" + 64 * "b", 8),
    ]
    for blob in reversed(blobs):
        store.transfers.remember_layer(blob)
    assert store.transfers.layer_blobs(diff_id) == blobs
    assert store.transfers.layer_of("sha256:" + 64 * "b") == diff_id


def test_a_place_that_was_wrong_is_forgotten(store: Store) -> None:
    store.transfers.remember_place(DIGEST, "b.example/x")
    store.transfers.remember_place(DIGEST, "a.example/x")
    store.transfers.forget_place(DIGEST, "b.example/x")
    assert store.transfers.places(DIGEST) == ["a.example/x"]
