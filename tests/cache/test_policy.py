"""Hits, misses and their reasons."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dissolver.cache.inputs import CacheKey, digest_inputs
from dissolver.cache.policy import Hit, Miss, look_up
from dissolver.cache.why import all_differences, first_difference
from dissolver.store import Store
from dissolver.store.records import StepRecord
from shelf import add_layer

Pairs = tuple[tuple[str, str], ...]

RUN: Pairs = (
    ("command", '["make"]'),
    ("env.PATH", "/bin"),
    ("user", ""),
    ("workdir", "/"),
    ("network", "default"),
    ("parent.0", "sha256:a"),
    ("parent.1", "sha256:b"),
)


def key_of(inputs: Pairs) -> CacheKey:
    return CacheKey(digest_inputs("run", 1, inputs), inputs)


def remember(store: Store, inputs: Pairs, *, step: str = "s", build: str = "b") -> StepRecord:
    diff_id = add_layer(store, "layer")
    record = StepRecord(key_of(inputs).digest, "run", diff_id, 5, build, step, inputs)
    store.records.put(record)
    return record


def reason(store: Store, inputs: Pairs, *, step: str = "s", build: str = "b") -> str:
    found = look_up(store, key_of(inputs), no_cache=False, build=build, step=step)
    assert isinstance(found, Miss)
    return found.reason


def with_input(inputs: Pairs, name: str, value: str) -> Pairs:
    return tuple((each, value if each == name else old) for each, old in inputs)


def test_the_same_inputs_are_a_hit(store: Store) -> None:
    record = remember(store, RUN)
    found = look_up(store, key_of(RUN), no_cache=False, build="b", step="s")
    assert isinstance(found, Hit)
    assert (found.record.diff_id, found.record.created_ns) == (record.diff_id, 5)


def test_a_hit_may_come_from_another_build(store: Store) -> None:
    remember(store, RUN)
    found = look_up(store, key_of(RUN), no_cache=False, build="other", step="t")
    assert isinstance(found, Hit)
    assert reason(store, with_input(RUN, "user", "node"), build="other", step="t") == (
        "the user changed"
    )


def test_a_step_of_an_empty_store_was_not_built_before(store: Store) -> None:
    assert reason(store, RUN) == "this step was not built before"


def test_without_the_cache_nothing_is_a_hit(store: Store) -> None:
    remember(store, RUN)
    found = look_up(store, key_of(RUN), no_cache=True, build="b", step="s")
    assert found == Miss("the cache was not to be used")


def test_a_lost_layer_is_a_miss_that_says_so(store: Store) -> None:
    record = remember(store, RUN)
    store.layers.remove(record.diff_id)
    assert reason(store, RUN) == "its result is not in the cache any more"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("command", '["make", "all"]', "the command changed"),
        ("env.PATH", "/usr/bin", "variable `PATH` changed"),
        ("user", "node", "the user changed"),
        ("workdir", "/app", "the working directory changed"),
        ("network", "none", "the network mode changed"),
        ("parent.1", "sha256:c", "parent layer changed"),
    ],
)
def test_a_miss_names_what_changed(store: Store, name: str, value: str, said: str) -> None:
    remember(store, RUN)
    assert reason(store, with_input(RUN, name, value)) == said


UNUSUAL: Pairs = (
    *RUN[:5],
    ("host.db", ""),
    ("shm", "1024"),
    ("ulimit.nofile", "1:2"),
    ("security", "insecure"),
    ("mount./src", "bind ro blake3:1"),
    *RUN[5:],
    ("context/a", "644 1"),
)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("host.db", None, "the name `db` of `--add-host` was removed"),
        ("shm", "2048", "the size of `/dev/shm` changed"),
        ("ulimit.nofile", "1:3", "the limit `nofile` of `--ulimit` was changed"),
        ("ulimit.nofile", None, "the limit `nofile` of `--ulimit` was removed"),
        ("security", "sandbox", "the security mode changed"),
        ("mount./src", "bind rw blake3:1", "what is mounted at `/src` changed"),
        ("mount./src", None, "what is mounted at `/src` was removed"),
        ("context/a", "644 2", "file `a` changed"),
    ],
)
def test_what_is_unusual_about_a_run_is_named(name: str, value: str | None, said: str) -> None:
    kept = tuple(pair for pair in UNUSUAL if pair[0] != name)
    after = kept if value is None else with_input(UNUSUAL, name, value)
    assert first_difference(UNUSUAL, after) == said


def test_the_files_of_a_mount_say_more_than_that_it_changed() -> None:
    after = with_input(with_input(UNUSUAL, "mount./src", "x"), "context/a", "644 2")
    assert list(all_differences(UNUSUAL, after)) == ["file `a` changed"]


def test_a_miss_is_compared_with_what_was_built_last(store: Store) -> None:
    remember(store, RUN)
    remember(store, with_input(RUN, "user", "node"))
    changed = with_input(with_input(RUN, "user", "node"), "workdir", "/x")
    assert reason(store, changed) == "the working directory changed"
    # Going back and forth, the last one counts and not the youngest.
    look_up(store, key_of(RUN), no_cache=False, build="b", step="s")
    assert reason(store, with_input(RUN, "workdir", "/x")) == "the working directory changed"


def test_a_step_that_moved_is_compared_with_itself(store: Store) -> None:
    remember(store, RUN, step="0/RunStep/1")
    inserted: Pairs = (("command", '["apt"]'), *RUN[1:])
    assert reason(store, inserted, step="0/RunStep/1") == "the command changed"
    remember(store, inserted, step="0/RunStep/1")
    remember(store, RUN, step="0/RunStep/2")
    # Now `apt` is gone again: `make` is the first step, on another parent.
    moved = with_input(RUN, "parent.1", "sha256:new")
    assert reason(store, moved, step="0/RunStep/1") == "parent layer changed"


def test_a_step_below_an_inserted_one_is_compared_with_itself(store: Store) -> None:
    first, second = RUN, (("command", '["test"]'), *RUN[1:])
    remember(store, first, step="app/RunStep/1")
    remember(store, second, step="app/RunStep/2")
    before = store.records.places("b")
    inserted: Pairs = (("command", '["apt"]'), *RUN[1:])
    said = []
    for number, inputs in enumerate((inserted, first, second), start=1):
        moved = with_input(inputs, "parent.1", f"sha256:new{number}")
        found = look_up(
            store,
            key_of(moved),
            no_cache=False,
            build="b",
            step=f"app/RunStep/{number}",
            earlier=before,
        )
        assert isinstance(found, Miss)
        said.append(found.reason)
        remember(store, moved, step=f"app/RunStep/{number}")
    assert said == ["the command changed", "parent layer changed", "parent layer changed"]


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("1/RunStep/1", "the user changed"),
        ("app/RunStep/1", "this step was not built before"),
        ("0/AddStep/1", "this step was not built before"),
    ],
)
def test_a_step_moves_to_no_other_kind_and_to_no_named_stage(
    store: Store, step: str, said: str
) -> None:
    remember(store, RUN, step="0/RunStep/1")
    assert reason(store, with_input(RUN, "user", "node"), step=step) == said


COPY: Pairs = (
    ("destination", "/app/"),
    ("context/package.json", "644 1"),
    ("context/src/a.py", "644 2"),
    ("context/src/b.py", "644 3"),
)


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (with_input(COPY, "context/src/a.py", "644 9"), "file `src/a.py` changed"),
        (with_input(COPY, "context/src/a.py", "755 2"), "the mode of `src/a.py` changed"),
        (with_input(COPY, "destination", "/srv/"), "the destination changed"),
        ((*COPY, ("context/z", "644 4")), "file `z` added"),
        ((*COPY, ("from/usr/bin/x", "755 4")), "file `usr/bin/x` added"),
        (COPY[:-1], "file `src/b.py` removed"),
        (
            with_input(with_input(COPY, "context/src/b.py", "644 9"), "context/src/a.py", "644 9"),
            "file `src/a.py` changed, file `src/b.py` changed",
        ),
        ((COPY[0],), "file `package.json` removed, and 2 more"),
    ],
)
def test_a_copy_names_the_first_file_that_changed(after: Pairs, said: str) -> None:
    assert first_difference(COPY, after) == said


def test_equal_inputs_have_no_difference() -> None:
    assert first_difference(RUN, RUN) is None
    assert list(all_differences(COPY, COPY)) == []


def test_all_differences_are_told_in_the_order_of_the_key() -> None:
    after = with_input(with_input(RUN, "parent.1", "x"), "env.PATH", "/x")
    after = (*with_input(after, "parent.0", "y"), ("env.NEW", "1"))
    assert list(all_differences(RUN, after)) == [
        "variable `PATH` changed",
        "parent layer changed",
        "variable `NEW` added",
    ]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("755 1", None, "directory `/srv/app` removed"),
        (None, "755 1", "directory `/srv/app` added"),
        ("755 1", "700 2", "directory `/srv/app` changed"),
    ],
)
def test_a_directory_on_the_way_is_named(before: str | None, after: str | None, said: str) -> None:
    name = "directory/srv/app"
    old, new = (((name, value),) if value else () for value in (before, after))
    assert first_difference(old, new) == said


def test_the_text_of_a_heredoc_is_named() -> None:
    before: Pairs = (("file.script", "755 1"),)
    assert first_difference(before, (("file.script", "755 2"),)) == "the text of `script` changed"


def test_what_is_mounted_is_named_by_its_files_where_they_are_known() -> None:
    before: Pairs = (("mount./t", "bind ro 1"), ("parent.0", "a"), ("from/x", "644 1"))
    mounted = with_input(before, "mount./t", "bind ro 2")
    assert first_difference(before, mounted) == "what is mounted at `/t` changed"
    assert first_difference(before, with_input(mounted, "from/x", "644 2")) == "file `x` changed"


class Shared:
    """Shared caches that answer what a test says."""

    def __init__(self, record: StepRecord | None = None, **said: str | None) -> None:
        self.record = record
        self.said = said
        self.depots = ["r.lan/cache:1"]

    def find(self, digest: str) -> StepRecord | None:
        return self.record if self.record is not None and self.record.key == digest else None

    def nearest(self, step: str) -> StepRecord | None:
        return self.record if self.record is not None and self.record.step == step else None

    def trouble(self, digest: str) -> str | None:
        return self.said.get("trouble")

    def unasked(self) -> str | None:
        return self.said.get("unasked")


def shared_record(pairs: Pairs) -> StepRecord:
    key = key_of(pairs)
    return StepRecord(key.digest, "run", "sha256:1", 7, "", "s", pairs, "r.lan/cache:1")


def asked(store: Store, pairs: Pairs, shared: Shared) -> Hit | Miss:
    return look_up(store, key_of(pairs), no_cache=False, build="b", step="s", elsewhere=shared)


def test_what_the_store_lacks_a_shared_cache_is_asked_for(store: Store) -> None:
    record = shared_record(RUN)
    assert asked(store, RUN, Shared(record)) == Hit(record, is_elsewhere=True)
    mine = remember(store, RUN)
    found = asked(store, RUN, Shared(record))
    assert isinstance(found, Hit)
    assert (found.record.diff_id, found.is_elsewhere) == (mine.diff_id, False)


@pytest.mark.parametrize(
    ("shared", "reason"),
    [
        (Shared(), "this step was not built before"),
        (
            Shared(unasked="the cache `x`"),
            "this step was not built before, and the cache `x` could not be asked",
        ),
        (Shared(trouble="its layer is gone"), "its layer is gone"),
        (Shared(shared_record(with_input(RUN, "workdir", "/x"))), "the working directory changed"),
        (
            Shared(replace(shared_record(with_input(RUN, "workdir", "/x")), inputs=())),
            "the cache `r.lan/cache:1` has the result of other inputs",
        ),
    ],
)
def test_a_miss_says_what_shared_caches_had_to_do_with_it(
    store: Store, shared: Shared, reason: str
) -> None:
    assert asked(store, RUN, shared) == Miss(reason)


def test_what_was_built_here_before_explains_more_than_a_shared_cache(store: Store) -> None:
    remember(store, with_input(RUN, "workdir", "/y"))
    other = Shared(shared_record(with_input(RUN, "user", "other")))
    assert asked(store, RUN, other) == Miss("the working directory changed")
