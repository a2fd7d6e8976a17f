"""Layers that came compressed leave with the same bytes, and images with the same manifest."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from dissolver._core.compress import compress
from dissolver.errors import StoreError
from dissolver.export.save import save
from dissolver.image.config import HistoryEntry, Image
from dissolver.image.mutate import with_layer
from dissolver.image.reference import parse_reference
from dissolver.intake.load import load
from dissolver.store import Store
from export.archives import Layout, blob_name, config_bytes, descriptor, digest, files_of
from export.archives import write_archive as write
from shelf import add_layer, tar_of

TAR = tar_of({"file": b"as somebody else packed it" * 500})
# No bytes that this project would make of it.
GZIP = gzip.compress(TAR, compresslevel=1, mtime=1_234_567_890)


def zstd(tmp_path: Path) -> bytes:
    """The layer as zstd of a level that is nobody's default."""
    (tmp_path / "plain").write_bytes(TAR)
    with (tmp_path / "plain").open("rb") as source, (tmp_path / "packed").open("wb") as target:
        compress(source.fileno(), target.fileno(), compression="zstd", level=1)
    return (tmp_path / "packed").read_bytes()


def layout_of(layer: bytes, ending: str) -> tuple[dict[str, bytes], bytes]:
    """An image as another tool writes it, and its manifest."""
    made = Layout()
    manifest = made.manifest(config_bytes(TAR), {layer: ending})
    names = {"annotations": {"io.containerd.image.name": "docker.io/library/app:1"}}
    made.entries.append(descriptor("manifest.v1+json", manifest, **names))
    return made.finish(), manifest


def loaded(store: Store, tmp_path: Path, layer: bytes = GZIP, ending: str = "+gzip") -> Image:
    files, _ = layout_of(layer, ending)
    (one,) = load(store, write(tmp_path / "in.tar", files))
    return one.image


def saved(store: Store, tmp_path: Path, name: str = "app:1", **options: Any) -> dict[str, bytes]:
    save(store, [name], str(tmp_path / "out"), **options)
    return files_of(tmp_path / "out")


def layers_of(files: dict[str, bytes]) -> list[str]:
    (entry,) = json.loads(files["index.json"])["manifests"]
    manifest = json.loads(files[f"blobs/sha256/{entry['digest'].removeprefix('sha256:')}"])
    return [layer["digest"] for layer in manifest["layers"]]


@pytest.mark.parametrize("form", ["oci", "oci-directory", "docker"])
def test_an_image_is_saved_as_it_came(store: Store, tmp_path: Path, form: str) -> None:
    loaded(store, tmp_path)
    files = saved(store, tmp_path, form=form)
    assert files[blob_name(GZIP)] == GZIP
    _, manifest = layout_of(GZIP, "+gzip")
    assert files[blob_name(manifest)] == manifest
    (entry,) = json.loads(files["index.json"])["manifests"]
    assert entry["digest"] == digest(manifest)
    if form == "docker":
        assert json.loads(files["manifest.json"])[0]["Layers"] == [blob_name(GZIP)]


def test_a_second_store_hands_it_on_unchanged(store: Store, tmp_path: Path) -> None:
    loaded(store, tmp_path)
    first = saved(store, tmp_path, form="oci")
    with Store(tmp_path / "other", tmp_path / "run") as other:
        load(other, write(tmp_path / "between.tar", first))
        assert saved(other, tmp_path, form="oci") == first


@pytest.mark.parametrize(
    ("compression", "expected"),
    [("gzip", GZIP), ("none", TAR), ("zstd", None)],
)
def test_a_compression_that_is_asked_for_counts(
    store: Store, tmp_path: Path, compression: str, expected: bytes | None
) -> None:
    loaded(store, tmp_path)
    (layer,) = layers_of(saved(store, tmp_path, form="oci", compression=compression))
    if expected is not None:
        assert layer == digest(expected)
    else:
        assert layer not in (digest(GZIP), digest(TAR))


def test_layers_that_were_added_are_compressed_beside_those_that_came(
    store: Store, tmp_path: Path
) -> None:
    base = loaded(store, tmp_path)
    config = with_layer(base.config, add_layer(store, "new"), HistoryEntry(created=0))
    store.images.put(config, tags=[parse_reference("app:2")])
    first, second = layers_of(saved(store, tmp_path, "app:2", form="oci"))
    assert first == digest(GZIP)
    assert second not in config.diff_ids
    # A Docker archive leaves new layers as they are.
    first, second = layers_of(saved(store, tmp_path, "app:2", form="docker"))
    assert [first, second] == [digest(GZIP), config.diff_ids[1]]


def test_zstd_goes_into_layouts_and_not_to_older_dockers(store: Store, tmp_path: Path) -> None:
    packed = zstd(tmp_path)
    loaded(store, tmp_path, packed, "+zstd")
    assert layers_of(saved(store, tmp_path, form="oci")) == [digest(packed)]
    assert layers_of(saved(store, tmp_path, form="docker")) == [digest(TAR)]


def test_docker_archives_keep_their_compressed_layers_too(store: Store, tmp_path: Path) -> None:
    config = config_bytes(TAR)
    row = {"Config": "c.json", "Layers": ["l.tar.gz"], "RepoTags": ["app:1"]}
    table = json.dumps([row]).encode()
    load(
        store,
        write(tmp_path / "in.tar", {"c.json": config, "l.tar.gz": GZIP, "manifest.json": table}),
    )
    assert layers_of(saved(store, tmp_path, form="oci")) == [digest(GZIP)]


def test_an_uncompressed_layer_takes_no_room_twice(store: Store, tmp_path: Path) -> None:
    loaded(store, tmp_path, TAR, "")
    assert digest(TAR) not in store.blobs.list()
    packed = layers_of(saved(store, tmp_path, form="oci"))
    assert packed not in ([digest(TAR)], [digest(GZIP)])


def test_the_bytes_go_with_the_last_image_that_has_the_layer(store: Store, tmp_path: Path) -> None:
    base = loaded(store, tmp_path)
    store.images.put(replace(base.config, author="me"), tags=[parse_reference("app:2")])
    assert digest(GZIP) in store.blobs.list()
    store.images.remove("app:1", force=True)
    store.collect()
    assert digest(GZIP) in store.blobs.list()
    store.images.remove("app:2", force=True)
    store.collect()
    assert store.blobs.list() == []


@pytest.mark.parametrize("form", ["oci", "oci-directory"])
@pytest.mark.parametrize("damage", [b"x", b""])
def test_damaged_bytes_are_an_error_and_no_archive(
    store: Store, tmp_path: Path, form: str, damage: bytes
) -> None:
    loaded(store, tmp_path)
    path = store.blobs.path(digest(GZIP))
    os.truncate(path, len(GZIP) - 1)
    with path.open("ab") as file:
        file.write(damage)
    assert hashlib.sha256(path.read_bytes()).hexdigest() not in digest(GZIP)
    with pytest.raises(StoreError) as refused:
        saved(store, tmp_path, form=form)
    assert refused.value.message == f"the stored blob `{digest(GZIP)}` is damaged"
    assert not (tmp_path / "out").exists()
