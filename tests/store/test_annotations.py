"""What is said about images: it goes with the image, and the last word counts."""

from __future__ import annotations

from dissolver.image.annotations import Annotations
from dissolver.store import Store
from shelf import add_image

SAID = Annotations({"a": "1", "b": "ä"}, {"a": "2"})


def test_an_image_of_which_nothing_was_said_has_no_annotations(store: Store) -> None:
    assert store.images.annotations(add_image(store, "a", "app").id) == Annotations()
    assert store.images.annotations("sha256:" + 64 * "0") == Annotations()


def test_what_is_said_last_counts(store: Store) -> None:
    image = add_image(store, "a", "app")
    store.images.put(image.config, annotations=SAID)
    assert store.images.annotations(image.id) == SAID
    store.images.put(image.config, annotations=Annotations({"c": "3"}))
    assert store.images.annotations(image.id) == Annotations({"c": "3"})
    store.images.put(image.config, annotations=Annotations())
    assert store.images.annotations(image.id) == Annotations()


def test_who_says_nothing_changes_nothing(store: Store) -> None:
    image = add_image(store, "a", "app")
    store.images.put(image.config, annotations=SAID)
    add_image(store, "a", "app:2")
    assert store.images.annotations(image.id) == SAID


def test_manifests_are_kept_as_long_as_they_say_the_same(store: Store) -> None:
    image = add_image(store, "a", "app")
    digest = "sha256:" + 64 * "d"
    store.transfers.remember_manifest(image.id, digest, "type")
    store.images.put(image.config, annotations=Annotations())
    assert store.transfers.manifests(image.id) == [(digest, "type")]
    store.images.put(image.config, annotations=SAID)
    assert store.transfers.manifests(image.id) == []


def test_what_is_said_goes_with_the_image(store: Store) -> None:
    image = add_image(store, "a", "app")
    store.images.put(image.config, annotations=SAID)
    store.images.remove("app")
    assert store.images.annotations(image.id) == Annotations()
    add_image(store, "a", "app")
    assert store.images.annotations(image.id) == Annotations()


def test_a_database_of_the_third_version_is_brought_up_to_date(store: Store) -> None:
    image = add_image(store, "a", "app")
    connection = store.database.read()
    connection.execute("DROP TABLE image_annotations")
    connection.execute("PRAGMA user_version = 3")
    again = Store(store.root, store.run)
    again.images.put(image.config, annotations=SAID)
    assert again.images.annotations(image.id) == SAID
    again.close()
