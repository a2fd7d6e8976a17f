"""Container records."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dissolver.errors import AmbiguousIdentifier, ContainerNotFound, ImageNotFound, NameInUse
from dissolver.store import Store
from dissolver.store.containers import ContainerRecord
from shelf import add_container, add_image


def test_a_container_is_found_by_id_name_and_prefix(store: Store) -> None:
    record = add_container(store, add_image(store, "a"), "web")
    for text in (record.id, "web", "/web", record.id[:12], record.id[:1]):
        assert store.containers.resolve(text) == record
    assert store.containers.get(record.id) == record


def test_a_name_wins_over_an_id_prefix(store: Store) -> None:
    image = add_image(store, "a")
    one = add_container(store, image, "web")
    two = add_container(store, image, one.id[:4])
    assert store.containers.resolve(one.id[:4]) == two


def test_a_prefix_of_two_ids_is_ambiguous(store: Store) -> None:
    image = add_image(store, "a")
    for number in ("1", "2"):
        store.containers.add(ContainerRecord("ab" + number * 62, f"c{number}", image.id, 1, b"{}"))
    with pytest.raises(AmbiguousIdentifier):
        store.containers.resolve("ab")
    assert store.containers.resolve("ab1").name == "c1"


def test_a_missing_container_is_told_with_where_to_look(store: Store) -> None:
    with pytest.raises(ContainerNotFound) as caught:
        store.containers.resolve("web")
    assert caught.value.message == "there is no container `web`"
    assert caught.value.hint == "`dissolver ps -a` lists the containers"


def test_a_name_can_be_used_once(store: Store) -> None:
    image = add_image(store, "a")
    first = add_container(store, image, "web")
    with pytest.raises(NameInUse) as caught:
        add_container(store, image, "web")
    assert caught.value.message == (f"the name `web` is in use by the container `{first.id[:12]}`")


def test_a_container_of_a_removed_image_cannot_be_made(store: Store) -> None:
    image = add_image(store, "a", "app")
    store.images.remove("app")
    with pytest.raises(ImageNotFound):
        add_container(store, image, "web")
    assert store.containers.list() == []


def test_containers_are_listed_newest_first(store: Store) -> None:
    image = add_image(store, "a")
    for age, name in ((1, "old"), (3, "new"), (2, "middle")):
        store.containers.add(ContainerRecord(name, name, image.id, age, b"{}"))
    assert [record.name for record in store.containers.list()] == ["new", "middle", "old"]
    assert [record.name for record in store.containers.using(image.id)] == [
        "old",
        "middle",
        "new",
    ]


def test_a_container_can_be_renamed_but_not_to_a_taken_name(store: Store) -> None:
    image = add_image(store, "a")
    record = add_container(store, image, "web")
    add_container(store, image, "other")
    store.containers.change_config(record.id, lambda old: replace(old, name="site"))
    assert store.containers.resolve("site").id == record.id
    with pytest.raises(NameInUse):
        store.containers.change_config(record.id, lambda old: replace(old, name="other"))


def test_removing_a_container_twice_changes_nothing(store: Store) -> None:
    record = add_container(store, add_image(store, "a"), "web")
    store.containers.remove(record.id)
    store.containers.remove(record.id)
    assert store.containers.list() == []
    assert store.containers.layers(record.id) == ()
