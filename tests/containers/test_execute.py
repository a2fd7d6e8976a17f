"""Programs in running containers: exec."""

from __future__ import annotations

import os
import pty
import threading

import pytest

from basis import Box, collected, drive, eventually, needs_root
from dissolver.containers.execute import ExecOptions, execute
from dissolver.errors import ContainerNotRunning, RunError

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
