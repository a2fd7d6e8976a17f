"""Whom shared caches are believed, and what, and who else can carry them."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from registry.conftest import Ways
from registry.images import sha256
from registry.machines import Machine, cached, reasons
from registry.meddler import Meddler
from registry.servers import OCI_MANIFEST

# Trust --------------------------------------------------------------------------------


def test_what_a_cache_said_counts_only_for_those_who_ask_it(
    machine: Callable[[], Machine], stages: str, tmp_path: Path
) -> None:
    to, from_ = f"type=local,dest={tmp_path / 'c'},mode=max", f"type=local,src={tmp_path / 'c'}"
    machine().build(stages, cache_to=[to])
    other = machine()
    first = other.build(stages, cache_from=[from_])
    assert other.build(stages, cache_from=[from_]).image.id == first.image.id
    alone = other.build(stages)
    assert cached(alone) == [False] * 6
    assert reasons(alone)["WORKDIR /app"] == (
        f"its result came from the cache `local:{tmp_path}/c`, which is not asked now"
    )
    # What was made here counts from now on, for everybody.
    assert other.build(stages, cache_from=[from_]).image.id == alone.image.id


def test_a_claim_of_one_cache_is_no_record_of_another(
    machine: Callable[[], Machine], stages: str, tmp_path: Path
) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    machine().build(stages, cache_to=[f"type=local,dest={one},mode=max"])
    machine().build(
        stages,
        cache_from=[f"type=local,src={one}"],
        cache_to=[f"type=local,dest={other},mode=max", f"type=local,dest={one},mode=max"],
    )
    keys = {place: [bool(r.get("key")) for r in read_records(place)] for place in (one, other)}
    assert keys[one] == [True] * 6
    # Of the steps whose layers were not here, only the shortcut was derived here.
    assert keys[other] == [False] * 6
    assert all(record["shortcut"] for record in read_records(other))
    assert cached(machine().build(stages, cache_from=[f"type=local,src={other}"])) == [True] * 6


def read_records(place: Path) -> list[dict[str, Any]]:
    index = json.loads((place / "index.json").read_bytes())
    blobs = place / "blobs" / "sha256"
    manifest = json.loads((blobs / index["manifests"][-1]["digest"][7:]).read_bytes())
    return list(json.loads((blobs / manifest["config"]["digest"][7:]).read_bytes())["records"])


def rewrite(place: Path, change: Callable[[list[dict[str, Any]]], None]) -> None:
    """Change the records of a cache, and all digests that lead to them."""
    blobs = place / "blobs" / "sha256"
    index = json.loads((place / "index.json").read_bytes())
    manifest = json.loads((blobs / index["manifests"][0]["digest"][7:]).read_bytes())
    document = json.loads((blobs / manifest["config"]["digest"][7:]).read_bytes())
    change(document["records"])
    for holder, content in ((manifest["config"], document), (index["manifests"][0], manifest)):
        data = json.dumps(content).encode()
        holder["digest"], holder["size"] = sha256(data), len(data)
        (blobs / holder["digest"][7:]).write_bytes(data)
    (place / "index.json").write_text(json.dumps(index), encoding="ascii")


def test_a_layer_that_is_another_one_than_its_record_says_is_not_taken(
    machine: Callable[[], Machine], stages: str, tmp_path: Path
) -> None:
    place = tmp_path / "c"
    machine().build(stages, cache_to=[f"type=local,dest={place},mode=max"])

    def swap(records: list[dict[str, Any]]) -> None:
        records[-1]["layer"], records[-2]["layer"] = records[-2]["layer"], records[-1]["layer"]

    rewrite(place, swap)
    other = machine()
    result = other.build(stages, cache_from=[f"type=local,src={place}"])
    assert cached(result) == [True] * 4 + [False] * 2
    view = other.store.layers.view(result.image.config.diff_ids)
    assert view.read("app/a.txt", limit=9) == b"a.txt"
    assert view.read("app/checked/c.txt", limit=9) == b"c.txt"
    assert len(other.warnings) == 2
    assert [one for one in other.store.check() if one.kind != "leftover"] == []


def test_a_layer_of_this_machine_is_not_given_to_who_knows_its_digest(
    machine: Callable[[], Machine], stages: str, tmp_path: Path
) -> None:
    place = tmp_path / "c"
    machine().build(stages, cache_to=[f"type=local,dest={place},mode=max"])
    other = machine()
    (other.context / "private").write_text("private", encoding="ascii")
    private = other.build("FROM scratch\nCOPY private /\n").image.config.diff_ids[0]
    rewrite(place, lambda records: records[-1].update(layer=private))
    result = other.build(stages, cache_from=[f"type=local,src={place}"])
    assert private not in result.image.config.diff_ids
    assert cached(result) == [True] * 5 + [False]
    assert len(other.warnings) == 1


def test_records_that_nobody_asked_for_stay_outside(
    machine: Callable[[], Machine], stages: str, tmp_path: Path
) -> None:
    place = tmp_path / "c"
    machine().build(stages, cache_to=[f"type=local,dest={place},mode=max"])

    def add(records: list[dict[str, Any]]) -> None:
        for number in range(1000):
            records.append(records[0] | {"key": sha256(str(number).encode())})

    rewrite(place, add)
    other = machine()
    other.build(stages, cache_from=[f"type=local,src={place}"])
    # Those of the three layers that the result needs, under what was derived here.
    assert other.store.records.count() == 3
    assert other.store.records.find(sha256(b"7"), [f"local:{place}"]) is None


def test_a_cache_of_another_builder_is_none(
    machine: Callable[[], Machine], stages: str, proxy: Meddler, repository: str
) -> None:
    kind = "application/vnd.buildkit.cacheconfig.v0"
    server = proxy.upstream
    digest = server.put_blob(repository, b"{}")
    config = {"mediaType": kind, "digest": digest, "size": 2}
    manifest = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": []}
    server.put_manifest(repository, "theirs", manifest, OCI_MANIFEST)
    one = machine()
    name = proxy.name(f"{repository}:theirs")
    one.build(stages, cache_from=[name])
    assert one.warnings == [
        (
            f"the cache `{name}` could not be imported: it is a `{kind}`, and no cache that is "
            "read here"
        )
    ]


# Other tools --------------------------------------------------------------------------


def skopeo(*words: str | Path) -> None:
    program = shutil.which("skopeo")
    if program is None:
        pytest.skip("skopeo is not installed")
    done = subprocess.run(
        [program, "copy", "--src-tls-verify=false", "--dest-tls-verify=false", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_skopeo_carries_caches_and_images_with_records(
    machine: Callable[[], Machine], stages: str, proxy: Meddler, repository: str, tmp_path: Path
) -> None:
    upstream = proxy.upstream
    name, app, copy = (upstream.name(f"{repository}:{tag}") for tag in ("cache", "app", "copy"))
    one = machine()
    first = one.build(
        stages, tags=(app,), cache_to=[f"type=registry,ref={name},mode=max", "type=inline"]
    )
    skopeo(f"docker://{name}", f"oci:{tmp_path}/layout:carried")
    carried = [f"type=local,src={tmp_path}/layout,tag=carried"]
    second = machine().build(stages, cache_from=carried, cache_to=["type=inline"])
    assert (cached(second), second.image.id) == ([True] * 6, first.image.id)
    Ways(one.store).push(app)
    skopeo(f"docker://{app}", f"docker://{copy}")
    assert cached(machine().build(stages, cache_from=[copy])) == [False] * 3 + [True] * 3
