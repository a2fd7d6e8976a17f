"""Containers from creation to removal."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from basis import Box, drive, eventually, needs_root
from dissolver.containers import life as containers
from dissolver.containers import start
from dissolver.errors import (
    ContainerNotFound,
    ContainerNotRunning,
    InUse,
    NameInUse,
    NotExecutable,
    ProgramNotFound,
    RunError,
)

pytestmark = needs_root


# Running -------------------------------------------------------------------------------


def test_a_container_runs_to_its_end(box: Box) -> None:
    assert box.run("sh", "-c", "echo hi; echo err >&2; exit 3") == (3, "hi\nerr\n")


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("hostname", r"[0-9a-f]{12}"),
        ("echo $HOSTNAME", r"[0-9a-f]{12}"),
        ("echo $HOME $TERM", "/root"),
        ("id -u", "0"),
        ("pwd", "/"),
        ("cat", ""),
        ("readlink /proc/self/fd/0", "/dev/null"),
        ("grep CapBnd /proc/self/status", "CapBnd:\t00000000a80425fb"),
        ("cat /proc/sys/net/ipv4/ip_unprivileged_port_start", "0"),
        ("ps | wc -l", "4"),
    ],
)
def test_a_container_sees_what_docker_gives_it(box: Box, command: str, expected: str) -> None:
    code, text = box.run("sh", "-c", command)
    assert re.fullmatch(expected, text.rstrip("\n"))
    assert code == 0


@pytest.mark.parametrize(
    ("options", "command", "expected"),
    [
        ({"env": ("A=1", "PATH=/bin")}, "echo $A $PATH", "1 /bin"),
        ({"workdir": "/srv/new"}, "pwd", "/srv/new"),
        ({"user": "node"}, "id -un; echo $HOME", "node\n/home/node"),
        ({"hostname": "web"}, "hostname; cat /etc/hostname", "web\nweb"),
        ({"read_only": True}, "touch /x 2>&1; touch /dev/shm/x && echo ok",
         "touch: /x: Read-only file system\nok"),
        ({"security": ("no-new-privileges",)}, "grep NoNew /proc/self/status", "NoNewPrivs:\t1"),
        ({"security": ("seccomp=unconfined",)}, "grep ^Seccomp: /proc/self/status", "Seccomp:\t0"),
        ({"network": "host", "hostname": "h"}, "ls /sys/class/net | grep -c '^lo$'", "1"),
        ({"entrypoint": "echo"}, "x", "-c x"),
    ],
)  # fmt: skip
def test_options_change_it(
    box: Box, options: dict[str, object], command: str, expected: str
) -> None:
    words = ("-c", command) if "entrypoint" in options else ("sh", "-c", command)
    assert box.run(*words, **options) == (0, expected + "\n")


def test_standard_input_is_passed_on(box: Box) -> None:
    assert box.run("sh", "-c", "cat; echo end", stdin=b"one\ntwo\n") == (0, "one\ntwo\nend\n")


def test_megabytes_pass_in_both_directions(box: Box) -> None:
    data = bytes(range(256)) * 8192
    identity = box.create("cat", interactive=True)
    containers.start(box.store, identity, waits_for_attach=True)
    source = os.memfd_create("input")
    target = os.memfd_create("output")
    os.write(source, data)
    os.lseek(source, 0, os.SEEK_SET)
    containers.attach(box.store, identity, stdin=source, stdout=target)
    assert os.pread(target, len(data) + 1, 0) == data
    os.close(source)
    os.close(target)


@pytest.mark.parametrize(
    ("command", "error", "code", "message"),
    [
        ("nosuch", ProgramNotFound, 127, "the program `nosuch` was not found in PATH"),
        ("/no/such", ProgramNotFound, 127, "the program `/no/such` was not found"),
        ("/etc/passwd", NotExecutable, 126, "the program `/etc/passwd` cannot be executed: denied"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("waits", [True, False])
def test_a_program_that_cannot_run_is_an_error(
    box: Box, command: str, error: type[RunError], code: int, message: str, waits: bool
) -> None:
    identity = box.create(command)

    def start_and_attach() -> None:
        containers.start(box.store, identity, waits_for_attach=waits)
        containers.attach(box.store, identity)

    with pytest.raises(error) as raised:
        start_and_attach()
    assert raised.value.message.replace("permission denied", "denied") == message
    assert raised.value.exit_code == code
    assert box.state(identity).exit_code == code
    containers.remove(box.store, identity)


def test_an_unknown_user_is_an_error_before_anything_starts(box: Box) -> None:
    with pytest.raises(RunError, match="unable to find user `nobody`"):
        box.start("true", user="nobody")


# The writable layer --------------------------------------------------------------------


def test_two_containers_do_not_see_each_others_files(box: Box) -> None:
    first = box.start("sh", "-c", "echo mine > /file; sleep 60")
    eventually(lambda: (box.directory(first) / "upper" / "file").exists())
    assert box.run("sh", "-c", "ls /file 2>&1") == (1, "ls: /file: No such file or directory\n")


def test_a_container_keeps_its_files_when_it_starts_again(box: Box) -> None:
    identity = box.start("sh", "-c", "echo line >> /file; cat /file; [ $(wc -l < /file) -ge 2 ]")
    assert containers.wait(box.store, identity) == 1
    containers.start(box.store, identity)
    assert containers.wait(box.store, identity) == 0


def test_starting_makes_nothing_in_the_writable_layer(box: Box) -> None:
    identity = box.start("true")
    containers.wait(box.store, identity)
    assert list((box.directory(identity) / "upper").rglob("*")) == []


# States and lists ----------------------------------------------------------------------


def test_a_container_goes_through_its_states(box: Box) -> None:
    identity = box.create("sleep", "60", name="web")
    assert box.summary(identity).status == "Created"
    assert containers.list_containers(box.store) == []
    containers.start(box.store, identity)
    assert box.summary(identity).status.startswith("Up ")
    assert [found.name for found in containers.list_containers(box.store)] == ["web"]
    containers.kill(box.store, "web")
    assert re.fullmatch(r"Exited \(137\) .* ago", box.summary(identity).status)
    assert [found.id for found in containers.list_containers(box.store, all_=True)] == [identity]


def test_a_summary_tells_what_people_look_for(box: Box) -> None:
    identity = box.start("sleep", "60")
    found = box.summary(identity)
    assert (found.image, found.command, found.ports) == ("box", "sleep 60", "")
    assert re.fullmatch(r"[a-z]+_[a-z]+", found.name)
    assert found.started_ns is not None
    assert 0 <= found.started_ns - found.created_ns < 5_000_000_000


def test_starting_what_runs_changes_nothing(box: Box) -> None:
    identity = box.start("sleep", "60")
    before = box.state(identity)
    containers.start(box.store, identity)
    assert box.state(identity) == before


def test_a_name_is_used_once(box: Box) -> None:
    box.create("true", name="web")
    with pytest.raises(NameInUse):
        box.create("true", name="web")
    assert len(list((box.store.root / "containers").iterdir())) == 1


def test_a_killed_supervisor_takes_its_container_with_it(box: Box) -> None:
    identity = box.start("sleep", "60")
    now = box.state(identity)
    assert now.supervisor is not None
    os.kill(now.supervisor.pid, signal.SIGKILL)
    eventually(lambda: not Path(f"/proc/{now.pid}").exists())
    eventually(lambda: box.state(identity).status == "exited")
    found = box.state(identity)
    assert (found.exit_code, found.error and found.error.kind) == (137, "supervisor-died")
    assert containers.wait(box.store, identity) == 137
    containers.start(box.store, identity)
    assert box.state(identity).is_running


# Ending --------------------------------------------------------------------------------


def test_stop_lets_the_program_end_itself(box: Box) -> None:
    identity = box.start("sh", "-c", "trap 'exit 7' TERM; echo ready; while :; do sleep 0.1; done")
    eventually(lambda: list(containers.logs(box.store, identity)))
    started = time.monotonic()
    containers.stop(box.store, identity)
    assert time.monotonic() - started < 3
    assert box.state(identity).exit_code == 7


def test_stop_kills_what_does_not_end(box: Box) -> None:
    identity = box.start("sleep", "60")
    started = time.monotonic()
    containers.stop(box.store, identity, timeout=0.3)
    assert 0.2 < time.monotonic() - started < 3
    assert box.state(identity).exit_code == 137


def test_stop_waits_as_long_as_it_takes_where_it_was_told_so(box: Box) -> None:
    command = "trap 'sleep 0.5; exit 6' TERM; echo ready; while :; do sleep 0.05; done"
    identity = box.start("sh", "-c", command, stop_timeout=-1.0)
    eventually(lambda: list(containers.logs(box.store, identity)))
    containers.stop(box.store, identity)
    assert containers.wait(box.store, identity) == 6


def test_a_removal_at_the_end_needs_nothing_of_the_environment(box: Box) -> None:
    identity = box.create("true", remove=True)
    program, *words = start._removal(box.store, identity)
    bare = [program, "-S", *words]
    done = subprocess.run(bare, env={}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    with pytest.raises(ContainerNotFound):
        box.store.containers.resolve(identity)


def test_the_images_stop_signal_is_used(box: Box) -> None:
    command = "trap 'exit 9' USR1; echo ready; while :; do sleep 0.1; done"
    identity = box.start("sh", "-c", command, stop_signal="USR1")
    eventually(lambda: list(containers.logs(box.store, identity)))
    containers.stop(box.store, identity)
    assert box.state(identity).exit_code == 9


def test_stopping_what_does_not_run_is_no_failure(box: Box) -> None:
    identity = box.create("true")
    containers.stop(box.store, identity)
    containers.start(box.store, identity)
    containers.wait(box.store, identity)
    containers.stop(box.store, identity)


def test_killing_what_does_not_run_is_one(box: Box) -> None:
    identity = box.create("true", name="web")
    with pytest.raises(ContainerNotRunning) as raised:
        containers.kill(box.store, identity)
    assert raised.value.message == "the container `web` is not running"


def test_a_signal_reaches_the_program(box: Box) -> None:
    identity = box.start("sh", "-c", "trap 'exit 5' HUP; echo ready; while :; do sleep 0.1; done")
    eventually(lambda: list(containers.logs(box.store, identity)))
    containers.kill(box.store, identity, "HUP")
    assert containers.wait(box.store, identity) == 5


# Removing ------------------------------------------------------------------------------


def test_a_running_container_is_removed_by_force_only(box: Box) -> None:
    identity = box.start("sleep", "60", name="web")
    with pytest.raises(InUse) as raised:
        containers.remove(box.store, identity)
    assert raised.value.message == "the container `web` is running"
    containers.remove(box.store, identity, force=True)
    assert not box.directory(identity).exists()
    with pytest.raises(ContainerNotFound):
        containers.wait(box.store, identity)


def test_one_that_waits_for_its_attachment_is_removed_by_force(box: Box) -> None:
    identity = box.create("sleep", "60")
    containers.start(box.store, identity, waits_for_attach=True)
    with pytest.raises(InUse, match="is starting"):
        containers.remove(box.store, identity)
    containers.remove(box.store, identity, force=True)
    assert not box.directory(identity).exists()


def test_nothing_of_a_removed_container_remains(box: Box) -> None:
    identity = box.start("sleep", "60", volumes=("/data",))
    pid = box.state(identity).pid
    containers.remove(box.store, identity, force=True, removes_volumes=True)
    assert not Path(f"/proc/{pid}").exists()
    assert list((box.store.root / "containers").iterdir()) == []
    assert list((box.store.root / "volumes").iterdir()) == []
    assert [path for path in box.store.run.iterdir() if path.suffix == ".sock"] == []
    assert str(box.store.root) not in Path("/proc/self/mounts").read_text()


def test_a_container_that_is_to_go_is_gone_when_attach_returns(box: Box) -> None:
    assert box.run("sh", "-c", "echo hi", remove=True, volumes=("/data",)) == (0, "hi\n")
    assert box.store.containers.list() == []
    assert list((box.store.root / "volumes").iterdir()) == []


def test_a_detached_container_that_is_to_go_removes_itself(box: Box) -> None:
    identity = box.start("sleep", "0.2", remove=True)
    eventually(lambda: not box.directory(identity).exists())
    eventually(lambda: box.store.containers.list() == [])


# Volumes -------------------------------------------------------------------------------


def test_a_directory_of_the_host_is_shared(box: Box, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "in").write_text("from outside\n")
    mount = f"{shared}:/mnt/shared"
    text = box.run(
        "sh", "-c", "cat /mnt/shared/in; echo inside > /mnt/shared/out", volumes=(mount,)
    )
    assert text == (0, "from outside\n")
    assert (shared / "out").read_text() == "inside\n"


def test_a_read_only_mount_cannot_be_written(box: Box, tmp_path: Path) -> None:
    code, text = box.run("sh", "-c", "touch /mnt/x 2>&1", volumes=(f"{tmp_path}:/mnt:ro",))
    assert (code, text) == (1, "touch: /mnt/x: Read-only file system\n")


def test_a_named_volume_is_filled_once_and_outlives_containers(box: Box) -> None:
    first = box.run("sh", "-c", "ls /etc; rm /etc/group", volumes=("conf:/etc",))
    assert "passwd" in first[1]
    code, text = box.run("ls", "/mnt", volumes=("conf:/mnt",), remove=True)
    assert code == 0
    assert "passwd" in text.split()
    assert "group" not in text.split()


# Output that was written before --------------------------------------------------------


def test_logs_keep_the_streams_apart(box: Box) -> None:
    identity = box.start("sh", "-c", "echo out; sleep 0.1; echo err >&2")
    containers.wait(box.store, identity)
    lines = [(line.stream, line.data) for line in containers.logs(box.store, identity)]
    assert lines == [("stdout", b"out\n"), ("stderr", b"err\n")]


def test_followed_logs_end_with_the_container(box: Box) -> None:
    identity = box.start("sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.1; done")
    lines = [line.data for line in containers.logs(box.store, identity, follow=True)]
    assert lines == [b"1\n", b"2\n", b"3\n"]
    assert box.state(identity).status == "exited"


def test_the_log_is_what_docker_writes(box: Box) -> None:
    identity = box.start("echo", "hi")
    containers.wait(box.store, identity)
    (line,) = (box.directory(identity) / "log.json").read_text().splitlines()
    document = json.loads(line)
    assert (document["log"], document["stream"]) == ("hi\n", "stdout")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", document["time"])


# Terminals -----------------------------------------------------------------------------


def test_a_terminal_is_a_real_one(box: Box) -> None:
    master, slave = pty.openpty()
    identity = box.create("sh", interactive=True, terminal=True)
    containers.start(box.store, identity, waits_for_attach=True)
    codes: list[int] = []
    typing = threading.Thread(
        target=drive,
        args=(master, [(b"# ", b"tty; stty size\r"), (b"/dev/pts/0", b""), (b"# ", b"exit 4\r")]),
    )
    typing.start()
    codes.append(containers.attach(box.store, identity, stdin=slave, stdout=slave, stderr=slave))
    typing.join()
    os.close(master)
    os.close(slave)
    assert codes == [4]


def test_detaching_leaves_the_container_running(box: Box) -> None:
    master, slave = pty.openpty()
    identity = box.create("sh", interactive=True, terminal=True)
    containers.start(box.store, identity, waits_for_attach=True)
    typing = threading.Thread(target=drive, args=(master, [(b"# ", b"\x10\x11")]))
    typing.start()
    assert containers.attach(box.store, identity, stdin=slave, stdout=slave, stderr=slave) == 0
    typing.join()
    os.close(master)
    os.close(slave)
    assert box.state(identity).is_running
