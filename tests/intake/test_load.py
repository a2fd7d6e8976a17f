"""Loading archives of images, whoever wrote them, and refusing what is not one."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import resource
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from dissolver.errors import BadImageConfig, BadManifest, CoreFailure, DissolverError, IntakeError
from dissolver.export.save import save
from dissolver.image.annotations import Annotations
from dissolver.image.platform import platform_of_machine
from dissolver.intake.load import load
from dissolver.store import Store
from export.archives import (
    Files,
    Layout,
    blob_name,
    config_bytes,
    descriptor,
    digest,
    write_archive,
)
from shelf import add_image, tar_of

ONE = tar_of({"etc/motd": b"hello\n", "big": bytes(range(256)) * 1000})
TWO = tar_of({"etc/issue": b"two\n"})
CONFIG = config_bytes(ONE, TWO)
MACHINE = platform_of_machine(os.uname().machine)
OTHER = "riscv64" if MACHINE.architecture != "riscv64" else "s390x"


@pytest.fixture
def other(tmp_path: Path) -> Store:
    """A store that has nothing yet."""
    return Store(tmp_path / "other", tmp_path / "other-run")


def docker_archive(**changes: object) -> dict[str, bytes | str]:
    """Write an archive as Docker did before version 25."""
    row = {
        "Config": f"{digest(CONFIG)[7:]}.json",
        "RepoTags": ["box:1", "ghcr.io/a/b:v2"],
        "Layers": ["aaa/layer.tar", "bbb/layer.tar"],
        **changes,
    }
    return {
        "aaa/layer.tar": ONE,
        "aaa/VERSION": b"1.0",
        "bbb/layer.tar": TWO,
        f"{digest(CONFIG)[7:]}.json": CONFIG,
        "manifest.json": json.dumps([row]).encode(),
        "repositories": b"{}",
    }


def oci_layout(name: str = "docker.io/library/box:1") -> Layout:
    layout = Layout()
    manifest = layout.manifest(CONFIG, {gzip.compress(ONE): "+gzip", TWO: ""})
    annotations = {"org.opencontainers.image.ref.name": name}
    layout.entries.append(descriptor("manifest.v1+json", manifest, annotations=annotations))
    return layout


def names(store: Store, source: Path | int) -> list[tuple[str, list[str]]]:
    return [
        (loaded.image.id, [reference.canonical for reference in loaded.references])
        for loaded in load(store, source)
    ]


# What is taken in ---------------------------------------------------------------


@pytest.mark.parametrize("form", ["docker", "oci", "oci-directory"])
@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_what_was_saved_is_loaded_as_the_same_image(
    store: Store, other: Store, tmp_path: Path, form: str, compression: str
) -> None:
    one = add_image(store, "one two", "box:1", "box:latest")
    two = add_image(store, "one three", "ghcr.io/a/b:v2")
    dangling, other_one = add_image(store, "four"), add_image(store, "five")
    texts = ["box", "ghcr.io/a/b:v2", dangling.id, other_one.id]
    save(store, texts, str(tmp_path / "saved"), form=form, compression=compression)
    assert names(other, tmp_path / "saved") == [
        (one.id, ["docker.io/library/box:1", "docker.io/library/box:latest"]),
        (two.id, ["ghcr.io/a/b:v2"]),
        (dangling.id, []),
        (other_one.id, []),
    ]
    assert other.check() == ()
    assert other.images.resolve("box:1").config == one.config
    # Loading it again finds everything there.
    assert len(load(other, tmp_path / "saved")) == 4


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_whole_archives_may_be_compressed_and_come_through_pipes(
    store: Store, tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    archive = write_archive(tmp_path / "plain", docker_archive())
    packed = tmp_path / "packed"
    packed.write_bytes(pack(archive.read_bytes()))
    expected = (digest(CONFIG), ["docker.io/library/box:1", "ghcr.io/a/b:v2"])
    assert names(store, packed) == [expected]
    reading, writing = os.pipe()

    def feed() -> None:
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(packed.read_bytes())

    thread = threading.Thread(target=feed)
    thread.start()
    assert names(store, reading) == [expected]
    thread.join()
    os.close(reading)
    assert list(store.layout.tmp.iterdir()) == []


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_the_padding_behind_the_last_file_may_be_missing(
    store: Store, tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    files = {name: content for name, content in docker_archive().items() if name != "repositories"}
    whole = write_archive(tmp_path / "whole", files).read_bytes()
    last = files["manifest.json"]
    assert isinstance(last, bytes)
    end = whole.index(last) + len(last)
    for size in (end, end + 1, end + -end % 512, len(whole) - 1):
        (tmp_path / "short").write_bytes(pack(whole[:size]))
        assert names(store, tmp_path / "short")[0][0] == digest(CONFIG), size
    (tmp_path / "short").write_bytes(pack(whole[: end - 1]))
    with pytest.raises(IntakeError, match="the archive is cut short"):
        load(store, tmp_path / "short")


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_that_says_it_is_endless_is_not_read(
    store: Store, tmp_path: Path, kind: bytes
) -> None:
    entry = tarfile.TarInfo("long")
    entry.type, entry.size = kind, 1 << 40
    path = tmp_path / "archive"
    path.write_bytes(entry.tobuf(tarfile.GNU_FORMAT))
    os.truncate(path, 1 << 30)
    with pytest.raises(IntakeError, match="the headers of the archive have more than 134217728 b"):
        load(store, path)


def test_a_layout_may_have_more_blobs_than_a_process_has_open_files(
    store: Store, tmp_path: Path
) -> None:
    layout = Layout()
    for number in range(60):
        tar = tar_of({"number": b"%d" % number})
        manifest = layout.manifest(config_bytes(tar), {tar: ""})
        layout.entries.append(descriptor("manifest.v1+json", manifest))
    for name, content in layout.finish().items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    now = len(list(Path("/proc/self/fd").iterdir()))
    resource.setrlimit(resource.RLIMIT_NOFILE, (now + 100, hard))
    try:
        assert len(load(store, tmp_path)) == 60
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_an_image_gets_no_digest_by_being_called_so(store: Store, tmp_path: Path) -> None:
    other_one = f"box@{digest(ONE)}"
    files = docker_archive(RepoTags=["box:1", other_one])
    with pytest.raises(IntakeError, match="has a digest, which no image can be given"):
        load(store, write_archive(tmp_path / "archive", files))
    layout = oci_layout(f"docker.io/library/{other_one}")
    with pytest.raises(IntakeError, match=f"and its digest is {layout.entries[0]['digest']}"):
        load(store, write_archive(tmp_path / "archive", layout.finish()))
    assert store.images.list() == []
    own = f"docker.io/library/box@{layout.entries[0]['digest']}"
    assert names(store, write_archive(tmp_path / "archive", oci_layout(own).finish())) == [
        (digest(CONFIG), [own])
    ]


def test_the_configuration_keeps_its_bytes(store: Store, tmp_path: Path) -> None:
    load(store, write_archive(tmp_path / "archive", docker_archive()))
    assert store.blobs.get(digest(CONFIG)) == CONFIG
    view = store.layers.view(store.images.resolve("box:1").config.diff_ids)
    assert view.read("/etc/motd", limit=10) == b"hello\n"
    assert view.read("/etc/issue", limit=10) == b"two\n"


def test_layers_that_are_links_to_others_are_followed(store: Store, tmp_path: Path) -> None:
    files = docker_archive(Layers=["aaa/layer.tar", "ccc/layer.tar"])
    files["ccc/layer.tar"] = "../bbb/layer.tar"
    assert names(store, write_archive(tmp_path / "archive", files))[0][0] == digest(CONFIG)


@pytest.mark.parametrize(
    ("beside", "expected"),
    [
        ({}, {"org.x": "1"}),
        ({"index.json": b"{"}, {}),
        ({"oci-layout": None}, {}),
    ],
)
def test_a_layout_beside_dockers_table_tells_what_is_said_of_images(
    store: Store, other: Store, tmp_path: Path, beside: dict[str, bytes | None], expected: object
) -> None:
    image = add_image(store, "a", "app")
    store.images.put(image.config, annotations=Annotations({"org.x": "1"}))
    save(store, ["app"], str(tmp_path / "app.tar"))
    with tarfile.open(tmp_path / "app.tar") as tar:
        files = {entry.name: tar.extractfile(entry) for entry in tar if entry.isfile()}
        contents = {name: file.read() for name, file in files.items() if file is not None}
    kept = {name: beside.get(name, content) for name, content in contents.items()}
    source = write_archive(tmp_path / "odd.tar", {k: v for k, v in kept.items() if v is not None})
    assert names(other, source) == [(image.id, ["docker.io/library/app:latest"])]
    assert other.images.annotations(image.id).manifest == expected


def test_a_directory_has_no_file_with_an_impossible_name(store: Store, tmp_path: Path) -> None:
    row = {"Config": "a\0b", "Layers": []}
    (tmp_path / "manifest.json").write_text(json.dumps([row]))
    with pytest.raises(IntakeError, match="the archive has no"):
        load(store, tmp_path)


def test_names_in_archives_are_never_paths_of_the_machine(store: Store, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(ONE)
    for name in (str(secret), "../../../../../.." + str(secret)):
        files = docker_archive(Layers=[name, "bbb/layer.tar"])
        with pytest.raises(IntakeError, match="the archive has no"):
            load(store, write_archive(tmp_path / "archive", files))
        linked = docker_archive(Layers=["link", "bbb/layer.tar"]) | {"link": str(secret)}
        with pytest.raises(IntakeError, match="the archive has no `link`"):
            load(store, write_archive(tmp_path / "archive", linked))
    layout = tmp_path / "layout"
    for name, content in oci_layout().finish().items():
        (layout / name).parent.mkdir(parents=True, exist_ok=True)
        (layout / name).write_bytes(content)
    # Whole directories may not be links either.
    (layout / blob_name(TWO)).rename(tmp_path / "moved")
    (layout / blob_name(TWO)).symlink_to(tmp_path / "moved")
    with pytest.raises(IntakeError, match="cannot read"):
        load(store, layout)


def test_an_image_of_an_oci_layout_gets_the_whole_name_it_has(store: Store, tmp_path: Path) -> None:
    table = {
        "docker.io/library/box:1": ["docker.io/library/box:1"],
        "box:1": ["docker.io/library/box:1"],
        "ghcr.io/a/b": ["ghcr.io/a/b:latest"],
        # A tag alone names nothing.
        "latest": [],
        "1.2": [],
    }
    for name, expected in table.items():
        files = oci_layout(name).finish()
        assert names(store, write_archive(tmp_path / "archive", files)) == [
            (digest(CONFIG), expected)
        ], name


def test_an_index_gives_the_image_for_this_machine(store: Store, tmp_path: Path) -> None:
    layout = Layout()
    inner = []
    for architecture in (OTHER, MACHINE.architecture):
        config = config_bytes(ONE, architecture=architecture)
        platform = {"architecture": architecture, "os": "linux"}
        manifest = layout.manifest(config, {ONE: ""})
        inner.append(descriptor("manifest.v1+json", manifest, platform=platform))
    unknown = {"architecture": "unknown", "os": "unknown"}
    statement = layout.blob(b'{"schemaVersion": 2}')
    inner.append(descriptor("manifest.v1+json", statement, platform=unknown))
    index = layout.blob(layout.index(*inner))
    annotations = {"io.containerd.image.name": "docker.io/library/box:1"}
    layout.entries.append(descriptor("index.v1+json", index, annotations=annotations))
    archive = write_archive(tmp_path / "archive", layout.finish())
    expected = digest(config_bytes(ONE, architecture=MACHINE.architecture))
    assert names(store, archive) == [(expected, ["docker.io/library/box:1"])]


def test_of_several_images_with_one_name_this_machines_is_taken(
    store: Store, tmp_path: Path
) -> None:
    layout = Layout()
    for architecture in (OTHER, MACHINE.architecture):
        config = config_bytes(ONE, architecture=architecture)
        platform = {"architecture": architecture, "os": "linux"}
        annotations = {"io.containerd.image.name": "docker.io/library/box:1"}
        layout.entries.append(
            descriptor(
                "manifest.v1+json",
                layout.manifest(config, {ONE: ""}),
                platform=platform,
                annotations=annotations,
            )
        )
    archive = write_archive(tmp_path / "archive", layout.finish())
    expected = digest(config_bytes(ONE, architecture=MACHINE.architecture))
    assert names(store, archive) == [(expected, ["docker.io/library/box:1"])]
    # One that is alone is taken, whoever it is for.
    del layout.entries[1]
    archive = write_archive(tmp_path / "archive", layout.finish())
    expected = digest(config_bytes(ONE, architecture=OTHER))
    assert names(store, archive) == [(expected, ["docker.io/library/box:1"])]


def test_an_index_without_an_image_for_this_machine_says_so(store: Store, tmp_path: Path) -> None:
    layout = Layout()
    inner = []
    for architecture in (OTHER, "mips64"):
        manifest = layout.manifest(config_bytes(ONE, architecture=architecture), {ONE: ""})
        platform = {"architecture": architecture, "os": "linux"}
        inner.append(descriptor("manifest.v1+json", manifest, platform=platform))
    layout.entries.append(descriptor("index.v1+json", layout.blob(layout.index(*inner))))
    with pytest.raises(IntakeError, match="no image for the platform `linux/"):
        load(store, write_archive(tmp_path / "archive", layout.finish()))


# What is refused ----------------------------------------------------------------


def changed(files: Files, name: str, content: bytes | None) -> Files:
    files = dict(files)
    if content is None:
        del files[name]
    else:
        files[name] = content
    return files


def test_every_damaged_or_missing_blob_of_a_layout_is_noticed(store: Store, tmp_path: Path) -> None:
    files = oci_layout().finish()
    for name, content in files.items():
        if not name.startswith("blobs/"):
            continue
        for wrong in (None, content[:-1], content + b" ", content[:-1] + b"\xff"):
            archive = write_archive(tmp_path / "archive", changed(files, name, wrong))
            with pytest.raises(DissolverError):
                load(store, archive)
            assert store.images.list() == [], (name, wrong)


def test_a_layer_that_unpacks_to_something_else_is_refused(store: Store, tmp_path: Path) -> None:
    layout = Layout()
    # Every digest of a blob is right, and the configuration speaks of another tar.
    manifest = layout.manifest(CONFIG, {gzip.compress(TWO): "+gzip", gzip.compress(ONE): "+gzip"})
    layout.entries.append(descriptor("manifest.v1+json", manifest))
    with pytest.raises(CoreFailure, match="digest mismatch") as caught:
        load(store, write_archive(tmp_path / "archive", layout.finish()))
    assert caught.value.kind == "digest-mismatch"
    assert store.layers.list() == []
    files = docker_archive() | {"aaa/layer.tar": TWO}
    with pytest.raises(CoreFailure, match="digest mismatch"):
        load(store, write_archive(tmp_path / "archive", files))


def empty_layout() -> Files:
    layout = Layout()
    layout.entries.append(descriptor("manifest.v1+json", layout.blob(b"{}")))
    return layout.finish()


REFUSED: list[tuple[str, dict[str, bytes | str] | Files, type[DissolverError], str]] = [
    ("nothing in it", {"readme": b"hello"}, IntakeError, "neither `manifest.json` nor"),
    ("no JSON", docker_archive() | {"manifest.json": b"{"}, IntakeError, "`manifest.json` is not"),
    ("wrong type", docker_archive(Layers=3), IntakeError, "`manifest.json` is not valid"),
    ("no layer", docker_archive(Layers=["x", "y"]), IntakeError, "the archive has no `x`"),
    ("too few", docker_archive(Layers=["aaa/layer.tar"]), IntakeError, "has 1 layers, and its"),
    ("bad name", docker_archive(RepoTags=["Box:1"]), IntakeError, "names an image `Box:1`"),
    ("bad config", docker_archive(Config="bbb/layer.tar"), BadImageConfig, "is not valid"),
    ("bad manifest", empty_layout(), BadManifest, "the manifest is not valid"),
    ("bad index", oci_layout().finish() | {"index.json": b"[]"}, BadManifest, "the index is"),
    (
        "old schema",
        oci_layout().finish() | {"index.json": b'{"schemaVersion": 1, "manifests": []}'},
        BadManifest,
        "has schema 1, and this version reads 2",
    ),
    (
        "long document",
        docker_archive() | {"manifest.json": b" " * (5 << 20)},
        IntakeError,
        "is too long",
    ),
]


@pytest.mark.parametrize(
    ("files", "kind", "message"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_what_is_no_archive_of_images_is_refused(
    store: Store,
    tmp_path: Path,
    files: dict[str, bytes | str],
    kind: type[DissolverError],
    message: str,
) -> None:
    with pytest.raises(kind) as caught:
        load(store, write_archive(tmp_path / "archive", files))
    assert message in caught.value.message
    assert store.images.list() == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "this is no archive of images"),
        (b"hello", "this is no archive of images"),
        (b"\x1f\x8bhello", "cannot read the archive: bad gzip data"),
        (gzip.compress(b"hello"), "this is no archive of images"),
        (gzip.compress(b"x" * 2000)[:-9], "cannot read the archive: bad gzip data"),
    ],
)
def test_other_files_are_no_archives(
    store: Store, tmp_path: Path, content: bytes, message: str
) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(IntakeError) as caught:
        load(store, tmp_path / "file")
    assert message in caught.value.message


def test_an_archive_that_is_cut_short_is_refused_wherever_it_ends(
    store: Store, tmp_path: Path
) -> None:
    whole = write_archive(tmp_path / "whole", docker_archive()).read_bytes()
    end = whole.rindex(b"repositories")
    for length in range(700, end, 7001):
        (tmp_path / "cut").write_bytes(whole[:length])
        with pytest.raises(DissolverError):
            load(store, tmp_path / "cut")
    assert store.images.list() == []


def test_an_image_with_a_hostile_layer_is_refused(store: Store, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("../outside"))
    hostile = buffer.getvalue()
    config = config_bytes(hostile)
    files = docker_archive(Layers=["aaa/layer.tar"]) | {"aaa/layer.tar": hostile}
    files[f"{digest(CONFIG)[7:]}.json"] = config
    with pytest.raises(CoreFailure) as caught:
        load(store, write_archive(tmp_path / "archive", files))
    assert caught.value.kind == "unsafe-path"


def test_a_file_that_is_not_there_is_named(store: Store, tmp_path: Path) -> None:
    with pytest.raises(IntakeError, match="no such file or directory"):
        load(store, tmp_path / "nothing")
