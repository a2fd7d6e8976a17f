"""Step records."""

from __future__ import annotations

from dataclasses import replace

from dissolver.store import Store
from shelf import add_layer, add_record


def test_a_record_is_found_by_its_key(store: Store) -> None:
    inputs = (("command", "true"), ("env.PATH", "/bin"))
    put = add_record(store, "k", add_layer(store, "a"), inputs=inputs)
    found = store.records.find("k")
    assert found is not None
    assert (found.key, found.kind, found.diff_id, found.created_ns) == (
        "k",
        "run",
        put.diff_id,
        7,
    )
    assert tuple(found.inputs) == inputs
    assert store.records.find("other") is None


def test_a_record_whose_layer_is_gone_is_no_record(store: Store) -> None:
    diff_id = add_layer(store, "a")
    add_record(store, "k", diff_id)
    store.layers.remove(diff_id)
    assert store.records.find("k") is None


def test_a_record_replaces_the_one_with_the_same_key(store: Store) -> None:
    add_record(store, "k", add_layer(store, "a"))
    second = add_record(store, "k", add_layer(store, "b"), created_ns=9)
    found = store.records.find("k")
    assert found is not None
    assert (found.diff_id, found.created_ns) == (second.diff_id, 9)
    assert store.records.count() == 1


def test_the_latest_record_of_a_place_is_the_one_used_last(store: Store) -> None:
    diff_id = add_layer(store, "a")
    add_record(store, "k1", diff_id)
    add_record(store, "k2", diff_id)
    latest = store.records.latest_like("b", "s")
    assert latest is not None
    assert latest.key == "k2"
    store.records.use("k1", "b", "s")
    latest = store.records.latest_like("b", "s")
    assert latest is not None
    assert latest.key == "k1"
    assert store.records.latest_like("b", "other") is None
    assert store.records.latest_like("other", "s") is None


def test_a_record_serves_several_builds(store: Store) -> None:
    add_record(store, "k", add_layer(store, "a"))
    store.records.use("k", "second", "s2")
    latest = store.records.latest_like("second", "s2")
    assert latest is not None
    assert (latest.key, latest.build, latest.step) == ("k", "second", "s2")


def test_using_a_record_that_is_gone_is_forgotten(store: Store) -> None:
    store.records.use("never", "b", "s")
    assert store.records.latest_like("b", "s") is None


def test_inputs_may_hold_any_name_that_a_file_can_have(store: Store) -> None:
    odd = ((b"context/\xff\n\"'".decode("utf-8", "surrogateescape"), "1"), ("ü", "2"))
    add_record(store, "k", add_layer(store, "a"), inputs=odd)
    found = store.records.find("k")
    assert found is not None
    assert found.inputs == odd
    assert (len(found.inputs), found.inputs[1], found.inputs[:1]) == (2, odd[1], odd[:1])


def test_a_build_may_lie_in_a_directory_with_any_name(store: Store) -> None:
    build = b"/src/\xff".decode("utf-8", "surrogateescape")
    add_record(store, "k", add_layer(store, "a"), build=build)
    store.records.use("k", build, "other")
    assert store.records.latest_like(build, "s") is not None
    assert set(store.records.places(build)) == {"s", "other"}


def test_a_record_may_have_no_inputs_and_empty_values(store: Store) -> None:
    diff_id = add_layer(store, "a")
    for key, inputs in (("none", ()), ("empty", (("user", ""),)), ("nul", (("a", "b\0c"),))):
        add_record(store, key, diff_id, inputs=inputs)
    found = [store.records.find(key) for key in ("none", "empty", "nul")]
    assert [tuple(each.inputs) for each in found if each] == [
        (),
        (("user", ""),),
        (("a", "b\N{REPLACEMENT CHARACTER}c"),),
    ]


def test_the_inputs_of_a_large_copy_take_little_room(store: Store) -> None:
    import hashlib

    from dissolver.store.records import pack_inputs

    inputs = tuple(
        (f"context/src/package{n // 100}/module{n}.py", hashlib.sha256(b"%d" % n).hexdigest()[:16])
        for n in range(20_000)
    )
    assert len(pack_inputs(inputs)) < 500_000


def test_a_record_of_a_shared_cache_counts_for_those_who_ask_it(store: Store) -> None:
    diff_id = add_layer(store, "a")
    made = add_record(store, "k", diff_id)
    store.records.put(replace(made, depot="registry.lan/cache:latest"))
    assert store.records.find("k") is None
    assert store.records.find("k", ["registry.lan/other:latest"]) is None
    found = store.records.find("k", ["registry.lan/cache:latest"])
    assert found is not None
    assert found.depot == "registry.lan/cache:latest"
    # What is made here takes its place, and counts for everybody.
    store.records.put(made)
    found = store.records.find("k")
    assert found is not None
    assert found.depot == ""
