"""The check of a whole store."""

from __future__ import annotations

import pytest

from dissolver.errors import StoreError
from dissolver.image.digest import short
from dissolver.store import Store
from shelf import add_container, add_image, add_layer, add_record


def kinds(store: Store) -> list[tuple[str, str]]:
    return [(finding.kind, finding.subject) for finding in store.check()]


def test_a_store_in_order_has_no_findings(store: Store) -> None:
    image = add_image(store, "a b", "app")
    add_container(store, image, "web")
    add_record(store, "k", image.config.diff_ids[0])
    assert store.check() == ()


def test_a_changed_configuration_is_found(store: Store) -> None:
    image = add_image(store, "a", "app")
    path = store.blobs.path(image.id)
    path.write_bytes(path.read_bytes() + b" ")
    [finding] = store.check()
    assert (finding.kind, finding.subject) == ("damaged", f"image {short(image.id)}")
    assert image.id in finding.message
    with pytest.raises(StoreError, match="is damaged"):
        store.images.resolve("app")


def test_a_missing_configuration_is_found(store: Store) -> None:
    image = add_image(store, "a")
    store.blobs.remove(image.id)
    assert kinds(store) == [("missing", f"image {short(image.id)}")]


def test_a_missing_layer_is_found_in_all_that_need_it(store: Store) -> None:
    image = add_image(store, "a")
    add_container(store, image, "web")
    diff_id = image.config.diff_ids[0]
    add_record(store, "sha256:" + "4" * 64, diff_id)
    store.layers.remove(diff_id)
    assert kinds(store) == [
        ("missing", f"image {short(image.id)}"),
        ("missing", "container web"),
        ("missing", "record 444444444444"),
    ]


def test_a_container_without_files_is_found(store: Store) -> None:
    record = add_container(store, add_image(store, "a", "app"), "web")
    store.containers.directory(record.id).rmdir()
    assert [(finding.kind, finding.message) for finding in store.check()] == [
        ("missing", "the files of container web are missing")
    ]


def test_a_changed_layer_is_found(store: Store) -> None:
    image = add_image(store, "a")
    diff_id = image.config.diff_ids[0]
    [pack] = [path for path in (store.root / "packs").iterdir() if path.is_file()]
    content = bytearray(pack.read_bytes())
    content[600] ^= 1
    pack.chmod(0o600)
    pack.write_bytes(content)
    assert kinds(store) == [("damaged", f"layer {short(diff_id)}")]


def test_leftovers_are_told_and_collected(store: Store) -> None:
    diff_id = add_layer(store, "a")
    digest = store.blobs.put(b"left")
    store.containers.directory("cd" * 32).mkdir()
    assert kinds(store) == [
        ("leftover", f"layer {short(diff_id)}"),
        ("leftover", f"blob {short(digest)}"),
        ("leftover", f"container {'cd' * 6}"),
    ]
    store.collect()
    assert store.check() == ()


def test_a_pack_without_a_layer_is_told_and_collected(store: Store) -> None:
    pack = store.layout.packs / ("ab" * 32 + ".tar")
    pack.write_bytes(b"x" * 9000)
    assert kinds(store) == [("leftover", "pack " + "ab" * 6)]
    assert store.collect() >= 9000
    assert not pack.exists()


def test_a_damaged_database_is_found(store: Store) -> None:
    add_image(store, "a", "app")
    connection = store.database.read()
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute("INSERT INTO refs VALUES ('docker.io/library/x:1', 'sha256:none')")
    [finding] = store.check()
    assert finding.kind == "damaged"
    assert finding.message == "a row of `refs` refers to a missing one of `images`"
