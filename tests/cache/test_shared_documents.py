"""What shared caches say, read by somebody who does not trust them."""

from __future__ import annotations

import base64
import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dissolver.cache.shared import inline
from dissolver.cache.shared.directory_depot import DirectoryDepot
from dissolver.cache.shared.document import (
    Records,
    SharedRecord,
    decode_records,
    encode,
    make_manifest,
    read_inputs,
    read_short_inputs,
    shared_inputs,
)
from dissolver.cache.shared.importing import read_cache
from dissolver.cache.shared.options import Place
from dissolver.errors import BadCache, BadManifest, DissolverError, StoreError
from dissolver.image.config import ImageConfig, RootFs
from dissolver.image.manifest import Descriptor, decode_manifest, describe
from dissolver.image.platform import Platform
from dissolver.store.packed_inputs import pack_inputs

HERE = Platform("linux", "amd64")
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
BLOB = Descriptor(LAYER, f"sha256:{'b' * 64}", 9)
KEY, DIFF = f"sha256:{'1' * 64}", f"sha256:{'d' * 64}"


def a_record(**changes: Any) -> dict[str, Any]:
    record = {"key": KEY, "kind": "copy", "layer": DIFF, "blob": BLOB.digest, "created": 7,
              "place": "0/CopyStep/1"}  # fmt: skip
    return {name: value for name, value in (record | changes).items() if value is not None}


def decoded(*records: dict[str, Any], version: int = 1) -> tuple[SharedRecord, ...]:
    document = {"version": version, "machine": "linux/amd64", "records": list(records)}
    content = json.dumps(document).encode()
    manifest = decode_manifest(make_manifest(content, [BLOB]))
    return decode_records(content, manifest, "linux/amd64")


def test_records_come_back_as_they_were_written() -> None:
    record = SharedRecord(
        key=KEY, kind="copy", layer=DIFF, blob=BLOB.digest, created=7, place="0/CopyStep/1"
    )
    content = encode(Records(machine="linux/amd64", records=(record,)))
    manifest = decode_manifest(make_manifest(content, [BLOB, BLOB]))
    assert manifest.layers == (BLOB,)
    assert decode_records(content, manifest, "linux/amd64") == (record,)
    assert decoded(a_record()) == (record,)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"key": "../../etc/passwd"}, "a record has something else in place of a digest"),
        ({"layer": "sha256:x"}, "a record has something else in place of a digest"),
        ({"key": None}, "a record does not say which step it is of"),
        ({"kind": "http"}, "a record does not say which step it is of"),
        ({"kind": "bind"}, "a record does not say which step it is of"),
        ({"created": -1}, "a record has an impossible time"),
        ({"created": 1 << 63}, "a record has an impossible time"),
        ({"blob": f"sha256:{'c' * 64}"}, "a record names a layer that the cache does not list"),
        ({"inputs_blob": KEY}, "a record names inputs that the cache does not list"),
    ],
)
def test_a_record_that_says_something_impossible_spoils_the_cache(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(BadCache) as caught:
        decoded(a_record(), a_record(**changes))
    assert caught.value.message == message


def test_a_version_of_tomorrow_is_refused_by_number() -> None:
    with pytest.raises(BadCache) as caught:
        decoded(version=2)
    assert caught.value.message == "its records have version 2, and 1 is read here"


def test_programs_of_another_machine_say_nothing() -> None:
    document = {"version": 1, "machine": "linux/arm64",
                "records": [a_record(), a_record(kind="run")]}  # fmt: skip
    content = json.dumps(document).encode()
    manifest = decode_manifest(make_manifest(content, [BLOB]))
    (left,) = decode_records(content, manifest, "linux/amd64")
    assert left.kind == "copy"


# Inputs -------------------------------------------------------------------------------


def test_short_inputs_stand_in_the_record_and_long_ones_beside_it() -> None:
    pairs = (("command", "true"), ("env.PATH", "/bin"))
    text, long = shared_inputs(pairs)
    assert (tuple(read_short_inputs(text)), long) == (pairs, b"")
    many = tuple((f"context/{os.urandom(9).hex()}", os.urandom(9).hex()) for _ in range(400))
    text, long = shared_inputs(many)
    assert text == ""
    assert tuple(read_inputs(long)) == many


@pytest.mark.parametrize(
    "packed",
    [b"", b"no zlib", zlib.compress(b""), zlib.compress(b"a\0b")[:-2]],
)
def test_inputs_that_are_no_good_are_none(packed: bytes) -> None:
    assert tuple(read_inputs(packed)) == ()
    assert tuple(read_short_inputs(base64.b64encode(packed).decode())) == ()


def test_inputs_without_end_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dissolver.cache.shared.document.INPUTS_LIMIT", 1000)
    assert tuple(read_inputs(zlib.compress(b"a\0b\0" * 1000))) == ()


def test_nothing_in_inputs_moves_the_cursor() -> None:
    (pair,) = read_inputs(pack_inputs((("context/\x1b[2Ja", "\r\n755"),)))
    assert pair == ("context/?[2Ja", "??755")


# Inline -------------------------------------------------------------------------------


def test_inline_records_name_layers_of_their_own_image() -> None:
    config = ImageConfig("amd64", "linux", rootfs=RootFs(diff_ids=(DIFF,)))
    mine = SharedRecord(key=KEY, kind="run", layer=DIFF, blob="", created=7, place="p")
    other = SharedRecord(key=KEY, kind="run", layer=KEY, blob="", created=7, place="q")
    made = inline.with_records(config, [mine, other], "linux/amd64")
    found = inline.read_records(made, [BLOB.digest], "linux/amd64")
    assert found is not None
    (record,) = found
    assert (record.key, record.layer, record.blob) == (KEY, DIFF, BLOB.digest)
    assert inline.read_records(config, [BLOB.digest], "linux/amd64") is None


@pytest.mark.parametrize("layer", [-1, 1, "x"])
def test_an_inline_record_of_a_layer_that_is_not_there_is_refused(layer: object) -> None:
    record = {"key": KEY, "kind": "run", "layer": layer, "created": 7, "place": "p"}
    said = {"machine": "linux/amd64", "records": [record]}
    config = ImageConfig(
        "amd64", "linux", rootfs=RootFs(diff_ids=(DIFF,)), unknown={"dissolver.cache.v1": said}
    )
    with pytest.raises(BadCache):
        inline.read_records(config, [BLOB.digest], "linux/amd64")


# Directories --------------------------------------------------------------------------


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A directory with a cache that has one record."""
    directory = tmp_path / "cache"
    depot = DirectoryDepot(Place("local", path=str(directory)))
    content = encode(
        Records(
            machine="linux/amd64",
            records=(SharedRecord(**a_record()),),
        )
    )
    depot.send_document(content, describe("application/x", content))
    depot.publish(make_manifest(content, [BLOB]))
    return directory


def depot_of(place: Path, tag: str = "latest") -> DirectoryDepot:
    return DirectoryDepot(Place("local", path=str(place), tag=tag))


def test_a_directory_keeps_caches_by_their_tags(place: Path) -> None:
    cache = read_cache(depot_of(place), HERE, "linux/amd64")
    assert cache.find(KEY) is not None
    other = encode(Records(machine="linux/amd64", records=()))
    second = depot_of(place, "second")
    second.send_document(other, describe("application/x", other))
    second.publish(make_manifest(other, []))
    assert read_cache(second, HERE, "linux/amd64").find(KEY) is None
    assert read_cache(depot_of(place), HERE, "linux/amd64").find(KEY) is not None
    assert not [path for path in place.rglob("*") if "part" in path.name]


def test_links_in_a_directory_lead_nowhere(place: Path, tmp_path: Path) -> None:
    blobs = place / "blobs"
    elsewhere = tmp_path / "elsewhere"
    blobs.rename(elsewhere)
    blobs.symlink_to(elsewhere)
    with pytest.raises(DissolverError):
        read_cache(depot_of(place), HERE, "linux/amd64")
    before = sorted(path.name for path in elsewhere.rglob("*"))
    with pytest.raises(StoreError):
        depot_of(place).send_document(b"x", describe("application/x", b"x"))
    assert sorted(path.name for path in elsewhere.rglob("*")) == before


@pytest.mark.parametrize("kind", ["file", "below a file", "linked index", "directory as index"])
def test_what_is_no_layout_is_no_cache(place: Path, kind: str) -> None:
    """An import that fails is a warning, and an error of the operating system is none."""
    index = place / "index.json"
    match kind:
        case "file":
            place = index
        case "below a file":
            place = index / "below"
        case "linked index":
            index.rename(place / "other.json")
            index.symlink_to("other.json")
        case "directory as index":
            index.unlink()
            index.mkdir()
    with pytest.raises(BadCache):
        read_cache(depot_of(place), HERE, "linux/amd64")


@pytest.mark.parametrize("kind", ["link", "fifo", "directory"])
def test_what_is_no_file_is_no_blob(place: Path, kind: str) -> None:
    path = place / "blobs" / "sha256" / BLOB.digest[7:]
    match kind:
        case "link":
            path.symlink_to("/etc/passwd")
        case "fifo":
            os.mkfifo(path)
        case "directory":
            path.mkdir()
    assert depot_of(place).has(BLOB) is False


def test_a_file_that_a_link_stands_for_is_replaced_and_not_followed(
    place: Path, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine", encoding="ascii")
    described = describe("application/x", b"x")
    path = place / "blobs" / "sha256" / described.digest[7:]
    path.symlink_to(victim)
    depot_of(place).send_document(b"x", described)
    assert victim.read_text(encoding="ascii") == "mine"
    assert path.read_bytes() == b"x"
    assert not path.is_symlink()


def test_a_document_that_was_changed_is_noticed(place: Path) -> None:
    for path in (place / "blobs" / "sha256").iterdir():
        path.write_bytes(path.read_bytes().replace(b"copy", b"Copy").replace(b"schema", b"Schema"))
    with pytest.raises(BadCache) as caught:
        read_cache(depot_of(place), HERE, "linux/amd64")
    assert caught.value.message.endswith("is damaged")


def test_digests_that_are_none_name_no_file(place: Path) -> None:
    with pytest.raises(BadManifest):
        depot_of(place).has(Descriptor(LAYER, "sha256:../../../etc/passwd", 9))
