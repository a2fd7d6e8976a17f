"""Connections, transactions and many writers."""

from __future__ import annotations

import os
import threading

import pytest

from dissolver.errors import StoreError
from dissolver.image.reference import parse_reference
from dissolver.store import Store
from shelf import add_image, add_layer, add_record


def test_a_transaction_that_fails_changes_nothing(store: Store) -> None:
    image = add_image(store, "a", "app")

    def fail() -> None:
        with store.database.write("try") as connection:
            connection.execute("DELETE FROM images")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert store.images.resolve("app") == image


def test_a_mistake_of_the_database_is_explained(store: Store) -> None:
    with pytest.raises(StoreError) as caught, store.database.write("try it") as connection:
        connection.execute("SELECT * FROM nowhere")
    assert caught.value.message == "cannot try it: no such table: nowhere"


def test_each_thread_has_a_connection_of_its_own(store: Store) -> None:
    seen: list[object] = [store.database.read()]
    thread = threading.Thread(target=lambda: seen.append(store.database.read()))
    thread.start()
    thread.join()
    assert len({id(each) for each in seen}) == 2
    assert store.database.read() is seen[0]


def test_many_threads_write_at_once(store: Store) -> None:
    diff_id = add_layer(store, "a")
    failures: list[BaseException] = []

    def write(worker: int) -> None:
        try:
            for number in range(20):
                add_record(store, f"{worker}.{number}", diff_id, step=str(worker))
        except BaseException as error:  # noqa: BLE001 - the test reports it
            failures.append(error)

    threads = [threading.Thread(target=write, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert store.records.count() == 160


def test_a_forked_child_uses_the_store_without_harm_to_its_parent(store: Store) -> None:
    image = add_image(store, "a", "app")
    child = os.fork()
    if child == 0:
        try:
            store.images.tag(image.id, parse_reference("child"))
            store.close()
        finally:
            os._exit(0 if store.images.references(image.id) else 1)
    assert os.waitpid(child, 0)[1] == 0
    store.images.tag(image.id, parse_reference("parent"))
    names = [name.familiar for name in store.images.references(image.id)]
    assert names == ["app:latest", "child:latest", "parent:latest"]


def test_a_closed_store_opens_again_when_it_is_used(store: Store) -> None:
    add_image(store, "a", "app")
    store.close()
    store.close()
    assert len(store.images.list()) == 1


def test_closing_leaves_no_log_behind(store: Store) -> None:
    add_image(store, "a", "app")
    store.close()
    names = {path.name for path in store.root.iterdir() if path.name.startswith("store.")}
    assert names == {"store.sqlite", "store.lock"}


def test_a_database_that_lost_its_content_is_told(store: Store) -> None:
    os.truncate(store.layout.database, 0)
    with pytest.raises(StoreError) as caught:
        store.images.list()
    assert caught.value.message == f"the database `{store.layout.database}` is empty"


def test_why_a_database_cannot_be_opened_is_told(store: Store) -> None:
    store.layout.database.unlink()
    with pytest.raises(StoreError, match="no such file or directory"):
        store.images.list()
