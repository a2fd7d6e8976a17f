"""How sandboxed processes begin and end, and what is left of them."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import boxes
from dissolver._core import CoreError, sandbox

if TYPE_CHECKING:
    from boxes import Box
    from dissolver._core.sandbox import Process

PATIENCE_SECONDS = 5.0


def started(box: Box, *argv: str) -> Process:
    return sandbox.start(box.spec(list(argv)), stdin=None, stdout=None, stderr=None)


def running(box: Box, *argv: str) -> Process:
    process = started(box, *argv)
    process.release()
    return process


def is_gone(pid: int) -> bool:
    return sandbox.start_time(pid) is None


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_gone(pid):
        assert time.monotonic() < deadline, f"process {pid} is still there"
        time.sleep(0.01)


def open_descriptors() -> set[str]:
    found = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        # The listing itself has one that is gone by now.
        with contextlib.suppress(FileNotFoundError):
            found.add(str(descriptor.readlink()))
    return found


def test_nothing_runs_before_the_gate_opens(root_box: Box) -> None:
    with started(root_box, "touch", "/ran") as process:
        assert process.wait(0.2) is None
        assert not (root_box.upper / "ran").exists()
        process.release()
        assert process.wait() == 0
        assert (root_box.upper / "ran").exists()


def test_the_network_namespace_can_be_used_before_the_start(root_box: Box) -> None:
    reading, writing = os.pipe()
    spec = root_box.spec(["ip", "-o", "link"])
    with sandbox.start(spec, stdin=None, stdout=writing, stderr=None) as process:
        os.close(writing)
        path = process.network_namespace
        assert path.startswith(f"/proc/{os.getpid()}/fd/")
        change = ["nsenter", f"--net={path}", "ip", "link", "set", "lo", "mtu", "1234"]
        subprocess.run(change, check=True)
        process.release()
        assert b" mtu 1234 " in boxes.read_all(reading)
    os.close(reading)


def test_a_killed_process_has_128_and_the_signals_number(root_box: Box) -> None:
    with running(root_box, "sleep", "1000") as process:
        process.kill(signal.SIGKILL)
        assert process.wait() == 137
        assert process.wait() == 137
        with pytest.raises(CoreError) as caught:
            process.kill(signal.SIGKILL)
        assert caught.value.kind == "not-running"


def test_closing_kills_and_leaves_nothing(root_box: Box) -> None:
    before = open_descriptors()
    for process in (running(root_box, "sleep", "1000"), started(root_box, "sleep", "1000")):
        pid = process.pid
        process.close()
        process.close()
        assert is_gone(pid)
        with pytest.raises(CoreError):
            process.wait()
    assert open_descriptors() == before


def own_children() -> set[str]:
    """List the children of every thread of this process, those that ended included."""
    tasks = Path("/proc/self/task").glob("*/children")
    return {pid for task in tasks for pid in task.read_text(encoding="ascii").split()}


def test_failed_starts_leave_nothing(root_box: Box) -> None:
    before, children = open_descriptors(), own_children()
    for changes in ({"cwd": "/no/such"}, {"rootfs": {"lowers": ["/no/such", "/x"]}}):
        assert boxes.run(root_box, ["true"], changes).failure is not None
    assert boxes.run(root_box, ["nope"]).failure is not None
    assert open_descriptors() == before
    # Other tests of this run may have left children of their own.
    assert own_children() <= children


def test_no_mount_shows_up_on_the_host(root_box: Box) -> None:
    with running(root_box, "sleep", "1000"):
        mounts = Path("/proc/self/mountinfo").read_text()
        assert str(root_box.directory) not in mounts
        assert list((root_box.directory / "mountpoint").iterdir()) == []


def test_processes_left_behind_end_with_the_first_one(root_box: Box) -> None:
    reading, writing = os.pipe()
    spec = root_box.spec(["sh", "-c", "sleep 1000 & echo started"])
    with sandbox.start(spec, stdin=None, stdout=writing, stderr=None) as process:
        os.close(writing)
        process.release()
        assert boxes.read_all(reading) == b"started\n"
        assert process.wait() == 0
    os.close(reading)


def test_the_end_of_a_thread_is_not_the_end_of_its_sandboxes(root_box: Box) -> None:
    made: list[Process] = []
    thread = threading.Thread(target=lambda: made.append(running(root_box, "sleep", "1000")))
    thread.start()
    thread.join()
    with made[0] as process:
        assert process.wait(0.3) is None


PARENT = """
import json, os, sys, time
from dissolver._core import sandbox
spec = sys.stdin.buffer.read()
process = sandbox.start(spec, stdin=None, stdout=None, stderr=None)
if "release" in sys.argv:
    process.release()
print(process.pid, flush=True)
time.sleep(1000)
"""


@pytest.mark.parametrize("stage", ["at the gate", "release"])
@pytest.mark.parametrize("uid", [0, 1000])
def test_a_killed_parent_takes_its_sandbox_along(root_box: Box, stage: str, uid: int) -> None:
    spec = root_box.spec(["sleep", "1000"], {"user": {"uid": uid, "gid": uid, "groups": []}})
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, stage], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert parent.stdin is not None
    assert parent.stdout is not None
    with parent:
        parent.stdin.write(spec)
        parent.stdin.close()
        pid = int(parent.stdout.readline())
        assert not is_gone(pid)
        parent.kill()
    wait_until_gone(pid)


def test_many_threads_start_at_once(root_box: Box, tmp_path: Path) -> None:
    others = [boxes.Box(tmp_path / f"box-{number}") for number in range(4)]
    statuses: list[int | None] = []

    def work(box: Box) -> None:
        statuses.extend(boxes.run(box, ["sh", "-c", "echo x; exit 3"]).status for _ in range(5))

    threads = [threading.Thread(target=work, args=(box,)) for box in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [3] * 20


def test_waiting_is_interrupted_by_signals(root_box: Box) -> None:
    class Interrupted(Exception):
        pass

    def interrupt(*_: object) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with running(root_box, "sleep", "1000") as process:
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with pytest.raises(Interrupted):
                process.wait()
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_closed_descriptor_is_refused(root_box: Box) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    os.close(writing)
    with pytest.raises(CoreError) as caught:
        sandbox.start(root_box.spec(["true"]), stdin=None, stdout=writing, stderr=None)
    assert caught.value.errno == errno.EBADF


def test_the_window_of_a_terminal_can_change(root_box: Box) -> None:
    script = "trap 'stty size; exit' WINCH; stty size; while :; do sleep 0.01; done"
    spec = root_box.spec(["sh", "-c", script], {"terminal": True, "window": [10, 20]})
    with sandbox.start(spec, stdin=None, stdout=None, stderr=None) as process:
        process.release()
        terminal = process.terminal
        assert terminal is not None
        assert os.read(terminal, 100) == b"10 20\r\n"
        sandbox.set_window(terminal, 30, 40)
        assert boxes.read_all(terminal) == b"30 40\r\n"


def test_a_process_is_told_from_its_successor_by_its_start(root_box: Box) -> None:
    with running(root_box, "sleep", "1000") as process:
        start = sandbox.start_time(process.pid)
        assert start is not None
        assert sandbox.start_time(process.pid) == start
        own = sandbox.start_time(os.getpid())
        assert own is not None
        assert own <= start
    assert sandbox.start_time(process.pid) is None


def test_a_plan_is_described_without_doing_anything(root_box: Box) -> None:
    plan = sandbox.describe(root_box.spec(["nope"]))
    assert plan[-1] == "execute `/bin/nope`"
    assert any(line.startswith("mount overlay of 1 layers on ") for line in plan)


def test_probing_says_why_not(root_box: Box) -> None:
    features = sandbox.probe(root_box.directory)
    assert features["overlay"] == features["namespaces"] == features["mount-api"] == ""
    refused = sandbox.probe("/no/such/directory")
    assert refused["overlay"] == "`/no/such/directory` cannot be written to: entity not found"
    assert sorted(path.name for path in root_box.directory.iterdir()) == [
        "mountpoint",
        "root",
        "upper",
        "work",
    ]
