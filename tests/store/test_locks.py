"""The store lock and private workspaces."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dissolver.errors import StoreError
from dissolver.store import Store

HOLD = """
import sys
from pathlib import Path
from dissolver.store import Store
store = Store(Path(sys.argv[1]), Path(sys.argv[2]))
with getattr(store, sys.argv[3])() as place:
    if place is not None:
        (place / "half").write_bytes(b"x" * 100_000)
    print("in", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held_elsewhere(store: Store, what: str) -> Iterator[subprocess.Popen[bytes]]:
    """Hold a lock or a workspace in another process."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, store.root, store.run, what],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"in\n"
    yield process
    process.communicate()


def test_builds_share_the_lock(store: Store) -> None:
    with held_elsewhere(store, "lock_shared"), store.lock_shared():
        pass


def test_a_prune_waits_for_a_build_and_says_so(store: Store) -> None:
    told = threading.Event()
    with held_elsewhere(store, "lock_shared") as build:
        thread = threading.Thread(target=lambda: store.prune_images(on_wait=told.set))
        thread.start()
        assert told.wait(10)
        thread.join(0.1)
        assert thread.is_alive()
        build.communicate()
        thread.join(10)
        assert not thread.is_alive()


def test_a_build_waits_for_a_prune(store: Store) -> None:
    told = threading.Event()
    entered = threading.Event()

    def build() -> None:
        with store.lock_shared(told.set):
            entered.set()

    with held_elsewhere(store, "lock_exclusive") as prune:
        thread = threading.Thread(target=build)
        thread.start()
        assert told.wait(10)
        assert not entered.is_set()
        prune.communicate()
        assert entered.wait(10)
        thread.join()


def test_nobody_is_told_to_wait_when_the_lock_is_free(store: Store) -> None:
    told = threading.Event()
    store.prune_images(on_wait=told.set)
    assert not told.is_set()


def test_a_thread_takes_the_shared_lock_again_without_waiting(store: Store) -> None:
    with store.lock_shared(), store.lock_shared():
        pass
    store.prune_images()


def test_a_prune_within_a_build_is_refused_instead_of_waiting_for_itself(store: Store) -> None:
    with store.lock_shared(), pytest.raises(StoreError, match="from within a build"):
        store.prune_images()


def test_a_killed_holder_lets_go(store: Store) -> None:
    with held_elsewhere(store, "lock_shared") as build:
        build.send_signal(signal.SIGKILL)
        build.wait()
        store.prune_images()


def test_a_workspace_is_private_and_gone_afterwards(store: Store) -> None:
    with store.workspace() as one, store.workspace() as two:
        assert one != two
        assert one.parent == two.parent == store.layout.tmp
        assert one.name.startswith(f"{os.getpid()}-")
        (one / "deep" / "er").mkdir(parents=True)
    assert list(store.layout.tmp.iterdir()) == []


def test_a_workspace_steps_aside_for_a_name_that_is_taken(store: Store) -> None:
    with store.workspace() as first:
        number = int(first.name.rpartition("-")[2])
    prefix = first.name.rpartition("-")[0]
    taken = store.layout.tmp / f"{prefix}-{number + 1}"
    taken.mkdir()
    with store.workspace() as second:
        assert second != taken
    assert taken.exists()


def test_what_a_killed_process_left_is_swept(store: Store) -> None:
    with held_elsewhere(store, "workspace") as build:
        assert store.sweep() == 0
        build.send_signal(signal.SIGKILL)
        build.wait()
    assert store.sweep() >= 100_000
    assert list(store.layout.tmp.iterdir()) == []
    assert store.sweep() == 0


def test_what_lives_is_not_swept(store: Store) -> None:
    with store.workspace() as place:
        (place / "half").touch()
        assert store.sweep() == 0
        assert (place / "half").exists()


def test_a_process_number_in_use_again_does_not_protect_what_was_left(store: Store) -> None:
    stale = store.layout.tmp / f"{os.getpid()}-1-0"
    stale.mkdir()
    store.sweep()
    assert not stale.exists()


def test_a_name_without_an_owner_is_left_until_the_store_is_free(store: Store) -> None:
    orphan = store.layout.tmp / "blob-abc"
    orphan.write_bytes(b"x")
    store.sweep()
    assert orphan.exists()
    store.collect()
    assert not orphan.exists()


def test_sweeping_removes_directories_without_permissions(store: Store, tmp_path: Path) -> None:
    work = store.layout.tmp / "1-1-0" / "work" / "work"
    work.mkdir(parents=True)
    work.chmod(0)
    store.sweep()
    assert list(store.layout.tmp.iterdir()) == []
