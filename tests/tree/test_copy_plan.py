"""Copies from Python: planned, told apart by their digests, written, and read back."""

from __future__ import annotations

import io
import os
import signal
import tarfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from dissolver._core import CoreError
from dissolver._core.copy import CopyPlan
from dissolver._core.layer import Layers, View
from dissolver._core.tree import IgnoreRules, Tree

MTIME = 1_700_000_000_000_000_000


@pytest.fixture
def layers(tmp_path: Path) -> Layers:
    return Layers(tmp_path / "store", userxattr=os.geteuid() != 0)


@pytest.fixture
def context(tmp_path: Path) -> Path:
    root = tmp_path / "context"
    (root / "src").mkdir(parents=True)
    (root / "package.json").write_text("{}")
    (root / "src" / "server.js").write_text("listen()")
    return root


@pytest.fixture
def base(layers: Layers, tmp_path: Path) -> View:
    """A root file system with users' homes and a link in it."""
    path = tmp_path / "base.tar"
    with tarfile.open(path, "w") as tar:
        for name, mode, owner in (
            ("etc", 0o755, 0),
            ("home", 0o711, 0),
            ("home/node", 0o700, 1000),
        ):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode, entry.uid, entry.gid = tarfile.DIRTYPE, mode, owner, owner
            tar.addfile(entry)
        link = tarfile.TarInfo("data")
        link.type, link.linkname = tarfile.SYMTYPE, "/home/node/data"
        tar.addfile(link)
        passwd = tarfile.TarInfo("etc/passwd")
        passwd.size = 4
        tar.addfile(passwd, io.BytesIO(b"root"))
    return layers.view([layers.ingest(path).diff_id])


def plan(
    base: View,
    origin: Tree | View,
    sources: Sequence[str],
    destination: str,
    *,
    owner: tuple[int, int] | None = None,
    keeps_owner: bool = False,
    mode: int | None = None,
) -> CopyPlan:
    return CopyPlan.for_copy(
        base,
        origin,
        sources,
        destination,
        owner=owner,
        keeps_owner=keeps_owner,
        mode=mode,
        new_directory_mtime=MTIME,
    )


def members(layers: Layers, diff_id: str) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(tar_of(layers, diff_id))) as tar:
        return {entry.name: entry for entry in tar}


def tar_of(layers: Layers, diff_id: str) -> bytes:
    reading, writing = os.pipe()
    chunks: list[bytes] = []

    def drain() -> None:
        with os.fdopen(reading, "rb") as pipe:
            chunks.append(pipe.read())

    thread = threading.Thread(target=drain)
    thread.start()
    try:
        layers.cat(diff_id, writing)
    finally:
        os.close(writing)
        thread.join()
    return chunks[0]


def test_the_layer_is_a_tar_that_others_read(layers: Layers, base: View, context: Path) -> None:
    os.utime(context / "src" / "server.js", ns=(MTIME, MTIME + 500_000_000))
    copy = plan(base, Tree.scan(context), ["."], "/home/node/app", owner=(1000, 1000), mode=0o750)
    info = copy.write(layers)
    assert copy.entry_count == info.entry_count == 6
    assert copy.total_bytes == info.content_bytes == 10
    found = {
        name: (oct(entry.mode), entry.uid, entry.type)
        for name, entry in members(layers, info.diff_id).items()
    }
    assert found == {
        "home": ("0o711", 0, tarfile.DIRTYPE),
        "home/node": ("0o700", 1000, tarfile.DIRTYPE),
        "home/node/app": ("0o750", 1000, tarfile.DIRTYPE),
        "home/node/app/package.json": ("0o750", 1000, tarfile.REGTYPE),
        "home/node/app/src": ("0o750", 1000, tarfile.DIRTYPE),
        "home/node/app/src/server.js": ("0o750", 1000, tarfile.REGTYPE),
    }
    view = layers.view([info.diff_id])
    assert view.read("/home/node/app/src/server.js", limit=100) == b"listen()"
    entry = view.stat("/home/node/app/src/server.js")
    assert entry is not None
    assert entry.mtime_ns == MTIME + 500_000_000
    made = view.stat("/home/node/app")
    assert made is not None
    assert made.mtime_ns == MTIME


def test_links_of_the_base_decide_where_a_copy_goes(base: View, context: Path) -> None:
    copy = plan(base, Tree.scan(context), ["package.json"], "/data/")
    names = [name for name, _ in copy.inputs()]
    assert names == [
        "destination",
        "directory/home",
        "directory/home/node",
        "directory/home/node/data",
        "context/package.json",
    ]
    assert copy.inputs()[0] == ("destination", "/home/node/data")


@pytest.mark.parametrize(
    ("sources", "destination", "kind", "path", "hint"),
    [
        (["pakage.json"], "/x", "not-found", b"pakage.json", "did you mean `package.json`?"),
        (["src/[a"], "/x", "bad-pattern", None, None),
        (["package.json"], "/etc/passwd/", "not-a-directory", b"/etc/passwd", None),
        (["src"], "/etc/passwd", "not-a-directory", b"/etc/passwd", None),
        (
            ["package.json", "src/server.js"],
            "/x",
            "not-a-directory",
            b"/x",
            "end the destination with a slash to copy into a directory: `/x/`",
        ),
    ],
)
def test_what_does_not_fit_is_explained(
    base: View,
    context: Path,
    sources: list[str],
    destination: str,
    kind: str,
    path: bytes | None,
    hint: str | None,
) -> None:
    tree = Tree.scan(context)
    with pytest.raises(CoreError) as caught:
        plan(base, tree, sources, destination)
    assert (caught.value.kind, caught.value.path, caught.value.hint) == (kind, path, hint)


def change_nothing(context: Path) -> None:
    del context


def touch(context: Path) -> None:
    (context / "src" / "server.js").touch()


def rewrite(context: Path) -> None:
    (context / "src" / "server.js").write_text("LISTEN()")


def change_mode(context: Path) -> None:
    (context / "src" / "server.js").chmod(0o600)


def rename(context: Path) -> None:
    (context / "src" / "server.js").rename(context / "src" / "index.js")


def add_empty_directory(context: Path) -> None:
    (context / "src" / "empty").mkdir()


def add_ignored(context: Path) -> None:
    (context / "debug.log").write_text("x")


@pytest.mark.parametrize(
    ("change", "is_same"),
    [
        (change_nothing, True),
        (touch, True),
        (add_ignored, True),
        (rewrite, False),
        (change_mode, False),
        (rename, False),
        (add_empty_directory, False),
    ],
)
def test_the_digest_follows_content_and_never_time(
    base: View, context: Path, change: Callable[[Path], None], is_same: bool
) -> None:
    def digest() -> str:
        tree = Tree.scan(context, ignore=IgnoreRules(["*.log"]))
        return plan(base, tree, ["."], "/app").digest()

    before = digest()
    assert before.startswith("blake3:")
    assert len(before) == len("blake3:") + 64
    change(context)
    assert (digest() == before) is is_same


def test_a_warm_stat_cache_reads_nothing(base: View, context: Path, tmp_path: Path) -> None:
    cache = tmp_path / "stat"
    time.sleep(0.2)  # Younger files may still change within one tick of the clock.

    def hashed() -> int:
        copy = plan(base, Tree.scan(context, stat_cache=cache), ["."], "/app")
        assert copy.bytes_hashed == 0
        copy.digest()
        return copy.bytes_hashed

    assert [hashed(), hashed()] == [10, 0]
    cache.write_bytes(b"DSLVSTAT of something else")
    assert [hashed(), hashed()] == [10, 0]
    (context / "package.json").write_text("{ }")
    assert hashed() == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "base.tar",
        "context",
        "stat",
        "store",
    ]


def test_a_file_that_changes_between_digest_and_write_is_named(
    layers: Layers, base: View, context: Path
) -> None:
    copy = plan(base, Tree.scan(context), ["."], "/app")
    copy.digest()
    (context / "src" / "server.js").write_text("longer than it was")
    before = layers.list()
    with pytest.raises(CoreError) as caught:
        copy.write(layers)
    assert (caught.value.kind, caught.value.path) == ("changed-while-read", b"src/server.js")
    assert caught.value.hint == "build again when nothing writes to the file"
    assert layers.list() == before


def test_a_stage_is_copied_with_its_owners(layers: Layers, base: View, context: Path) -> None:
    stage = plan(base, Tree.scan(context), ["src"], "/out", owner=(7, 8)).write(layers)
    origin = layers.view([stage.diff_id])
    for keeps_owner, owner, expected in (
        (True, None, (7, 8)),
        (False, None, (0, 0)),
        (True, (1, 2), (1, 2)),
    ):
        copy = plan(base, origin, ["/out"], "/app", owner=owner, keeps_owner=keeps_owner)
        entry = layers.view([copy.write(layers).diff_id]).stat("/app/server.js")
        assert entry is not None
        assert (entry.uid, entry.gid) == expected
        assert "from/out/server.js" in dict(copy.inputs())


def test_a_work_directory_is_made_once(layers: Layers, base: View) -> None:
    def work(path: str) -> CopyPlan:
        return CopyPlan.for_directory(base, path, uid=5, gid=6, new_directory_mtime=MTIME)

    assert work("/home/node").entry_count == 0
    assert work("/home/node").write(layers).entry_count == 0
    info = work("/srv/app").write(layers)
    view = layers.view([info.diff_id])
    for path in ("/srv", "/srv/app"):
        entry = view.stat(path)
        assert entry is not None
        assert (entry.kind, entry.mode, entry.uid, entry.gid) == ("directory", 0o755, 5, 6)
    assert work("/srv/app").digest() != work("/srv/other").digest()
    with pytest.raises(CoreError) as caught:
        work("/etc/passwd")
    assert (caught.value.kind, caught.value.path) == ("not-a-directory", b"/etc/passwd")


class Rang(Exception):
    """What the signal handler of a test raises."""


@contextmanager
def ringing_after(seconds: float) -> Iterator[None]:
    def ring(number: int, frame: object) -> None:
        raise Rang

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_a_signal_ends_long_work_and_leaves_nothing(
    layers: Layers, base: View, tmp_path: Path
) -> None:
    big = tmp_path / "big"
    big.mkdir()
    with (big / "hole").open("wb") as file:
        file.truncate(1 << 42)  # Four terabytes of nothing: it cannot end by itself.
    copy = plan(base, Tree.scan(big), ["."], "/big")
    before = layers.list()
    started = time.monotonic()
    with ringing_after(0.3), pytest.raises(Rang):
        copy.digest()
    assert time.monotonic() - started < 5
    assert layers.list() == before
    assert list((tmp_path / "store" / "tmp").iterdir()) == []


def test_other_threads_run_while_a_copy_is_written(
    layers: Layers, base: View, context: Path
) -> None:
    (context / "large").write_bytes(bytes(50_000_000))
    ticks = 0
    is_done = threading.Event()

    def tick() -> None:
        nonlocal ticks
        while not is_done.is_set():
            ticks += 1
            time.sleep(0.001)

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        plan(base, Tree.scan(context), ["."], "/app").write(layers)
    finally:
        is_done.set()
        thread.join()
    assert ticks > 5
