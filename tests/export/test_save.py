"""What ``save`` writes: the same bytes each time, in the forms that others read."""

from __future__ import annotations

import errno
import gzip
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import tarfile
import threading
from pathlib import Path

import pytest

from dissolver.errors import CoreFailure, DissolverError, ExportError, ImageNotFound, StoreError
from dissolver.export.save import save
from dissolver.image.reference import parse_reference
from dissolver.store import Store
from dissolver.store.faults import DiskFull
from export.archives import files_of
from shelf import add_image, config_of, tar_of


def layout_of(files: dict[str, bytes]) -> dict[str, tuple[dict[str, object], dict[str, object]]]:
    """Read a layout as another tool would: (manifest, configuration) by whole name."""
    assert json.loads(files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads(files["index.json"])
    assert (index["schemaVersion"], index["mediaType"]) == (
        2,
        "application/vnd.oci.image.index.v1+json",
    )
    found = {}

    def blob(described: dict[str, object]) -> bytes:
        content = files[f"blobs/sha256/{str(described['digest']).removeprefix('sha256:')}"]
        assert described["size"] == len(content)
        assert described["digest"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
        return content

    for entry in index["manifests"]:
        manifest = json.loads(blob(entry))
        assert manifest["mediaType"] == entry["mediaType"]
        for layer in manifest["layers"]:
            blob(layer)
        name = entry.get("annotations", {}).get("io.containerd.image.name", entry["digest"])
        found[name] = (manifest, json.loads(blob(manifest["config"])))
    return found


@pytest.mark.parametrize(
    ("form", "compression", "media_type"),
    [
        ("docker", None, "application/vnd.oci.image.layer.v1.tar"),
        ("docker", "gzip", "application/vnd.oci.image.layer.v1.tar+gzip"),
        ("oci", None, "application/vnd.oci.image.layer.v1.tar+gzip"),
        ("oci", "none", "application/vnd.oci.image.layer.v1.tar"),
        ("oci", "zstd", "application/vnd.oci.image.layer.v1.tar+zstd"),
        ("oci-directory", None, "application/vnd.oci.image.layer.v1.tar+gzip"),
        ("oci-directory", "none", "application/vnd.oci.image.layer.v1.tar"),
    ],
)
def test_every_form_is_an_oci_layout(
    store: Store, tmp_path: Path, form: str, compression: str | None, media_type: str
) -> None:
    image = add_image(store, "one two", "box:1")
    save(store, ["box:1"], str(tmp_path / "saved"), form=form, compression=compression)
    found = layout_of(files_of(tmp_path / "saved"))
    manifest, config = found["docker.io/library/box:1"]
    assert manifest["config"]["digest"] == image.id  # type: ignore[index]
    assert config["rootfs"]["diff_ids"] == list(image.config.diff_ids)  # type: ignore[index]
    layers = manifest["layers"]
    assert [layer["mediaType"] for layer in layers] == [media_type] * 2  # type: ignore[attr-defined]


def test_names_are_where_tools_look_for_them(store: Store, tmp_path: Path) -> None:
    add_image(store, "one", "box:1", "ghcr.io/a/b:v2")
    save(store, ["box:1", "ghcr.io/a/b:v2"], str(tmp_path / "saved"), form="oci")
    index = json.loads(files_of(tmp_path / "saved")["index.json"])
    assert [entry["annotations"] for entry in index["manifests"]] == [
        {
            "io.containerd.image.name": "docker.io/library/box:1",
            "org.opencontainers.image.ref.name": "1",
        },
        {"io.containerd.image.name": "ghcr.io/a/b:v2", "org.opencontainers.image.ref.name": "v2"},
    ]
    assert index["manifests"][0]["platform"] == {"architecture": "amd64", "os": "linux"}


def test_docker_finds_its_manifest(store: Store, tmp_path: Path) -> None:
    image = add_image(store, "one two", "box:1", "ghcr.io/a/b:v2")
    dangling = add_image(store, "one three")
    save(store, ["box:1", "ghcr.io/a/b:v2", dangling.id], str(tmp_path / "saved"))
    files = files_of(tmp_path / "saved")
    rows = json.loads(files["manifest.json"])
    assert [row["RepoTags"] for row in rows] == [["box:1", "ghcr.io/a/b:v2"], None]
    for row, saved in zip(rows, (image, dangling), strict=True):
        assert f"sha256:{hashlib.sha256(files[row['Config']]).hexdigest()}" == saved.id
        digests = [hashlib.sha256(files[name]).hexdigest() for name in row["Layers"]]
        assert [f"sha256:{digits}" for digits in digests] == list(saved.config.diff_ids)


def test_layers_that_images_share_are_there_once(store: Store, tmp_path: Path) -> None:
    add_image(store, "one two", "a")
    add_image(store, "one three", "b")
    save(store, ["a", "b"], str(tmp_path / "saved"), form="oci")
    with tarfile.open(tmp_path / "saved") as tar:
        names = tar.getnames()
    assert len(names) == len(set(names))
    # Three layers, two configurations, two manifests.
    assert len([name for name in names if name.startswith("blobs/sha256/")]) == 7


@pytest.mark.parametrize("form", ["docker", "oci", "oci-directory"])
@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_the_same_images_give_the_same_bytes(
    store: Store, tmp_path: Path, form: str, compression: str
) -> None:
    add_image(store, "one two", "box:1")
    for name in ("first", "second"):
        save(store, ["box"], str(tmp_path / name), form=form, compression=compression)
    assert files_of(tmp_path / "first") == files_of(tmp_path / "second")
    if form != "oci-directory":
        assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_entries_of_the_tar_are_roots_and_as_old_as_the_image(store: Store, tmp_path: Path) -> None:
    add_image(store, "one", "box:1", created=1_700_000_000_000_000_000)
    save(store, ["box"], str(tmp_path / "saved"))
    with tarfile.open(tmp_path / "saved") as tar:
        for entry in tar:
            assert (entry.uid, entry.gid, entry.mtime) == (0, 0, 1_700_000_000)
            assert entry.mode == (0o755 if entry.isdir() else 0o644)


def test_gnu_tar_reads_it(store: Store, tmp_path: Path) -> None:
    if shutil.which("tar") is None:
        pytest.skip("tar is not installed")
    add_image(store, "one", "box:1")
    save(store, ["box"], str(tmp_path / "saved"))
    listed = subprocess.run(
        ["tar", "-tf", tmp_path / "saved"], capture_output=True, text=True, check=True
    )
    assert listed.stderr == ""
    assert "manifest.json" in listed.stdout.split()


def test_a_bare_name_stands_for_its_tags_and_an_id_for_no_name(
    store: Store, tmp_path: Path
) -> None:
    one = add_image(store, "one", "box:1", "other:1")
    two = add_image(store, "two", "box:2")
    table: dict[tuple[str, ...], list[tuple[str, list[str]]]] = {
        ("box",): [(one.id, ["box:1"]), (two.id, ["box:2"])],
        ("box:2",): [(two.id, ["box:2"])],
        (one.id[7:19],): [(one.id, [])],
        (one.id, "other:1", "box:1"): [(one.id, ["other:1", "box:1"])],
        ("docker.io/library/box:1",): [(one.id, ["box:1"])],
    }
    for texts, expected in table.items():
        chosen = save(store, texts, str(tmp_path / "saved"), form="oci")
        found = [(row.image.id, [str(name) for name in row.references]) for row in chosen]
        assert found == expected, texts
        (tmp_path / "saved").unlink()


def test_a_pipe_gets_the_same_bytes_as_a_file(store: Store, tmp_path: Path) -> None:
    add_image(store, "one two", "box:1")
    save(store, ["box"], str(tmp_path / "saved"), form="oci")
    reading, writing = os.pipe()
    received: list[bytes] = []

    def read() -> None:
        with os.fdopen(reading, "rb") as pipe:
            received.append(pipe.read())

    thread = threading.Thread(target=read)
    thread.start()
    save(store, ["box"], writing, form="oci")
    os.close(writing)
    thread.join()
    assert received == [(tmp_path / "saved").read_bytes()]


def test_an_old_file_stays_until_the_new_one_is_complete(store: Store, tmp_path: Path) -> None:
    image = add_image(store, "one two", "box:1")
    target = tmp_path / "saved"
    target.write_bytes(b"old")
    next(store.layout.packs.iterdir()).write_bytes(b"damaged")
    with pytest.raises(DissolverError):
        save(store, ["box:1"], str(target))
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir() if "part" in path.name] == []
    assert image.id


def test_a_damaged_image_is_in_the_way_of_no_other(store: Store, tmp_path: Path) -> None:
    damaged, well = add_image(store, "one", "bad:1"), add_image(store, "two", "box:1")
    store.blobs.path(damaged.id).unlink()
    assert [one.image for one in save(store, ["box"], str(tmp_path / "saved"))] == [well]
    with pytest.raises(StoreError) as caught:
        save(store, ["bad"], str(tmp_path / "other"))
    assert caught.value.hint == "run `dissolver system check`"


@pytest.mark.parametrize("form", ["docker", "oci-directory"])
def test_what_a_killed_save_left_is_in_nobodys_way(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    add_image(store, "one", "box:1")

    def killed(*_: object) -> None:
        raise SystemExit

    with monkeypatch.context() as broken:
        for leave in ("pathlib.Path.replace", "pathlib.Path.unlink", "shutil.rmtree"):
            broken.setattr(leave, killed)
        broken.setattr("dissolver.export.parcels.DirectoryParcel.finish", killed)
        with pytest.raises(SystemExit):
            save(store, ["box:1"], str(tmp_path / "saved"), form=form)
    assert [path.name[:6] for path in tmp_path.iterdir() if path.name[0] == "."] == [".part-"]
    save(store, ["box:1"], str(tmp_path / "saved"), form=form)
    assert (tmp_path / "saved").exists()


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_a_damaged_layer_is_not_saved(store: Store, tmp_path: Path, compression: str) -> None:
    add_image(store, "one", "box:1")
    pack = next(store.layout.packs.iterdir())
    content = bytearray(pack.read_bytes())
    content[600] ^= 1
    pack.chmod(0o600)
    pack.write_bytes(content)
    with pytest.raises(CoreFailure) as caught:
        save(store, ["box:1"], str(tmp_path / "saved"), compression=compression)
    assert caught.value.kind == "digest-mismatch"
    assert not (tmp_path / "saved").exists()


def test_a_link_to_a_file_stays_a_link(store: Store, tmp_path: Path) -> None:
    add_image(store, "one", "box:1")
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    save(store, ["box"], str(tmp_path / "link"))
    assert (tmp_path / "link").is_symlink()
    assert tarfile.is_tarfile(tmp_path / "real")


def test_full_disks_and_devices(store: Store) -> None:
    add_image(store, "one", "box:1")
    save(store, ["box"], "/dev/null")
    with pytest.raises(DiskFull):
        save(store, ["box"], "/dev/full")


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_a_pipe_that_nobody_reads_is_told_as_one(store: Store, compression: str) -> None:
    add_image(store, "one", "box")
    reading, writing = os.pipe()
    os.close(reading)
    with pytest.raises(StoreError) as caught:
        save(store, ["box"], writing, compression=compression)
    os.close(writing)
    # By this the command knows that it has to be silent.
    assert caught.value.errno == errno.EPIPE


@pytest.mark.usefixtures("hears_interrupts")
@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_an_interrupt_is_heard_while_nobody_reads(store: Store, compression: str) -> None:
    big = tar_of({"f": random.Random(1).randbytes(1 << 20)})
    with store.workspace() as place:
        (place / "layer").write_bytes(big)
        layer = store.layers.ingest(str(place / "layer")).diff_id
    store.images.put(config_of(layer), tags=[parse_reference("big")])
    reading, writing = os.pipe()
    threading.Timer(0.1, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            save(store, ["big"], writing, compression=compression)
    finally:
        os.close(reading)
        os.close(writing)
    assert list(store.layout.tmp.iterdir()) == []


def test_an_image_that_is_packed_anew_is_not_called_by_its_old_digest(
    store: Store, tmp_path: Path
) -> None:
    image = add_image(store, "one", "box:1")
    pinned = parse_reference(f"box@sha256:{'0' * 64}")
    store.images.tag(image.id, pinned)
    save(store, [pinned.canonical], str(tmp_path / "pinned"), form="oci")
    (name,) = layout_of(files_of(tmp_path / "pinned"))
    assert name.startswith("sha256:")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"form": "tarball"}, "unknown format `tarball`"),
        ({"compression": "lzma"}, "unknown compression `lzma`"),
        ({"images": []}, "no image to save"),
        ({"target": "."}, "`.` is a directory"),
        ({"form": "oci-directory", "target": 1}, "a directory needs a name"),
        (
            {"form": "oci-directory", "target": "/dev/null"},
            "`/dev/null` exists and is no directory",
        ),
    ],
)
def test_what_cannot_be_is_named(store: Store, arguments: dict[str, object], message: str) -> None:
    add_image(store, "one", "box:1")
    named = {"images": ["box"], "target": "/dev/null", **arguments}
    images, target = named.pop("images"), named.pop("target")
    with pytest.raises(ExportError) as caught:
        save(store, images, target, **named)  # type: ignore[arg-type]
    assert caught.value.message == message


def test_a_directory_with_something_in_it_is_left_alone(store: Store, tmp_path: Path) -> None:
    add_image(store, "one", "box:1")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    with pytest.raises(ExportError, match="is not empty"):
        save(store, ["box"], str(tmp_path / "full"), form="oci-directory")
    (tmp_path / "empty").mkdir()
    save(store, ["box"], str(tmp_path / "empty"), form="oci-directory")
    assert sorted(path.name for path in tmp_path.iterdir() if "part" in path.name) == []
    assert (tmp_path / "empty" / "index.json").exists()


def test_an_image_that_is_not_there_is_told_before_anything_is_written(
    store: Store, tmp_path: Path
) -> None:
    add_image(store, "one", "box:1")
    with pytest.raises(ImageNotFound):
        save(store, ["box:1", "nothing"], str(tmp_path / "saved"))
    assert not (tmp_path / "saved").exists()


def test_a_configuration_that_came_from_elsewhere_keeps_its_bytes(
    store: Store, tmp_path: Path
) -> None:
    image = add_image(store, "one")
    document = store.blobs.get(image.id) + b"\n"
    with store.lock_shared():
        strange = store.images.put(
            image.config, tags=[parse_reference("strange")], document=document
        )
    save(store, ["strange"], str(tmp_path / "saved"))
    files = files_of(tmp_path / "saved")
    assert files[f"blobs/sha256/{strange.id.removeprefix('sha256:')}"] == document


def test_the_gzip_of_a_layer_is_its_tar(store: Store, tmp_path: Path) -> None:
    image = add_image(store, "one", "box:1")
    save(store, ["box"], str(tmp_path / "saved"), form="oci")
    files = files_of(tmp_path / "saved")
    manifest, _ = layout_of(files)["docker.io/library/box:1"]
    name = manifest["layers"][0]["digest"].removeprefix("sha256:")  # type: ignore[index]
    tar = gzip.decompress(files[f"blobs/sha256/{name}"])
    assert f"sha256:{hashlib.sha256(tar).hexdigest()}" == image.config.diff_ids[0]
