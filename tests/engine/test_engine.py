"""What the engine adds to its parts: runs that are captured, histories, tidying up."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dissolver import Engine, RunOptions
from dissolver.config import Settings
from dissolver.engine.capture import Capture, feed
from dissolver.errors import (
    AmbiguousIdentifier,
    BadOption,
    Cancelled,
    ContainerNotFound,
    ContainerNotRunning,
    ImageNotFound,
    InUse,
    NameInUse,
    ProgramNotFound,
    StoreError,
)
from dissolver.store.usage import Usage
from forms import FORM

ONCE = RunOptions(remove=True, network="none")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory, busybox_tar: Path) -> Iterator[Engine]:
    if os.geteuid() != 0:
        pytest.skip("as an ordinary user the engine is another process; see test_ordinary_user")
    base = tmp_path_factory.mktemp("engine")
    with Engine(settings=Settings(base / "store", base / "run", layers=FORM)) as made:
        made.import_image(busybox_tar, tags=["box"], changes=['CMD ["sh"]', "ENV a=b"])
        yield made


# Capturing ------------------------------------------------------------------------


def test_what_is_written_is_collected_by_stream_and_told_as_it_comes() -> None:
    told: list[tuple[int, bytes]] = []
    with Capture(lambda stream, data: told.append((stream, data))) as output:
        os.write(output.stdout, b"out")
        os.write(output.stderr, b"err")
    assert (output.collected(1), output.collected(2)) == (b"out", b"err")
    assert sorted(told) == [(1, b"out"), (2, b"err")]


def test_more_than_a_pipe_holds_is_collected() -> None:
    with Capture(None) as output:
        for _ in range(64):
            os.write(output.stdout, b"x" * 65536)
    assert len(output.collected(1)) == 64 * 65536


def test_output_that_somebody_keeps_open_does_not_hold_up_the_end() -> None:
    began = time.monotonic()
    with Capture(None) as output:
        kept = os.dup(output.stdout)
        os.write(kept, b"said")
    os.close(kept)
    assert output.collected(1) == b"said"
    assert time.monotonic() - began < 5


def test_a_failing_listener_is_told_at_the_end() -> None:
    def fails(_stream: int, _data: bytes) -> None:
        raise ValueError("not today")

    output = Capture(fails)

    def write() -> None:
        with output:
            os.write(output.stdout, b"a")
            os.write(output.stdout, b"b")

    with pytest.raises(ValueError, match="not today"):
        write()
    assert output.collected(1) == b"ab"


def test_input_ends_and_may_be_left_unread() -> None:
    with feed(b"abc") as reading:
        assert reading is not None
        assert os.read(reading, 10) == b"abc"
        assert os.read(reading, 10) == b""
    with feed(b"x" * 1_000_000):
        pass
    with feed(None) as reading:
        assert reading is None


# Running --------------------------------------------------------------------------


def test_streams_and_exit_codes_are_kept_apart(engine: Engine) -> None:
    done = engine.run("box", ["sh", "-c", "echo out; echo err >&2; exit 5"], ONCE)
    assert (done.exit_code, done.stdout, done.stderr) == (5, b"out\n", b"err\n")
    with pytest.raises(ContainerNotFound):
        engine.container(done.container)


def test_input_is_read_only_where_it_was_asked_for(engine: Engine) -> None:
    options = RunOptions(remove=True, network="none", interactive=True)
    assert engine.run("box", ["wc", "-c"], options, stdin=b"x" * 300_000).stdout == b"300000\n"
    assert engine.run("box", ["wc", "-c"], ONCE, stdin=b"x").stdout == b"0\n"


def test_a_program_that_is_not_there_leaves_nothing_behind(engine: Engine) -> None:
    before = engine.containers(all_=True)
    with pytest.raises(ProgramNotFound) as caught:
        engine.run("box", ["no-such-program"], ONCE)
    assert caught.value.exit_code == 127
    assert engine.containers(all_=True) == before


def test_a_cancelled_run_is_killed_and_removed(engine: Engine) -> None:
    cancel = threading.Event()
    threading.Timer(0.3, cancel.set).start()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        engine.run("box", ["sleep", "60"], ONCE, cancel=cancel)
    assert time.monotonic() - began < 10
    assert engine.containers(all_=True) == []


MISTAKEN: list[tuple[Callable[[Engine], object], str]] = [
    (lambda engine: engine.run("box", "ls"), "`command` is a list of texts, and not a text"),
    (lambda engine: engine.create("box", "ls"), "`command` is a list of texts, and not a text"),
    (lambda engine: engine.exec("web", "ls"), "`command` is a list of texts, and not a text"),
    (lambda engine: engine.build(".", tags="app"), "`tags` is a list of texts, and not a text"),
    (
        lambda engine: engine.import_image("x.tar", tags="app"),
        "`tags` is a list of texts, and not a text",
    ),
    (
        lambda engine: engine.build(".", secrets={"a": "text"}),  # type: ignore[dict-item]
        "a secret's content has to be bytes",
    ),
]


@pytest.mark.parametrize(("call", "message"), MISTAKEN)
def test_a_text_is_no_list_of_its_letters(
    engine: Engine, call: Callable[[Engine], object], message: str
) -> None:
    with pytest.raises(BadOption) as caught:
        call(engine)
    assert caught.value.message == message


def test_many_threads_run_containers_at_once(engine: Engine) -> None:
    seen: list[bytes] = []

    def run(number: int) -> None:
        seen.append(engine.run("box", ["echo", str(number)], ONCE).stdout)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == [b"%d\n" % number for number in range(8)]


def test_a_detached_container_is_followed_stopped_and_removed(engine: Engine) -> None:
    script = "trap 'echo bye; exit 0' TERM; echo hello; while :; do sleep 0.05; done"
    options = RunOptions(detach=True, name="lasting", network="none")
    identity = engine.run("box", ["sh", "-c", script], options).container
    with pytest.raises(NameInUse):
        engine.create("box", ["true"], RunOptions(name="lasting"))
    with pytest.raises(InUse):
        engine.remove_container("lasting")
    with pytest.raises(InUse):
        engine.remove_image("box")
    assert engine.exec("lasting", ["echo", "inside"]).stdout == b"inside\n"
    assert engine.exec("lasting", ["sh", "-c", "echo e >&2; exit 4"]).exit_code == 4
    assert [row.id for row in engine.containers()] == [identity]
    lines: list[bytes] = []
    follower = threading.Thread(
        target=lambda: lines.extend(line.data for line in engine.logs("lasting", follow=True))
    )
    follower.start()
    engine.stop("lasting")
    follower.join(10)
    assert lines == [b"hello\n", b"bye\n"]
    assert engine.wait("lasting") == 0
    with pytest.raises(ContainerNotRunning):
        engine.kill("lasting")
    with pytest.raises(ContainerNotRunning):
        engine.exec("lasting", ["true"])
    engine.remove_container(identity[:12])


def test_relative_volumes_begin_at_the_callers_directory(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "f").write_text("mine")
    monkeypatch.chdir(tmp_path)
    options = RunOptions(remove=True, network="none", volumes=("./data:/data:ro",))
    assert engine.run("box", ["cat", "/data/f"], options).stdout == b"mine"


# Looking --------------------------------------------------------------------------


def test_containers_are_told_in_the_shape_people_know(engine: Engine) -> None:
    options = RunOptions(detach=True, name="seen", network="none", env=("x=y",))
    engine.run("box", ["sleep", "60"], options)
    told = engine.inspect_container("seen")
    assert told["Name"] == "/seen"
    assert told["State"]["Running"] is True
    assert told["State"]["Pid"] > 0
    assert told["Config"]["Image"] == "box"
    assert "x=y" in told["Config"]["Env"]
    assert (told["Path"], told["Args"]) == ("sleep", ["60"])
    assert told["Image"] == engine.image("box").id
    engine.remove_container("seen", force=True)


def test_images_are_told_in_the_shape_people_know(engine: Engine) -> None:
    told = engine.inspect_image("box")
    assert told["RepoTags"] == ["box:latest"]
    assert told["Config"]["Cmd"] == ["sh"]
    assert told["Config"]["Env"][-1] == "a=b"
    assert told["Config"]["Entrypoint"] is None
    assert told["RootFS"]["Layers"] == list(engine.image("box").config.diff_ids)
    assert told["Size"] == engine.image("box").size > 1_000_000


def test_a_history_tells_the_newest_first_with_sizes(engine: Engine) -> None:
    text = "FROM box\nRUN head -c 5000 /dev/zero > /zeros\nENV c=d\n"
    built = engine.build(".", dockerfile_text=text, network="none")
    rows = engine.history(built.image.id)
    assert [row.created_by for row in rows[:2]] == [
        "ENV c=d",
        "RUN /bin/sh -c head -c 5000 /dev/zero > /zeros # buildkit",
    ]
    assert [row.size for row in rows[:2]] == [0, 5000]
    assert [row.image for row in rows] == [built.image.id] + [None] * (len(rows) - 1)
    assert rows[0].comment == "buildkit.dockerfile.v0"
    assert rows[0].created_ns == rows[1].created_ns


def test_a_layer_is_written_as_it_was_hashed(engine: Engine, tmp_path: Path) -> None:
    import hashlib

    diff_id = engine.image("box").config.diff_ids[0]
    with (tmp_path / "layer.tar").open("wb") as file:
        size = engine.layer_cat(diff_id[7:19], file.fileno())
    data = (tmp_path / "layer.tar").read_bytes()
    assert len(data) == size
    assert "sha256:" + hashlib.sha256(data).hexdigest() == diff_id
    with pytest.raises(StoreError, match="there is no layer"):
        engine.layer_cat("feedfacefeedface", 1)


def test_an_image_goes_with_its_last_name(engine: Engine) -> None:
    built = engine.build(
        ".", dockerfile_text="FROM box\nLABEL going=away\n", tags=["gone:1", "gone:2"]
    )
    assert engine.remove_image("gone:1").deleted == ()
    assert engine.remove_image("gone:2").deleted == (built.image.id,)
    with pytest.raises(ImageNotFound):
        engine.image(built.image.id)


def test_a_prefix_of_two_ids_is_refused(engine: Engine) -> None:
    for number in range(20):
        engine.build(".", dockerfile_text=f"FROM box\nLABEL n={number}\n")
    firsts = [listed.image.id[7] for listed in engine.images()]
    twice = next(first for first in firsts if firsts.count(first) > 1)
    with pytest.raises(AmbiguousIdentifier):
        engine.image(twice)


def test_pruning_containers_leaves_those_that_run(engine: Engine) -> None:
    running = engine.run("box", ["sleep", "60"], RunOptions(detach=True, network="none")).container
    ended = engine.run("box", ["true"], RunOptions(network="none")).container
    pruned = engine.prune_containers()
    assert pruned.containers == (ended,)
    assert [row.id for row in engine.containers(all_=True)] == [running]
    usage = {row.kind: row for row in engine.disk_usage()}
    assert (usage["Containers"].total, usage["Containers"].active) == (1, 1)
    assert engine.info().containers_running == 1
    engine.remove_container(running, force=True)


def test_volumes_that_no_container_mounts_can_be_reclaimed(engine: Engine) -> None:
    def volumes() -> Usage:
        return next(row for row in engine.disk_usage() if row.kind == "Local Volumes")

    options = RunOptions(volumes=("one:/one", "two:/two"), network="none")
    container = engine.run("box", ["true"], options).container
    assert (volumes().total, volumes().active, volumes().reclaimable_bytes) == (2, 2, 0)
    engine.remove_container(container)
    left = volumes()
    assert (left.total, left.active, left.reclaimable_bytes) == (2, 0, left.size_bytes)
    assert engine.prune_volumes(all_=True).reclaimed_bytes == left.size_bytes


def test_two_engines_share_a_store(engine: Engine) -> None:
    with Engine(settings=engine.settings) as other:
        assert other.image("box").id == engine.image("box").id


def test_a_closed_engine_opens_again_when_it_is_used(engine: Engine) -> None:
    engine.close()
    assert engine.image("box").id


def test_importing_the_package_loads_nothing_of_it() -> None:
    import subprocess
    import sys

    program = "import sys, dissolver; print([m for m in sys.modules if m[:10] == 'dissolver.'])"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert found.stdout == "[]\n"


def test_every_exported_name_can_be_had() -> None:
    import dissolver

    for name in dissolver.__all__:
        assert getattr(dissolver, name) is not None, name
    with pytest.raises(AttributeError):
        dissolver.nothing  # noqa: B018
