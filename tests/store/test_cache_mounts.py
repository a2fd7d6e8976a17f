"""Cache mounts: which directory a step gets, who else has it, and what removes it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest

from dissolver.errors import Cancelled
from dissolver.store.cache_mounts import CacheMounts, CacheName, Sharing

NAME = CacheName("", "/root/.cache")

Use = Callable[..., AbstractContextManager[Path]]


@pytest.fixture
def caches(tmp_path: Path) -> CacheMounts:
    (tmp_path / "tmp").mkdir()
    return CacheMounts(tmp_path / "cache-mounts", tmp_path / "tmp")


@pytest.fixture
def use(caches: CacheMounts) -> Use:
    def use(
        name: CacheName = NAME,
        sharing: Sharing = "shared",
        *,
        seed: Callable[[Path], None] = lambda path: None,
        check: Callable[[], None] = lambda: None,
        waits: list[str] | None = None,
    ) -> AbstractContextManager[Path]:
        told = waits if waits is not None else []
        return caches.use(name, sharing, seed, check=check, on_wait=lambda: told.append("waits"))

    return use


def test_what_is_left_in_a_cache_is_there_the_next_time(use: Use) -> None:
    with use() as path:
        (path / "x").write_text("kept")
    with use() as path:
        assert (path / "x").read_text() == "kept"


@pytest.mark.parametrize(
    "other",
    [CacheName("ns", "/root/.cache"), CacheName("", "x"), CacheName("", "/root/.cache", "755 1:1")],
)
def test_another_namespace_id_or_start_is_another_cache(use: Use, other: CacheName) -> None:
    with use() as path, use(other) as another:
        assert path != another


def test_names_cannot_be_mixed_up_by_what_is_in_them() -> None:
    names = [CacheName("a", "b/c"), CacheName("a/b", "c"), CacheName('a","b', "c")]
    assert len({name.digest for name in names}) == 3


def test_a_shared_cache_is_had_by_many_at_once(use: Use) -> None:
    with use() as one, use() as two:
        assert one == two


def test_private_caches_are_directories_of_their_own_only_at_the_same_time(use: Use) -> None:
    with use(sharing="private") as one, use(sharing="private") as two:
        assert one != two
    with use(sharing="private") as again:
        assert again == one


def test_a_locked_cache_is_waited_for(use: Use) -> None:
    waits: list[str] = []
    order: list[str] = []

    def second() -> None:
        with use(sharing="locked", waits=waits):
            order.append("second")

    with use(sharing="locked"):
        thread = threading.Thread(target=second)
        thread.start()
        while not waits:
            time.sleep(0.01)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    assert waits == ["waits"]


def test_waiting_ends_when_the_build_is_cancelled(use: Use) -> None:
    def check() -> None:
        raise Cancelled("the build was cancelled")

    with use(sharing="locked"), pytest.raises(Cancelled), use(sharing="shared", check=check):
        pass


def test_a_seed_is_planted_once_and_appears_whole(use: Use) -> None:
    planted: list[Path] = []

    def seed(path: Path) -> None:
        planted.append(path)
        (path / "seed").write_text("x")

    for _ in range(2):
        with use(seed=seed) as path:
            assert (path / "seed").read_text() == "x"
    assert len(planted) == 1
    assert planted[0] != path


def test_a_seed_that_fails_leaves_nothing(use: Use, tmp_path: Path) -> None:
    def seed(path: Path) -> None:
        (path / "half").write_text("x")
        raise ValueError

    with pytest.raises(ValueError), use(seed=seed):
        pass
    assert list((tmp_path / "tmp").iterdir()) == []
    with use() as path:
        assert list(path.iterdir()) == []


def test_threads_that_race_for_a_new_cache_get_the_same(use: Use) -> None:
    found: list[Path] = []
    barrier = threading.Barrier(8)

    def one() -> None:
        barrier.wait()
        with use(seed=lambda path: time.sleep(0.01)) as path:
            found.append(path)

    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_usage_tells_size_and_last_use(caches: CacheMounts, use: Use) -> None:
    assert caches.usage() == ()
    before = time.time_ns()
    with use() as path:
        (path / "x").write_bytes(bytes(1 << 20))
    with use(CacheName("ns", "later")):
        pass
    later, first = caches.usage()
    assert (later.name, first.name) == (CacheName("ns", "later"), NAME)
    assert first.size_bytes >= 1 << 20
    assert before - 10**8 < first.used_ns <= later.used_ns <= time.time_ns() + 10**8


def test_pruning_takes_all_or_what_was_not_used_lately(caches: CacheMounts, use: Use) -> None:
    with ExitStack() as stack:
        stack.enter_context(use(NAME))
    time.sleep(0.05)
    middle = time.time_ns()
    time.sleep(0.05)
    with use(CacheName("", "later")) as path:
        (path / "x").write_bytes(bytes(1 << 20))
    assert caches.prune(until_ns=middle)[0] == 1
    assert [usage.name.id for usage in caches.usage()] == ["later"]
    count, freed = caches.prune()
    assert count == 1
    assert freed >= 1 << 20
    assert caches.usage() == ()
