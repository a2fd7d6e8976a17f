"""Builds that share their cache: two machines, and one place where both keep results."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from buckets import Buckets
from dissolver.errors import CacheExportFailed, Cancelled, ContextError
from registry.conftest import Ways
from registry.images import Made, layer, noise, put_image
from registry.machines import Machine, Words, cached, reasons
from registry.meddler import Meddler, Reply


def test_what_one_machine_built_is_cached_on_another(
    machine: Callable[[], Machine], stages: str, cache_words: Words, stage_base: Made
) -> None:
    to, from_ = cache_words
    one, other = machine(), machine()
    first = one.build(stages, cache_to=[f"{to},mode=max"])
    assert cached(first) == [False] * 6
    kind = {"reg": "registry", "loc": "client directory", "s3,": "Amazon S3"}[to[5:8]]
    assert one.names[-1] == f"exporting cache to {kind}"
    second = other.build(stages, cache_from=[from_])
    assert cached(second) == [True] * 6
    assert second.image.id == first.image.id
    assert sum(name.startswith("importing cache manifest from ") for name in other.names) == 1
    # The base's layer and the three of the result: nothing of the stages beside it.
    assert len(other.fetched) == 4
    assert stage_base.layers[0].digest in other.fetched
    assert other.warnings == []
    assert other.store.check() == ()


def test_without_mode_max_the_stages_beside_the_result_are_built_again(
    machine: Callable[[], Machine], stages: str, cache_words: Words
) -> None:
    to, from_ = cache_words
    first = machine().build(stages, cache_to=[to])
    second = machine().build(stages, cache_from=[from_])
    assert cached(second) == [False, False, False, True, True, True]
    assert second.image.id == first.image.id


def test_a_second_export_sends_nothing_that_is_there(
    machine: Callable[[], Machine], stages: str, proxy: Meddler, repository: str, buckets: Buckets
) -> None:
    name = proxy.name(f"{repository}:cache")
    to = [f"type=registry,ref={name},mode=max", buckets.word("mode=max")]
    one = machine()
    one.build(stages, cache_to=to)
    proxy.asked.clear()
    buckets.asked.clear()
    one.build(stages, cache_to=to)
    assert proxy.count("POST", "/uploads/") == 0
    assert buckets.count("PUT", "blobs/") == 0
    # One file more: its layer, those on top of it, and the records.
    (one.context / "c.txt").write_text("other", encoding="ascii")
    one.build(stages, cache_to=to)
    assert proxy.count("POST", "/uploads/") == 3
    assert buckets.count("PUT", "blobs/") == 3


def test_several_caches_are_asked_in_their_order(
    machine: Callable[[], Machine], stages: str, tmp_path: Path
) -> None:
    sources = []
    for number in range(2):
        to = f"type=local,dest={tmp_path / str(number)},mode=max"
        sources.append(f"type=local,src={tmp_path / str(number)}")
        built = machine().build(stages, cache_to=[to])
    first, second = (
        machine().build(stages, cache_from=order) for order in (sources, sources[::-1])
    )
    assert second.image.id == built.image.id
    assert first.image.id != second.image.id
    nowhere = f"type=local,src={tmp_path / 'nowhere'}"
    last = machine()
    assert last.build(stages, cache_from=[nowhere, *sources]).image.id == first.image.id
    assert last.warnings == [
        (
            f"the cache `local:{tmp_path}/nowhere` could not be imported: there is no cache "
            f"`latest` in `{tmp_path}/nowhere`"
        )
    ]


def test_a_change_is_explained_by_what_the_other_machine_built(
    machine: Callable[[], Machine], stages: str, cache_words: Words
) -> None:
    to, from_ = cache_words
    machine().build(stages, cache_to=[f"{to},mode=max"])
    other = machine()
    (other.context / "b.txt").write_text("other", encoding="ascii")
    result = other.build(stages, cache_from=[from_])
    assert reasons(result) == {
        "WORKDIR /src": None,
        "COPY a.txt b.txt ./": "file `b.txt` changed",
        "COPY c.txt /checked/": None,
        "WORKDIR /app": None,
        "COPY --from=builder /src/a.txt ./": None,
        "COPY --from=checked /checked ./checked/": None,
    }


def test_a_base_that_is_another_one_leaves_copies_cached(
    machine: Callable[[], Machine], stages: str, tmp_path: Path, proxy: Meddler, repository: str
) -> None:
    to, from_ = f"type=local,dest={tmp_path / 'c'}", f"type=local,src={tmp_path / 'c'}"
    machine().build(stages, cache_to=[f"{to},mode=max"])
    put_image(proxy.upstream, repository, "base", layer(other=b"1"))
    assert cached(machine().build(stages, cache_from=[from_])) == [True] * 6


def test_a_cache_that_nobody_has_is_one_warning(
    machine: Callable[[], Machine], stages: str, proxy: Meddler, repository: str
) -> None:
    one = machine()
    result = one.build(stages, cache_from=[proxy.name(f"{repository}:none")])
    assert cached(result) == [False] * 6
    assert one.warnings == [
        (
            f"the cache `{proxy.name(repository)}:none` could not be imported: cannot read the "
            f"manifest of `{repository}:none`: `{proxy.host}` does not have it"
        )
    ]
    said = set(reasons(result).values())
    assert said == {
        (
            f"this step was not built before, and the cache `{proxy.name(repository)}:none` could "
            "not be asked"
        )
    }


def test_no_cache_asks_nobody(machine: Callable[[], Machine], stages: str, tmp_path: Path) -> None:
    to, from_ = f"type=local,dest={tmp_path / 'c'}", f"type=local,src={tmp_path / 'c'}"
    machine().build(stages, cache_to=[f"{to},mode=max"])
    result = machine().build(stages, cache_from=[from_], no_cache=True)
    # A directory is made by no program: WORKDIR stays what it is for BuildKit.
    assert cached(result) == [True, False, False, True, False, False]


def test_a_layer_that_is_gone_is_built_again(
    machine: Callable[[], Machine], stages: str, buckets: Buckets
) -> None:
    machine().build(stages, cache_to=[buckets.word("mode=max")])
    manifest = json.loads(buckets.objects["manifests/dissolver"])
    records = json.loads(buckets.objects[f"blobs/{manifest['config']['digest']}"])["records"]
    gone = next(one for one in records if one["kind"] == "copy")
    del buckets.objects[f"blobs/{gone['blob']}"]
    other = machine()
    result = other.build(stages, cache_from=[buckets.word()])
    assert reasons(result)["COPY a.txt b.txt ./"] == (
        f"its layer is not in the cache `s3:{buckets.url}/team/manifests/dissolver` any more"
    )
    assert cached(result).count(False) == 1
    assert other.warnings == []


def test_a_damaged_layer_is_left_out_and_built_again(
    machine: Callable[[], Machine],
    stages: str,
    cache_words: Words,
    proxy: Meddler,
    request: pytest.FixtureRequest,
) -> None:
    to, from_ = cache_words
    one, other = machine(), machine()
    first = one.build(stages, cache_to=[f"{to},mode=max"])
    (blob,) = one.store.transfers.layer_blobs(first.image.config.diff_ids[-1])
    if to.startswith("type=registry"):
        proxy.corrupts(blob.digest, 20, times=9)
    elif to.startswith("type=local"):
        path = Path(from_.partition("src=")[2]) / "blobs/sha256" / blob.digest[7:]
        path.write_bytes(path.read_bytes()[:-1] + b"!")
    else:
        objects = request.getfixturevalue("buckets").objects
        key = f"ci/blobs/{blob.digest}"
        objects[key] = objects[key][:-1] + b"!"
    result = other.build(stages, cache_from=[from_])
    # The others of that cache are still good.
    assert cached(result) == [True] * 5 + [False]
    assert str(result.steps[-1].reason).startswith(
        "its layer could not be fetched from the cache `"
    )
    assert len(other.warnings) == 1
    assert other.warnings[0].startswith("a layer could not be fetched from the cache `")
    assert [one for one in other.store.check() if one.kind != "leftover"] == []


def test_a_cache_that_answers_no_more_is_left_out_whole(
    machine: Callable[[], Machine], stages: str, proxy: Meddler, repository: str
) -> None:
    name = proxy.name(f"{repository}:cache")
    one, other = machine(), machine()
    first = one.build(stages, cache_to=[f"type=registry,ref={name},mode=max"])
    for diff_id in first.image.config.diff_ids[1:]:
        (blob,) = one.store.transfers.layer_blobs(diff_id)
        proxy.rule("GET", blob.digest, lambda _: Reply(400, {}, b"{}"), times=9, before=True)
    result = other.build(stages, cache_from=[name])
    assert cached(result) == [False] * 6
    assert len(other.warnings) == 1


def test_a_build_that_fails_leaves_the_cache_that_was_there(
    machine: Callable[[], Machine], stages: str, buckets: Buckets, tmp_path: Path
) -> None:
    to = [buckets.word("mode=max"), f"type=local,dest={tmp_path / 'c'},mode=max"]
    machine().build(stages, cache_to=to)
    before = buckets.objects["manifests/dissolver"], (tmp_path / "c/index.json").read_bytes()
    other = machine()
    with pytest.raises(ContextError):
        other.build(f"{stages}COPY nowhere /\n", cache_to=to)
    after = buckets.objects["manifests/dissolver"], (tmp_path / "c/index.json").read_bytes()
    assert after == before
    assert [one for one in threading.enumerate() if one.name == "cache export"] == []
    assert list(other.store.layout.tmp.iterdir()) == []


def test_a_build_that_is_cancelled_while_it_sends_ends_soon(
    machine: Callable[[], Machine], stages: str, proxy: Meddler, repository: str
) -> None:
    cancel = threading.Event()

    def hang(_: Reply) -> Reply:
        cancel.set()
        return Reply(202, {}, b"", pause=20)

    proxy.rule("POST", "/blobs/uploads/", hang, times=9, before=True)
    one = machine()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        one.build(
            stages,
            cancel=cancel,
            cache_to=[f"type=registry,ref={proxy.name(f'{repository}:cache')}"],
        )
    assert time.monotonic() - began < 15


def test_a_bucket_s_broken_connection_is_taken_up_again(
    machine: Callable[[], Machine], stages: str, buckets: Buckets
) -> None:
    one = machine()
    # Large enough to be sent in parts.
    content = noise(9 << 20)
    (one.context / "a.txt").write_bytes(content)
    first = one.build(stages, cache_to=[buckets.word("mode=max")])
    (blob,) = one.store.transfers.layer_blobs(first.image.config.diff_ids[2])
    other = machine()
    (other.context / "a.txt").write_bytes(content)
    assert buckets.count("POST", blob.digest) == 2
    buckets.cuts[blob.digest] = 100_000
    result = other.build(stages, cache_from=[buckets.word()])
    assert result.image.id == first.image.id
    assert buckets.cuts == {}
    assert buckets.count("GET", blob.digest) == 2


def test_a_bucket_that_refuses_says_why(
    machine: Callable[[], Machine], stages: str, buckets: Buckets, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = machine()
    with pytest.raises(CacheExportFailed) as caught:
        one.build(stages, cache_to=[buckets.word().replace("bucket=team", "bucket=other")])
    assert caught.value.message.startswith("the cache could not be exported to `s3:")
    assert caught.value.hint == "make the bucket `other` first"
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret")
    one.build(stages, cache_from=[buckets.word()])
    (told,) = one.warnings
    assert "wrong-secret" not in told
    with pytest.raises(CacheExportFailed):
        one.build(stages, cache_to=[buckets.word()])
    assert buckets.objects == {}


def test_an_export_that_fails_fails_the_build_unless_it_may(
    machine: Callable[[], Machine], stages: str, proxy: Meddler, repository: str
) -> None:
    name = proxy.name(f"{repository}:cache")
    proxy.rule("PUT", "/manifests/cache", lambda _: Reply(403, {}, b"{}"), times=9, before=True)
    one = machine()
    with pytest.raises(CacheExportFailed) as caught:
        one.build(stages, tags=("app",), cache_to=[f"type=registry,ref={name}"])
    assert caught.value.message.startswith(f"the cache could not be exported to `{name}`: ")
    # What was built is not lost.
    assert one.store.images.resolve("app")
    one.build(stages, cache_to=[f"type=registry,ref={name},ignore-error=true"])
    assert len(one.warnings) == 1


def test_an_image_with_records_is_a_cache_for_its_own_build(
    machine: Callable[[], Machine], stages: str, proxy: Meddler, repository: str
) -> None:
    name = proxy.name(f"{repository}:app")
    one, other, third = machine(), machine(), machine()
    first = one.build(stages, tags=(name,), cache_to=["type=inline"])
    Ways(one.store).push(name)
    second = other.build(stages, cache_from=[name], cache_to=["type=inline"])
    assert cached(second) == [False, False, False, True, True, True]
    assert second.image.id == first.image.id
    # What was pulled before is one as well, without the registry.
    Ways(third.store).pull(name)
    Ways(third.store).pull(proxy.name(f"{repository}:base"))
    proxy.rule("GET", "/manifests/app", lambda _: Reply(404, {}, b"{}"), times=9, before=True)
    last = third.build(stages, cache_from=[name], cache_to=["type=inline"])
    assert cached(last) == [False, False, False, True, True, True]
    assert (last.image.id, third.warnings) == (first.image.id, [])
    # Nobody is told that what is built on it was built so.
    above = third.build(f"FROM {name}\nCOPY a.txt /z\n")
    assert above.image.config.unknown == {}


def test_an_image_without_records_is_no_cache(
    machine: Callable[[], Machine], stages: str, proxy: Meddler, repository: str
) -> None:
    one = machine()
    one.build(stages, cache_from=[proxy.name(f"{repository}:base")])
    assert one.warnings == [
        (
            f"the cache `{proxy.name(repository)}:base` could not be imported: it is an image "
            "without records of its steps"
        )
    ]


def test_the_argument_of_buildkit_asks_for_an_inline_cache(
    machine: Callable[[], Machine], stages: str
) -> None:
    made = machine().build(stages, build_args={"BUILDKIT_INLINE_CACHE": "1"})
    assert list(made.image.config.unknown) == ["dissolver.cache.v1"]


TRANSFER = "FROM scratch AS a\nCOPY a.txt b.txt c.txt /d/\nFROM scratch\n{}\n"
SAME = {
    "COPY --from=a /d/a.txt /x/": True,
    "COPY   --from=0  /d/a.txt  /x/": True,
    "COPY --link --from=a /d/a.txt /x/": True,
    "COPY --from=a /d/a.txt /y/": False,
    "COPY --from=a /d/a.txt /x": False,
    "COPY --from=a /d/b.txt /x/": False,
    "COPY --from=a --chown=7 /d/a.txt /x/": False,
    "COPY --from=a --chmod=600 /d/a.txt /x/": False,
    "COPY --from=a --parents /d/a.txt /x/": False,
    "COPY --from=a --exclude=a.txt /d/ /x/": False,
    "ADD a.txt /x/": True,
}


def test_what_a_step_says_decides_whether_it_is_the_same(
    machine: Callable[[], Machine], tmp_path: Path
) -> None:
    to, from_ = f"type=local,dest={tmp_path / 'c'},mode=max", f"type=local,src={tmp_path / 'c'}"
    first = machine().build(TRANSFER.format(next(iter(SAME))), cache_to=[to])
    seen = {}
    for instruction in SAME:
        result = machine().build(TRANSFER.format(instruction), cache_from=[from_])
        seen[instruction] = result.steps[-1].cached
        is_same = result.image.config.diff_ids == first.image.config.diff_ids
        assert is_same is seen[instruction], instruction
    assert seen == SAME


def test_an_archive_counts_that_has_the_name_of_a_later_one(
    machine: Callable[[], Machine], tmp_path: Path
) -> None:
    to, from_ = f"type=local,dest={tmp_path / 'c'},mode=max", f"type=local,src={tmp_path / 'c'}"
    text = "FROM scratch\nCOPY a.txt /\nADD x/a.tar y/a.tar /d/\n"

    def write(one: Machine, content: bytes) -> None:
        for name in ("x", "y"):
            (one.context / name).mkdir()
        (one.context / "x/a.tar").write_bytes(layer(a=content).tar)
        (one.context / "y/a.tar").write_bytes(layer(b=b"same").tar)

    first, same, another = machine(), machine(), machine()
    for one, content in ((first, b"1"), (same, b"1"), (another, b"2")):
        write(one, content)
    first.build(text, cache_to=[to])
    assert cached(same.build(text, cache_from=[from_])) == [True, True]
    assert cached(another.build(text, cache_from=[from_])) == [True, False]
