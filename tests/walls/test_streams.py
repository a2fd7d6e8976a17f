"""Programs that `exec` starts get at nothing that belongs to whoever called."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import termios
import time
from pathlib import Path

import pytest

from scene import Cli, wait_until

HOSTILE = """\
for n in 0 1 2 3 4 5 6 7 8 9; do
  [ -e /proc/$$/fd/$n ] || continue
  chmod 4777 /proc/$$/fd/$n
  chown 7:7 /proc/$$/fd/$n
  echo evil > /tmp/evil
  [ $n = 0 ] && dd if=/tmp/evil of=/proc/$$/fd/$n conv=notrunc
  dd if=/dev/null of=/proc/$$/fd/$n
done 2> /dev/null
echo said
{ while [ ! -e /tmp/go ]; do sleep 0.05; done; (echo late); (echo late >&2); touch /tmp/done; } &
"""


@pytest.fixture
def running(box: Cli) -> Cli:
    """The command, with a container `web` that sleeps."""
    box("run", "-d", "--name", "web", "--network", "none", "box", "sleep", "600")
    return box


@pytest.fixture
def files(running: Cli) -> list[Path]:
    """What the shell connects: `<`, `>>` and `2>>`, of the caller's alone."""
    names = ("input", "output", "errors")
    place = running.directory("redirected", {name: f"{name}\n" for name in names})
    for name in names:
        (place / name).chmod(0o600)
    return [place / name for name in names]


@pytest.mark.parametrize("redirection", ["< {0} >> {1} 2>> {2}", "0<> {0} 1<> {1} 2<> {2}"])
def test_the_files_behind_redirections_stay_the_callers(
    running: Cli, files: list[Path], redirection: str
) -> None:
    words = running.account.command("exec", "-i", "web", "sh", "-c", HOSTILE)
    shell = ["sh", "-c", f'exec "$@" {redirection.format(*files)}', "sh", *words]
    done = subprocess.run(
        shell, env=running.environment, cwd=running.account.home, timeout=60, check=False
    )
    assert done.returncode == 0
    running("exec", "web", "touch", "/tmp/go")
    wait_until(
        lambda: running("exec", "web", "test", "-e", "/tmp/done", check=False).returncode == 0
    )
    said = "output\nsaid\n" if ">>" in redirection else "said\nt\n"
    assert [path.read_text() for path in files] == ["input\n", said, "errors\n"]
    for path in files:
        found = path.stat()
        owner = (running.account.uid, running.account.gid)
        assert (found.st_mode & 0o7777, found.st_uid, found.st_gid) == (0o600, *owner)


def test_what_is_left_behind_reads_nothing_that_is_typed_later(running: Cli) -> None:
    master, slave = pty.openpty()
    attributes = termios.tcgetattr(slave)
    attributes[3] &= ~termios.ECHO
    termios.tcsetattr(slave, termios.TCSANOW, attributes)
    script = (
        "tty; exec 3<&0 4<&1; for n in 3 4; do cat <&$n > /tmp/seen$n & done;"
        "for t in /proc/self/fd/1 /proc/1/fd/0 /dev/tty; do cat $t > /tmp/seen & done; echo ready"
    )
    process = subprocess.Popen(
        running.account.command("exec", "-i", "web", "sh", "-c", script),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=running.environment,
        cwd=running.account.home,
        start_new_session=True,
    )
    assert process.wait(60) == 0
    shown = b""
    while select.select([master], [], [], 0.2)[0]:
        shown += os.read(master, 4096)
    assert shown.startswith(b"not a tty"), shown
    os.write(master, b"a password\n")
    time.sleep(0.3)
    seen = running.out("exec", "web", "sh", "-c", "cat /tmp/seen*")
    typed = os.read(slave, 100) if select.select([slave], [], [], 0)[0] else b""
    os.close(master)
    os.close(slave)
    assert (typed, "password" in seen) == (b"a password\n", False)


@pytest.mark.parametrize("left", ["sleep 600", "yes", "yes >&2"])
def test_what_is_left_behind_keeps_nobody_waiting(running: Cli, left: str) -> None:
    done = running("exec", "web", "sh", "-c", f"echo first; {{ {left}; }} & exit 5", check=False)
    assert (done.returncode, done.stdout[:6]) == (5, "first\n")


@pytest.mark.parametrize("interactive", [False, True])
def test_a_shell_loop_keeps_the_lines_that_are_not_asked_for(
    running: Cli, interactive: bool
) -> None:
    """Without `-i` the input of the loop is not touched; with it the first program takes it."""
    flag = ["-i"] if interactive else []
    words = running.account.command("exec", *flag, "web", "cat")
    done = subprocess.run(
        ["sh", "-c", 'while read -r line; do echo "$line"; "$@"; done', "sh", *words],
        env=running.environment,
        cwd=running.account.home,
        input=b"1\n2\n3\n",
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"1\n2\n3\n", b"")


def test_a_program_ends_with_its_reader(running: Cli) -> None:
    words = running.account.command("exec", "web", "sh", "-c", "yes; echo $? > /tmp/code; exit 9")
    shell = ["sh", "-c", '{ "$@"; echo $? >&2; } | head -n 1', "sh", *words]
    done = subprocess.run(
        shell,
        env=running.environment,
        cwd=running.account.home,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr) == (b"y\n", b"9\n")
    assert running.out("exec", "web", "cat", "/tmp/code") in ("141", "1")


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_closed_streams_do_not_lose_the_exit_code(running: Cli, closed: str) -> None:
    words = running.account.command(
        "exec", "-i", "web", "sh", "-c", "cat; echo a; echo b >&2; exit 3"
    )
    done = subprocess.run(
        ["sh", "-c", f'"$@" {closed}', "sh", *words],
        env=running.environment,
        cwd=running.account.home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 3
    running("system", "check")


@pytest.mark.parametrize(("code", "expected"), [(0, 1), (3, 3)])
def test_a_full_disk_is_told_with_the_programs_own_code(
    running: Cli, code: int, expected: int
) -> None:
    words = running.account.command("exec", "web", "sh", "-c", f"echo lost; exit {code}")
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            words,
            env=running.environment,
            cwd=running.account.home,
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    told = b"error: the program's output could not be written: no space left on device\n"
    assert (done.returncode, done.stderr.startswith(told)) == (expected, True)
