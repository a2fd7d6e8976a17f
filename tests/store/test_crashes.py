"""A process may be killed at any instruction, and a disk may be full at any write."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dissolver._core import CoreError
from dissolver._core.copy import CopyPlan
from dissolver._core.tree import Tree
from dissolver.image.config import Image
from dissolver.store import Store
from dissolver.store.faults import DiskFull
from shelf import add_image, add_layer, add_record, config_of

WORK = """
import itertools, random, sys
from pathlib import Path
sys.path[:0] = sys.argv[3:]
from dissolver.errors import DissolverError
from dissolver.store import Store
from shelf import add_container, add_image, add_record
store = Store(Path(sys.argv[1]), Path(sys.argv[2]))
print("in", flush=True)
for number in itertools.count():
    name = random.choice("uvwxyz")
    try:
        with store.lock_shared(), store.workspace():
            image = add_image(store, f"base {name}{number}", name)
            add_record(store, f"{name}{number}", image.config.diff_ids[-1], step=name)
            if number % 5 == 0:
                add_container(store, image, f"c{number}-{random.random()}")
        if number % 3 == 0:
            store.images.remove(random.choice("uvwxyz"))
        if number % 7 == 0:
            store.prune_images()
    except DissolverError as error:
        if type(error).__name__ not in ("ImageNotFound", "InUse"):
            raise
"""


def run_and_kill(store: Store, seconds: float, workers: int) -> None:
    command = [sys.executable, "-c", WORK, store.root, store.run, *sys.path]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(workers)
    ]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == b"in\n"
    time.sleep(seconds)
    for process in running:
        process.send_signal(signal.SIGKILL)
    for process in running:
        _, errors = process.communicate()
        assert errors == b""
        assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("seed", range(5))
def test_killed_processes_leave_a_consistent_store(store: Store, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(3):
        run_and_kill(store, chance.uniform(0.02, 0.25), workers=2)
        # Nothing that is referred to is missing or damaged; the rest is remains.
        assert {finding.kind for finding in store.check()} <= {"leftover"}
        assert add_image(store, "after", "after").size == 8192
    store.sweep()
    store.collect()
    assert store.check() == ()
    assert list(store.layout.tmp.iterdir()) == []
    for record in store.containers.list():
        store.containers.remove(record.id)
    store.prune_images(all_=True)
    store.prune_records()
    assert store.layers.list() == store.blobs.list() == []
    assert list(store.layout.containers.iterdir()) == []
    assert list((store.root / "packs").iterdir()) == []


@pytest.fixture(params=["ext4", "tmpfs"])
def small_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes, mounted for the test."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a file system")
    place = tmp_path / "disk"
    place.mkdir()
    if request.param == "tmpfs":
        mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "none", place]
    else:
        image = tmp_path / "disk.img"
        with image.open("wb") as file:
            file.truncate(8 << 20)
        make = ["mkfs.ext4", "-q", "-m", "0", image]
        subprocess.run(make, check=True, capture_output=True)
        mount = ["mount", "-o", "loop", image, place]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"cannot mount a small file system: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def add_many_images(store: Store, like: Image) -> None:
    for number in range(200):
        store.images.put(config_of(*like.config.diff_ids, created=number))


def fill(disk: Path) -> Path:
    """Take all the room there is."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 9, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue
    return ballast


def test_a_full_disk_is_explained_and_what_was_stored_is_intact(
    small_disk: Path, tmp_path: Path
) -> None:
    with Store(small_disk / "store", tmp_path / "run") as store:
        image = add_image(store, "a", "app")
        add_record(store, "k", image.config.diff_ids[0])
        ballast = fill(small_disk)
        with pytest.raises(DiskFull) as caught:
            add_many_images(store, image)
        assert caught.value.message == "cannot write to the store: no space left on the disk"
        assert caught.value.hint is not None
        assert "image prune" in caught.value.hint
        assert store.images.resolve("app") == image
        assert store.records.find("k") is not None
        ballast.unlink()
        assert add_image(store, "d", "after").size == 8192
        assert {finding.kind for finding in store.check()} <= {"leftover"}
        store.collect()
        assert store.check() == ()


def test_a_full_disk_can_be_pruned(small_disk: Path, tmp_path: Path) -> None:
    root, run = small_disk / "store", tmp_path / "run"
    with Store(root, run) as store:
        image = add_image(store, "a", "app")
        add_layer(store, "b")
    fill(small_disk)
    with Store(root, run) as store:
        assert store.images.resolve("app") == image
        report = store.prune_images(all_=True)
        assert report.images == (image.id,)
        assert report.reclaimed_bytes >= 2 * 8192
        assert add_image(store, "c", "after").size == 8192


def test_a_copy_that_does_not_fit_fails_as_a_whole(small_disk: Path, tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    (context / "large").write_bytes(b"large" * 4_000_000)
    with Store(small_disk / "store", tmp_path / "run") as store:
        image = add_image(store, "a", "app")
        plan = CopyPlan.for_copy(
            store.layers.view([]),
            Tree.scan(context),
            ["/."],
            "/app/",
            owner=None,
            keeps_owner=False,
            mode=None,
            new_directory_mtime=0,
        )
        # What is written ahead does not fit, and the digest needs no room.
        plan.prepare(store.layers)
        assert plan.digest().startswith("blake3:")
        with pytest.raises(CoreError) as caught:
            plan.write(store.layers)
        assert (caught.value.kind, caught.value.errno) == ("io", errno.ENOSPC)
        assert list(store.layout.tmp.iterdir()) == []
        assert store.layers.list() == list(image.config.diff_ids)
        assert {finding.kind for finding in store.check()} == set()
