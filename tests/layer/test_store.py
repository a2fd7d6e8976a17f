"""How layers appear in a store, are used by many, and go."""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import stat
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dissolver._core import CoreError
from dissolver._core.layer import Layers
from layer.conftest import IS_ROOT, needs_root


def write_tar(path: Path, entries: dict[str, bytes | None]) -> Path:
    """Write files, and directories where the content is ``None``, as the current user."""
    with tarfile.open(path, "w") as tar:
        for name, content in entries.items():
            member = tarfile.TarInfo(name)
            member.uid, member.gid = os.geteuid(), os.getegid()
            member.mode = 0o755 if content is None else 0o644
            if content is None:
                member.type = tarfile.DIRTYPE
            member.size = len(content or b"")
            tar.addfile(member, io.BytesIO(content or b""))
    return path


def contents(store: Path) -> dict[str, int]:
    return {name: len(list((store / name).iterdir())) for name in ("layers", "packs", "tmp")}


def kind_of(call: object, *arguments: object) -> str:
    assert callable(call)
    with pytest.raises(CoreError) as caught:
        call(*arguments)
    return caught.value.kind


def test_a_layer_is_its_tar_and_an_index(layers: Layers, tmp_path: Path) -> None:
    tar = write_tar(tmp_path / "a.tar", {"etc": None, "etc/passwd": b"root"})
    info = layers.ingest(tar)
    hex_ = info.diff_id.removeprefix("sha256:")
    store = tmp_path / "store"
    assert (store / "packs" / f"{hex_}.tar").read_bytes() == tar.read_bytes()
    assert [path.name for path in (store / "layers" / hex_).iterdir()] == ["index"]
    assert (info.entry_count, info.content_bytes) == (2, 4)
    assert layers.info(info.diff_id) == info
    assert layers.list() == [info.diff_id]
    assert layers.ingest(tar) == info
    assert layers.settle(10)
    assert contents(store) == {"layers": 1, "packs": 1, "tmp": 0}


def test_what_is_not_there_is_said(layers: Layers) -> None:
    missing = "sha256:" + "1" * 64
    assert layers.info(missing) is None
    assert layers.remove(missing) == 0
    assert kind_of(layers.view, [missing]) == "unknown-layer"
    assert kind_of(layers.lower_directories, [missing]) == "unknown-layer"
    assert kind_of(layers.disk_bytes, missing) == "unknown-layer"
    assert kind_of(layers.verify, missing) == "unknown-layer"
    assert kind_of(layers.info, "sha256:123") == "bad-digest"


@needs_root
def test_removing_a_layer_frees_what_it_occupied(layers: Layers, tmp_path: Path) -> None:
    info = layers.ingest(write_tar(tmp_path / "a.tar", {"file": bytes(1 << 20)}))
    layers.lower_directories([info.diff_id])
    occupied = layers.disk_bytes(info.diff_id)
    assert occupied > 2 << 20
    view = layers.view([info.diff_id])
    assert layers.remove(info.diff_id) == occupied
    assert contents(tmp_path / "store") == {"layers": 0, "packs": 0, "tmp": 0}
    assert layers.info(info.diff_id) is None
    # The pack was not open yet, so there is nothing to read any more.
    assert kind_of(lambda: view.read("file", limit=1 << 20)) == "io"


def test_damage_is_found(layers: Layers, tmp_path: Path) -> None:
    info = layers.ingest(write_tar(tmp_path / "a.tar", {"file": b"content"}))
    layers.verify(info.diff_id)
    hex_ = info.diff_id.removeprefix("sha256:")
    pack = tmp_path / "store" / "packs" / f"{hex_}.tar"
    index = tmp_path / "store" / "layers" / hex_ / "index"
    good_pack, good_index = pack.read_bytes(), index.read_bytes()
    pack.write_bytes(good_pack.replace(b"content", b"CONTENT"))
    assert kind_of(layers.verify, info.diff_id) == "digest-mismatch"
    pack.write_bytes(good_pack[:600])
    assert kind_of(layers.verify, info.diff_id) == "io"
    pack.write_bytes(good_pack)

    def with_index(data: bytes) -> str:
        index.unlink()
        index.write_bytes(data)
        return kind_of(layers.verify, info.diff_id)

    assert with_index(good_index[:-1]) == "bad-index"
    assert with_index(good_index[:-1] + b"?") == "bad-index"
    assert with_index(good_index.replace(b"DSLVIDX\0\x01", b"DSLVIDX\0\x02")) == "unknown-version"


@needs_root
def test_lowers_are_as_overlayfs_wants_them(tmp_path: Path) -> None:
    entries = {
        "etc": None,
        "etc/.wh.passwd": b"",
        "var": None,
        "var/.wh..wh..opq": b"",
        "var/x": b"x",
    }
    tar = write_tar(tmp_path / "a.tar", entries)
    for userxattr, name in ((False, "trusted.overlay.opaque"), (True, "user.overlay.opaque")):
        layers = Layers(tmp_path / f"store-{userxattr}", userxattr=userxattr)
        (lower,) = layers.lower_directories([layers.ingest(tar).diff_id])
        status = os.lstat(f"{lower}/etc/passwd")
        assert stat.S_ISCHR(status.st_mode)
        assert status.st_rdev == 0
        assert os.getxattr(f"{lower}/var", name) == b"y"
        assert os.listxattr(f"{lower}/etc") == []
        assert [path.name for path in Path(lower, "var").iterdir()] == ["x"]


@needs_root
def test_a_directory_that_is_only_implied_does_not_change_the_one_below(
    layers: Layers, tmp_path: Path
) -> None:
    with tarfile.open(tmp_path / "base.tar", "w") as tar:
        for name, mode in (("tmp", 0o1777), ("srv", 0o700), ("opt", 0o711)):
            member = tarfile.TarInfo(name)
            member.type, member.mode, member.mtime = tarfile.DIRTYPE, mode, 1_000_000
            tar.addfile(member)
    base = layers.ingest(tmp_path / "base.tar").diff_id
    above = layers.ingest(
        write_tar(tmp_path / "b.tar", {"tmp/file": b"x", "srv": None, "srv/x": b"y", "new/x": b"z"})
    ).diff_id
    lowers = layers.lower_directories([base, above])
    assert len(lowers) == 3
    assert lowers == layers.lower_directories([base, above])
    status = os.lstat(f"{lowers[2]}/tmp")
    assert (stat.S_IMODE(status.st_mode), status.st_mtime) == (0o1777, 1_000_000)
    assert [path.name for path in Path(lowers[2]).iterdir()] == ["tmp"]
    view = layers.view([base, above])
    modes = {
        name: entry.mode for name in ("tmp", "srv", "opt", "new") if (entry := view.stat(name))
    }
    assert modes == {"tmp": 0o1777, "srv": 0o755, "opt": 0o711, "new": 0o755}


@needs_root
def test_a_layer_that_is_in_the_stack_twice_is_one_lower(layers: Layers, tmp_path: Path) -> None:
    one = layers.ingest(write_tar(tmp_path / "1.tar", {"a": b"1"})).diff_id
    two = layers.ingest(write_tar(tmp_path / "2.tar", {"a": b"2"})).diff_id
    lowers = layers.lower_directories([one, two, one])
    assert [Path(lower, "a").read_bytes() for lower in lowers] == [b"2", b"1"]
    assert layers.view([one, two, one]).read("a", limit=10) == b"1"


def _extract_in_a_process(
    root: str, diff_id: str, out: multiprocessing.SimpleQueue[object]
) -> None:
    layers = Layers(root, userxattr=not IS_ROOT)
    (lower,) = layers.lower_directories([diff_id])
    out.put((lower, Path(lower).stat().st_ino))


@needs_root
def test_many_threads_and_processes_extract_once(layers: Layers, tmp_path: Path) -> None:
    files: dict[str, bytes | None] = {f"d{n % 20}/f{n}": b"x" * 100 for n in range(3000)}
    diff_id = layers.ingest(write_tar(tmp_path / "a.tar", files)).diff_id
    context = multiprocessing.get_context("spawn")
    results: multiprocessing.SimpleQueue[object] = context.SimpleQueue()
    arguments = (str(tmp_path / "store"), diff_id, results)
    processes = [context.Process(target=_extract_in_a_process, args=arguments) for _ in range(3)]
    for process in processes:
        process.start()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: layers.lower_directories([diff_id])[0], range(4)))
    for process in processes:
        process.join()
        assert process.exitcode == 0
    seen = {(path, Path(path).stat().st_ino) for path in found}
    seen |= {results.get() for _ in processes}  # type: ignore[misc]
    assert len(seen) == 1
    assert len(list(Path(found[0]).rglob("f*"))) == 3000
    assert contents(tmp_path / "store")["tmp"] == 0


def test_many_threads_store_the_same_layer(layers: Layers, tmp_path: Path) -> None:
    tar = write_tar(tmp_path / "a.tar", {f"f{n}": b"x" * 1000 for n in range(200)})
    with ThreadPoolExecutor(8) as pool:
        infos = set(pool.map(lambda _: layers.ingest(tar), range(16)))
    assert len(infos) == 1
    assert layers.settle(10)
    assert contents(tmp_path / "store") == {"layers": 1, "packs": 1, "tmp": 0}


@needs_root
def test_an_export_goes_into_an_empty_directory_only(layers: Layers, tmp_path: Path) -> None:
    diff_id = layers.ingest(write_tar(tmp_path / "a.tar", {"a": b"1"})).diff_id
    layers.extract([diff_id], tmp_path / "out")
    assert kind_of(layers.extract, [diff_id], tmp_path / "out") == "not-empty"


@pytest.fixture
def endless() -> Iterator[int]:
    """The reading end of a pipe in which a tar never ends."""
    reader, writer = os.pipe()

    def feed() -> None:
        member = tarfile.TarInfo("endless")
        member.size = 1 << 40
        try:
            os.write(writer, member.tobuf(tarfile.GNU_FORMAT))
            while True:
                os.write(writer, bytes(1 << 16))
                time.sleep(0.001)
        except BrokenPipeError:
            os.close(writer)

    thread = threading.Thread(target=feed)
    thread.start()
    yield reader
    os.close(reader)
    thread.join()


def test_a_signal_stops_long_work_and_nothing_stays(
    layers: Layers, tmp_path: Path, endless: int
) -> None:
    class Stopped(Exception):
        pass

    def stop(*_: object) -> None:
        raise Stopped

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    started = time.monotonic()
    try:
        with pytest.raises(Stopped):
            layers.ingest(endless)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert time.monotonic() - started < 2
    assert contents(tmp_path / "store") == {"layers": 0, "packs": 0, "tmp": 0}


def test_what_a_killed_process_leaves_names_it(layers: Layers, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    program = (
        "import sys; from dissolver._core.layer import Layers;"
        "Layers(sys.argv[1], userxattr=False).ingest(int(sys.argv[2]))"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program, tmp_path / "store", str(reader)], pass_fds=[reader]
    )
    member = tarfile.TarInfo("file")
    member.size = 1 << 20
    os.write(writer, member.tobuf())
    leftovers = tmp_path / "store" / "tmp"
    while not list(leftovers.iterdir()):
        time.sleep(0.01)
    start_time = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[19]
    child.kill()
    child.wait()
    (left,) = leftovers.iterdir()
    assert left.name.rsplit("-", 1)[0] == f"{child.pid}-{start_time}"
    assert layers.list() == []
    os.close(reader)
    os.close(writer)
