"""One more process in a sandbox that is running."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import boxes
from dissolver._core import CoreError, sandbox

if TYPE_CHECKING:
    from boxes import Box
    from conftest import Place

NODE = {"uid": 1000, "gid": 1001, "groups": [29, 1001]}


def test_it_sees_what_the_first_process_sees(place: Place) -> None:
    links = " ".join(
        f"/proc/{who}/ns/{name}"
        for name in ("cgroup", "ipc", "mnt", "net", "pid", "uts")
        for who in ("self", "1")
    )
    outcome = place.entered(["sh", "-c", f"for link in {links}; do readlink $link; done"])[0]
    assert outcome.status == 0
    assert outcome.lines[::2] == outcome.lines[1::2]


def test_it_has_its_own_user_rights_directory_and_status(place: Place) -> None:
    script = "id; pwd; umask; grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/self/status; exit 9"
    outcome = place.entered(
        ["sh", "-c", script], user=NODE, cwd="/tmp", umask=0o077, no_new_privileges=True
    )[0]
    assert outcome.lines == [
        "uid=1000 gid=1001 groups=29,1001",
        "/tmp",
        "0077",
        "CapEff:\t0000000000000000",
        "CapBnd:\t00000000000000eb",
        "NoNewPrivs:\t1",
    ]
    assert outcome.status == 9


def test_it_shares_the_file_system(place: Place) -> None:
    written, read = place.entered(["sh", "-c", "echo here >/tmp/x"], ["cat", "/tmp/x"])
    assert written.status == 0
    assert read.text() == "here"


def test_it_inherits_no_files(place: Place) -> None:
    assert place.entered(["ls", "/proc/self/fd"])[0].text().split() == ["0", "1", "2", "3"]


def test_its_terminal_is_one_of_the_sandbox(place: Place) -> None:
    outcome = place.entered(
        ["sh", "-c", "tty; stty size; echo x >/dev/tty"], terminal=True, window=[5, 6]
    )[0]
    assert outcome.output.split("\r\n") == ["/dev/pts/0", "5 6", "x", ""]


@pytest.mark.parametrize(("program", "kind"), [("nope", "not-found"), ("/etc", "not-executable")])
def test_what_cannot_be_executed_is_explained(place: Place, program: str, kind: str) -> None:
    failure = place.entered([program])[0].failure
    assert failure is not None
    assert failure["kind"] == kind


def test_a_process_of_the_host_is_no_sandbox(root_box: Box) -> None:
    """What a number means changes when a container ends: it may be a process of ours by now."""
    for pid in (os.getpid(), os.getppid()):
        with pytest.raises(CoreError) as caught:
            sandbox.enter(pid, root_box.spec(["true"]), stdin=None, stdout=None, stderr=None)
        assert caught.value.kind == "not-running"


def test_a_sandbox_that_is_gone_cannot_be_entered(root_box: Box) -> None:
    with sandbox.start(root_box.spec(["true"]), stdin=None, stdout=None, stderr=None) as process:
        process.release()
        process.wait()
    for pid in (process.pid, 0, -1, 2**22):
        with pytest.raises(CoreError) as caught:
            sandbox.enter(pid, root_box.spec(["true"]), stdin=None, stdout=None, stderr=None)
        assert caught.value.kind == "not-running"


def test_it_ends_with_the_sandbox(root_box: Box) -> None:
    sleeper = root_box.spec(["sleep", "1000"])
    with sandbox.start(sleeper, stdin=None, stdout=None, stderr=None) as first:
        first.release()
        with sandbox.enter(first.pid, sleeper, stdin=None, stdout=None, stderr=None) as second:
            second.release()
            first.kill(9)
            assert (first.wait(), second.wait()) == (137, 137)


def test_children_of_this_process_stay_in_its_own_namespace(root_box: Box) -> None:
    sleeper = root_box.spec(["sleep", "1000"])
    with sandbox.start(sleeper, stdin=None, stdout=None, stderr=None) as first:
        first.release()
        assert boxes.enter(first.pid, root_box.spec(["true"])).status == 0
        links = [Path(f"/proc/self/ns/{name}").readlink() for name in ("pid", "pid_for_children")]
        assert links[0] == links[1]
