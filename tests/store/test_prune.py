"""Pruning: what goes, what stays, and how much room that gives back."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

from dissolver._core.copy import CopyPlan
from dissolver._core.tree import Tree
from dissolver.store import Store
from shelf import add_container, add_image, add_layer, add_record


def disk_bytes(root: Path) -> int:
    """Count what is on disk below ``root``, apart from the database and its reserve."""
    total = 0
    for directory, _, names in os.walk(root):
        for path in (Path(directory), *(Path(directory) / name for name in names)):
            if not path.name.startswith(("store.", "reserve")):
                # File systems decide late how many blocks a file takes.
                descriptor = os.open(path, os.O_RDONLY)
                os.fsync(descriptor)
                total += os.fstat(descriptor).st_blocks * 512
                os.close(descriptor)
    return total


def stored(store: Store) -> set[str]:
    return set(store.layers.list())


def test_pruning_an_empty_store_removes_nothing(store: Store) -> None:
    report = store.prune_images(all_=True)
    assert (report.untagged, report.images, report.records, report.reclaimed_bytes) == (
        (),
        (),
        0,
        0,
    )


def test_pruning_removes_dangling_images_and_keeps_named_ones(store: Store) -> None:
    named = add_image(store, "a", "app")
    dangling = add_image(store, "b")
    report = store.prune_images()
    assert report.images == (dangling.id,)
    assert report.untagged == ()
    assert [row.image.id for row in store.images.list()] == [named.id]
    assert stored(store) == set(named.config.diff_ids)


def test_pruning_all_removes_named_images_too(store: Store) -> None:
    image = add_image(store, "a", "app:1", "app:2")
    report = store.prune_images(all_=True)
    assert report.images == (image.id,)
    assert report.untagged == ("app:1", "app:2")
    assert stored(store) == set()
    assert store.blobs.list() == []


def test_a_prune_leaves_what_may_not_go(store: Store) -> None:
    old, new = add_image(store, "a", created=1), add_image(store, "b", created=9)
    report = store.prune_images(may_go=lambda config: config.created == 1)
    assert report.images == (old.id,)
    assert stored(store) == set(new.config.diff_ids)


def test_the_reclaimed_bytes_are_those_that_the_disk_gets_back(store: Store) -> None:
    add_image(store, "shared", "base")
    add_image(store, "shared own", "app")
    store.images.remove("app")
    add_image(store, "shared other third")
    before = disk_bytes(store.root)
    report = store.prune_images()
    assert report.reclaimed_bytes == before - disk_bytes(store.root)
    assert report.reclaimed_bytes >= 2 * 8192


def test_an_image_of_a_container_is_not_pruned(store: Store) -> None:
    image = add_image(store, "a")
    container = add_container(store, image, "web")
    assert store.prune_images(all_=True).images == ()
    store.containers.remove(container.id)
    assert store.prune_images(all_=True).images == (image.id,)


def test_layers_of_a_container_stay_when_its_image_was_removed_by_force(store: Store) -> None:
    image = add_image(store, "a b", "app")
    container = add_container(store, image, "web")
    store.images.remove("app", force=True, is_running=lambda _: False)
    store.prune_images(all_=True)
    store.prune_records()
    assert stored(store) == set(image.config.diff_ids)
    store.containers.remove(container.id)
    store.prune_images()
    assert stored(store) == set()


def test_records_of_pruned_layers_go_and_all_others_stay(store: Store) -> None:
    kept = add_image(store, "base one", "app")
    gone = add_image(store, "base two")
    other = add_layer(store, "stage")
    for key, diff_id in (
        ("base", kept.config.diff_ids[0]),
        ("one", kept.config.diff_ids[1]),
        ("two", gone.config.diff_ids[1]),
        ("stage", other),
    ):
        add_record(store, key, diff_id, step=key)
    report = store.prune_images()
    assert report.records == 1
    found = [key for key in ("base", "one", "two", "stage") if store.records.find(key)]
    assert found == ["base", "one", "stage"]
    assert stored(store) == {*kept.config.diff_ids, other}


def test_removing_an_image_leaves_the_cache(store: Store) -> None:
    image = add_image(store, "a", "app")
    add_record(store, "k", image.config.diff_ids[0])
    store.images.remove("app")
    assert store.records.find("k") is not None
    store.prune_images(all_=True)
    assert store.records.find("k") is not None


def test_pruning_records_frees_the_layers_that_only_they_held(store: Store) -> None:
    image = add_image(store, "a", "app")
    loose = add_layer(store, "b")
    add_record(store, "a", image.config.diff_ids[0])
    add_record(store, "b", loose, step="t")
    report = store.prune_records()
    assert report.records == 2
    assert report.reclaimed_bytes >= 8192
    assert stored(store) == set(image.config.diff_ids)
    assert store.records.latest_like("b", "s") is None


def test_pruning_unused_records_keeps_the_builds_of_images_cached(store: Store) -> None:
    image = add_image(store, "a", "app")
    add_record(store, "a", image.config.diff_ids[0])
    add_record(store, "b", add_layer(store, "b"), step="t")
    assert store.prune_records(all_=False).records == 1
    assert store.records.find("a") is not None
    assert store.records.find("b") is None


def test_pruning_old_records_keeps_those_that_were_used_since(store: Store) -> None:
    before = time.time_ns()
    add_record(store, "unused", add_layer(store, "a"), created_ns=7, step="s")
    add_record(store, "used", add_layer(store, "b"), created_ns=7, step="t")
    with store.database.write("make it old") as connection:
        connection.execute("UPDATE step_uses SET used_ns = 8 WHERE key = 'unused'")
    assert store.prune_records(until_ns=8).records == 0
    assert store.prune_records(until_ns=before).records == 1
    assert store.records.find("used") is not None


def test_layers_of_a_killed_build_are_collected(store: Store) -> None:
    add_layer(store, "a")
    assert store.collect() >= 8192
    assert stored(store) == set()


def test_files_of_a_container_without_a_record_are_collected(store: Store) -> None:
    kept = add_container(store, add_image(store, "a"), "web")
    orphan = store.containers.directory("ab" * 32)
    orphan.mkdir()
    (orphan / "log.json").write_bytes(b"x" * 5000)
    assert store.collect() >= 5000
    assert not orphan.exists()
    assert store.containers.directory(kept.id).exists()


def test_a_strange_file_among_the_blobs_is_left_alone(store: Store) -> None:
    # Network file systems make such names for files that are removed while somebody reads them.
    strange = store.layout.blobs / "sha256" / ".nfs00000001"
    strange.write_bytes(b"")
    image = add_image(store, "a")
    assert store.check() == ()
    assert store.prune_images().images == (image.id,)
    assert strange.exists()


def test_disk_usage_tells_what_a_prune_would_give_back(store: Store) -> None:
    used = add_image(store, "shared used", "used")
    add_image(store, "shared free", "free")
    add_container(store, used, "web")
    add_record(store, "k", add_layer(store, "cached"))
    images, containers, volumes, cache = store.disk_usage()
    assert (images.kind, images.total, images.active) == ("Images", 2, 1)
    assert (containers.kind, containers.total) == ("Containers", 1)
    assert (volumes.kind, volumes.total, volumes.size_bytes) == ("Local Volumes", 0, 0)
    assert (cache.kind, cache.total) == ("Build Cache", 1)
    assert store.prune_records(all_=False).reclaimed_bytes == cache.reclaimable_bytes
    assert store.prune_images(all_=True).reclaimed_bytes == images.reclaimable_bytes


def remember(store: Store, context: Path) -> Path:
    """Make the stat cache of a new context, and answer where it is."""
    context.mkdir()
    (context / "file").write_text("text")
    cache = store.stat_cache(context)
    tree = Tree.scan(context, stat_cache=cache)
    plan = CopyPlan.for_copy(
        store.layers.view([]),
        tree,
        ["/."],
        "/app/",
        owner=None,
        keeps_owner=False,
        mode=None,
        new_directory_mtime=0,
    )
    plan.digest()
    return cache


def test_disk_usage_counts_what_is_remembered_of_contexts(store: Store, tmp_path: Path) -> None:
    add_record(store, "k", add_layer(store, "cached"))
    remember(store, tmp_path / "context")
    cache = store.disk_usage()[-1]
    assert store.prune_records().reclaimed_bytes == cache.reclaimable_bytes == cache.size_bytes


def test_digests_of_contexts_go_when_nobody_can_want_them(store: Store, tmp_path: Path) -> None:
    kept = remember(store, tmp_path / "kept")
    gone = remember(store, tmp_path / "gone")
    shutil.rmtree(tmp_path / "gone")
    old = remember(store, tmp_path / "old")
    month = 31 * 24 * 60 * 60
    os.utime(old, (time.time() - month, time.time() - month))
    broken = store.layout.stat / "broken.new"
    broken.write_bytes(b"half")
    assert store.prune_records(all_=False).reclaimed_bytes > 0
    assert list(store.layout.stat.iterdir()) == [kept]
    assert not gone.exists()
    store.prune_records()
    assert list(store.layout.stat.iterdir()) == []


def test_a_cache_that_somebody_removed_is_an_empty_one(store: Store, tmp_path: Path) -> None:
    remember(store, tmp_path / "before")
    shutil.rmtree(store.layout.stat)
    with Store(store.root, store.run) as again:
        assert remember(again, tmp_path / "context").exists()
        assert again.prune_records().reclaimed_bytes > 0
