"""Programs in running containers: exec."""

from __future__ import annotations

import errno
import hashlib
import os
import pty
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from basis import Box, collected, drive, eventually, needs_root
from dissolver.containers.execute import ExecOptions, execute
from dissolver.errors import ContainerNotRunning, OutputLost, RunError

pytestmark = needs_root


def executed(box: Box, identity: str, *command: str, **options: object) -> tuple[int, str]:
    with collected() as (output, text):
        code = execute(
            box.store,
            identity,
            command,
            ExecOptions(**options),  # type: ignore[arg-type]
            stdout=output,
            stderr=output,
        )
        return code, text()


@pytest.mark.parametrize(
    ("command", "options", "expected"),
    [
        ("echo hi; exit 3", {}, (3, "hi\n")),
        ("hostname", {}, (0, "web\n")),
        ("echo $A $B; pwd", {"env": ("B=2",)}, (0, "1 2\n/srv\n")),
        ("pwd", {"workdir": "/etc"}, (0, "/etc\n")),
        ("id -un; echo $HOME", {"user": "node"}, (0, "node\n/home/node\n")),
        ("cat /proc/1/cmdline | tr '\\0' ' '", {}, (0, "sleep 60 ")),
        ("grep -E 'CapBnd|^Seccomp:' /proc/self/status", {},
         (0, "CapBnd:\t00000000a80425fb\nSeccomp:\t2\n")),
        ("cat /file", {}, (0, "written\n")),
    ],
)  # fmt: skip
def test_exec_runs_in_the_container(
    box: Box, command: str, options: dict[str, object], expected: tuple[int, str]
) -> None:
    identity = box.start("sleep", "60", hostname="web", env=("A=1",), workdir="/srv")
    executed(box, identity, "sh", "-c", "echo written > /file")
    assert executed(box, identity, "sh", "-c", command, **options) == expected


def test_exec_finds_a_user_that_the_container_made(box: Box) -> None:
    identity = box.start("sleep", "60")
    executed(box, identity, "sh", "-c", "echo 'late:x:77:78::/late:/bin/sh' >> /etc/passwd")
    assert executed(box, identity, "id", "-u", user="late") == (0, "77\n")


def test_exec_follows_no_link_out_of_the_container(box: Box) -> None:
    identity = box.start("sleep", "60")
    executed(box, identity, "sh", "-c", "rm /etc/passwd; ln -s /etc/shadow /etc/passwd")
    with pytest.raises(RunError, match="unable to find user `root`"):
        executed(box, identity, "id", user="root")


@pytest.mark.parametrize(("command", "code"), [("nosuch", 127), ("/etc/passwd", 126)])
@pytest.mark.parametrize("detach", [False, True])
def test_exec_of_what_cannot_run_is_an_error(
    box: Box, command: str, code: int, detach: bool
) -> None:
    identity = box.start("sleep", "60")
    with pytest.raises(RunError) as raised:
        executed(box, identity, command, detach=detach)
    assert raised.value.exit_code == code


def test_exec_has_no_relative_working_directory(box: Box) -> None:
    identity = box.start("sleep", "60", workdir="/tmp")
    assert executed(box, identity, "pwd", workdir="") == (0, "/tmp\n")
    with pytest.raises(RunError) as raised:
        executed(box, identity, "pwd", workdir="rel")
    assert raised.value.message == "the working directory `rel` is not an absolute path"


def test_exec_needs_a_running_container(box: Box) -> None:
    identity = box.create("true", name="web")
    with pytest.raises(ContainerNotRunning) as raised:
        executed(box, identity, "true")
    assert raised.value.message == "the container `web` is not running"


def test_a_detached_program_goes_on(box: Box) -> None:
    identity = box.start("sleep", "60")
    assert executed(box, identity, "sh", "-c", "sleep 0.3; touch /done", detach=True) == (0, "")
    eventually(lambda: (box.directory(identity) / "upper" / "done").exists())


def test_exec_has_a_terminal_if_it_wants(box: Box) -> None:
    identity = box.start("sleep", "60")
    master, slave = pty.openpty()
    steps = [(b"# ", b"tty\r"), (b"/dev/pts/", b""), (b"# ", b"exit 6\r")]
    typing = threading.Thread(target=drive, args=(master, steps))
    typing.start()
    code = execute(
        box.store,
        identity,
        ["sh"],
        ExecOptions(interactive=True, terminal=True),
        stdin=slave,
        stdout=slave,
    )
    typing.join()
    os.close(master)
    os.close(slave)
    assert code == 6


# Streams ---------------------------------------------------------------------------


@contextmanager
def piped() -> Iterator[tuple[int, int]]:
    """A pipe whose ends may have been closed by the end of the block."""
    ends = os.pipe()
    try:
        yield ends
    finally:
        for end in ends:
            try:
                os.close(end)
            except OSError as problem:
                assert problem.errno == errno.EBADF  # noqa: PT017 - the test closed it


def streamed(
    box: Box,
    script: str,
    stdin: int | None = None,
    stdout: int | None = None,
    stderr: int | None = None,
    *,
    interactive: bool = True,
    terminal: bool = False,
) -> int:
    identity = box.start("sleep", "600")
    options = ExecOptions(interactive=interactive, terminal=terminal)
    return execute(
        box.store,
        identity,
        ["sh", "-c", script],
        options,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
    )


def test_a_program_gets_no_file_of_its_callers(box: Box, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("in", "out", "err")]
    for path in paths:
        path.write_text(f"{path.name}\n")
        path.chmod(0o640)
    files = [os.open(path, os.O_RDWR | os.O_APPEND) for path in paths]
    script = (
        "cd /proc/self/fd; chmod 4777 0 1 2; chown 5:5 0 1 2;"
        "links=$(readlink 0; readlink 1; readlink 2); echo $links > /links;"
        "echo evil | dd of=0 conv=notrunc 2> /dev/null; echo said; echo wrong >&2"
    )
    assert streamed(box, script, *files) == 0
    for file in files:
        os.close(file)
    assert [path.read_text() for path in paths] == ["in\n", "out\nsaid\n", "err\nwrong\n"]
    for path in paths:
        found = path.stat()
        assert (found.st_mode & 0o7777, found.st_uid) == (0o640, os.geteuid())
    [record] = box.store.containers.list()
    links = (box.directory(record.id) / "upper" / "links").read_text().split()
    assert [link.partition(":")[0] for link in links] == ["pipe"] * 3


def test_input_and_output_are_passed_on_whole(box: Box, tmp_path: Path) -> None:
    data = os.urandom(1 << 20) * 64
    path = tmp_path / "data"
    path.write_bytes(data)
    digest = hashlib.sha256()

    def read() -> None:
        while part := os.read(reading, 1 << 16):
            digest.update(part)

    with piped() as (reading, writing), path.open("rb") as file:
        reader = threading.Thread(target=read)
        reader.start()
        assert streamed(box, "cat", file.fileno(), writing) == 0
        os.close(writing)
        reader.join()
    assert digest.digest() == hashlib.sha256(data).digest()


def test_a_caller_may_write_everything_before_it_reads(box: Box) -> None:
    """As long as the program reads: that its output is stuck does not hold its input up."""
    script = "exec 3<&0; head -c 8000000 /dev/zero & cat <&3 | wc -c >&2; wait"
    codes: list[int] = []
    with (
        piped() as (source, feeding),
        piped() as (reading, writing),
        collected() as (errors, text),
    ):
        runner = threading.Thread(
            target=lambda: codes.append(streamed(box, script, source, writing, errors))
        )
        runner.start()
        for _ in range(800):
            os.write(feeding, b"x" * 10_000)
        os.close(feeding)
        received = 0
        while received < 8_000_000:
            received += len(os.read(reading, 1 << 20))
        runner.join()
        assert (codes, received, text()) == ([0], 8_000_000, "8000000\n")


@pytest.mark.parametrize("left", ["sleep 600", "yes", "while :; do echo more; done"])
def test_what_a_program_leaves_behind_is_not_waited_for(box: Box, left: str) -> None:
    with collected() as (output, text):
        assert streamed(box, f"echo first; {{ {left}; }} & exit 5", None, output) == 5
        assert text().startswith("first\n")


def test_what_a_program_wrote_last_is_passed_on_to_a_slow_reader(box: Box) -> None:
    script = "head -c 900000 /dev/zero; sleep 600 & exit 3"
    codes: list[int] = []
    with piped() as (reading, writing):
        runner = threading.Thread(target=lambda: codes.append(streamed(box, script, None, writing)))
        runner.start()
        runner.join(1)
        assert runner.is_alive()
        received = 0
        while received < 900_000:
            received += len(os.read(reading, 10_000))
        runner.join()
        assert (codes, received) == ([3], 900_000)


def test_a_reader_that_leaves_breaks_the_programs_pipe(box: Box) -> None:
    with piped() as (reading, writing), collected() as (errors, text):
        os.close(reading)
        script = "sh -c 'while echo more; do :; done'; echo $? >&2; exit 7"
        assert streamed(box, script, None, writing, errors) == 7
        assert text() in ("141\n", "1\n")


def test_input_is_read_only_if_it_is_wanted(box: Box) -> None:
    with piped() as (source, feeding):
        os.write(feeding, b"mine\n")
        assert streamed(box, "cat > /seen", source, interactive=False) == 0
        assert os.read(source, 100) == b"mine\n"


def test_input_stays_the_callers_once_the_program_reads_no_more(box: Box) -> None:
    with piped() as (source, feeding), collected() as (output, text):
        os.write(feeding, b"first\n")
        codes: list[int] = []
        script = "read line; exec 0<&-; echo $line; while [ ! -e /go ]; do sleep 0.05; done"
        runner = threading.Thread(
            target=lambda: codes.append(streamed(box, script, source, output))
        )
        runner.start()
        eventually(text)
        os.write(feeding, b"second\n")
        [record] = box.store.containers.list()
        executed(box, record.id, "touch", "/go")
        runner.join()
        assert (codes, os.read(source, 100)) == ([0], b"second\n")


def test_a_program_left_behind_reads_an_end_and_not_what_comes_later(box: Box) -> None:
    with piped() as (source, feeding):
        os.write(feeding, b"before\n")
        script = "exec 3<&0; { cat <&3 > /left; touch /done; } & read line <&3; exit 0"
        assert streamed(box, script, source) == 0
        os.write(feeding, b"later\n")
        [record] = box.store.containers.list()
        upper = box.directory(record.id) / "upper"
        eventually(lambda: (upper / "done").exists())
        assert "later" not in (upper / "left").read_text()


@pytest.mark.parametrize("terminal", [False, True])
def test_a_closed_output_does_not_lose_the_exit_code(box: Box, terminal: bool) -> None:
    with piped() as (_, writing):
        closed = os.dup(writing)
    os.close(closed)
    assert streamed(box, "echo unread; exit 3", None, closed, terminal=terminal) == 3


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize(("code", "expected"), [(0, 1), (3, 3)])
def test_output_that_finds_no_room_is_an_error(
    box: Box, code: int, expected: int, terminal: bool
) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(OutputLost) as raised:
        streamed(box, f"echo lost; exit {code}", None, full, terminal=terminal)
    os.close(full)
    message = "the program's output could not be written: no space left on device"
    assert (raised.value.message, raised.value.exit_code) == (message, expected)


def test_one_file_may_be_all_streams(box: Box) -> None:
    master, slave = pty.openpty()
    identity = box.start("sleep", "600")
    codes: list[int] = []

    def run() -> None:
        options = ExecOptions(interactive=True)
        words = ["sh", "-c", "echo ask; read line; echo got $line >&2"]
        codes.append(
            execute(box.store, identity, words, options, stdin=slave, stdout=slave, stderr=slave)
        )

    runner = threading.Thread(target=run)
    runner.start()
    seen = drive(master, [(b"ask", b"word\r"), (b"got word", b"")])
    runner.join()
    os.close(master)
    os.close(slave)
    assert (codes, b"got word" in seen) == ([0], True)


def test_typing_more_than_a_program_reads_does_not_hold_its_output_up(box: Box) -> None:
    with piped() as (source, feeding), collected() as (output, text):
        codes: list[int] = []
        script = "stty raw -echo; while [ ! -e /go ]; do sleep 0.05; done; echo out; exit 4"
        runner = threading.Thread(
            target=lambda: codes.append(streamed(box, script, source, output, terminal=True))
        )
        feeder = threading.Thread(target=lambda: os.write(feeding, b"x" * 400_000))
        feeder.start()
        runner.start()
        eventually(box.store.containers.list)
        [record] = box.store.containers.list()
        eventually(lambda: box.state(record.id).is_running)
        executed(box, record.id, "touch", "/go")
        runner.join()
        os.read(source, 1 << 20)
        while feeder.is_alive():
            os.read(source, 1 << 20)
            feeder.join(0.01)
        assert (codes, text().endswith("out\n")) == ([4], True)


def test_a_terminal_that_others_keep_open_ends_with_its_program(box: Box) -> None:
    with collected() as (output, text):
        script = (
            "t=$(tty); setsid sh -c \"trap '' HUP; sleep 0.2; while :; do echo more > $t; done\" &"
            "echo first; exit 6"
        )
        assert streamed(box, script, None, output, terminal=True) == 6
        assert text().startswith("first\r\n")
