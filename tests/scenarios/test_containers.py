"""Containers through the command: streams, terminals, ports, volumes, their end."""

from __future__ import annotations

import json
import re
import signal
import time
from pathlib import Path

import pexpect
import pytest

from forms import in_both_forms
from scene import Cli, free_port, page, wait_until


def talk(cli: Cli, *words: str) -> pexpect.spawn[str]:
    """Start a command on a terminal of 24 by 80."""
    command = cli.account.command(*words)
    return pexpect.spawn(
        command[0],
        command[1:],
        env=cli.environment,
        cwd=str(cli.account.home),
        encoding="utf-8",
        timeout=30,
        dimensions=(24, 80),
    )


def test_streams_stay_apart_and_stdin_arrives(box: Cli) -> None:
    done = box("run", "--rm", "-i", "box", "sh", "-c", "cat; echo oops >&2", stdin="to you\n")
    assert done.stdout == "to you\n"
    assert done.stderr == "oops\n"


def test_without_interactive_stdin_is_empty(box: Cli) -> None:
    assert box.out("run", "--rm", "box", "cat", stdin="not read") == ""


def test_large_output_arrives_whole(box: Cli) -> None:
    done = box("run", "--rm", "box", "sh", "-c", "seq 200000")
    assert done.stdout.splitlines() == [str(n) for n in range(1, 200001)]


def test_a_terminal_is_a_terminal_of_the_right_size(box: Cli) -> None:
    terminal = talk(box, "run", "-it", "--rm", "box", "sh")
    terminal.expect("#")
    terminal.sendline("tty; stty size; echo err >&2")
    terminal.expect("/dev/(pts/[0-9]+|console)")
    terminal.expect("24 80")
    terminal.expect("err")
    terminal.setwinsize(31, 101)
    time.sleep(0.3)
    terminal.sendline("stty size")
    terminal.expect("31 101")
    terminal.sendline("exit 5")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 5


def test_ctrl_c_reaches_the_program_on_a_terminal(box: Cli) -> None:
    terminal = talk(box, "run", "-it", "--rm", "box", "sh")
    terminal.expect("#")
    terminal.sendline("sleep 100")
    time.sleep(0.5)
    terminal.sendintr()
    terminal.expect("#")
    terminal.sendline("echo code=$?")
    terminal.expect("code=130")
    terminal.sendline("exit")
    terminal.expect(pexpect.EOF)
    terminal.close()


def test_detach_keys_leave_the_container_running(box: Cli) -> None:
    terminal = talk(box, "run", "-it", "--name", "kept", "box", "sh")
    terminal.expect("#")
    terminal.send("\x10\x11")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert box.out("ps", "--format", "{{.Names}}") == "kept"
    box("rm", "-f", "kept")


@in_both_forms
def test_exec_shares_the_container(box: Cli) -> None:
    box("run", "-d", "--name", "host", "--hostname", "inside", "box", "sleep", "300")
    assert box.out("exec", "host", "hostname") == "inside"
    box("exec", "host", "sh", "-c", "echo mine > /mine")
    assert box.out("exec", "host", "cat", "/mine") == "mine"
    assert box("exec", "host", "sh", "-c", "exit 3", check=False).returncode == 3
    assert box("exec", "host", "nothing-there", check=False).returncode == 127
    assert (
        box.out("exec", "-e", "A=b", "-w", "/tmp", "host", "sh", "-c", "echo $A $PWD") == "b /tmp"
    )
    assert box.out("exec", "-u", "node", "host", "id", "-un") == "node"
    assert box.out("exec", "-i", "host", "cat", stdin="piped") == "piped"
    refused = box("exec", "-it", "host", "sh", check=False)
    assert refused.returncode == 1
    assert "the input device is not a TTY" in refused.stderr
    terminal = talk(box, "exec", "-it", "host", "sh")
    terminal.expect("#")
    terminal.sendline("echo pid=$$; exit 4")
    terminal.expect(r"pid=\d+")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 4
    box("rm", "-f", "host")
    assert box("exec", "host", "true", check=False).returncode == 1


def test_stop_asks_first_and_kills_later(box: Cli) -> None:
    polite = "trap 'echo bye; exit 9' TERM; echo ready; while :; do sleep 0.1; done"
    box("run", "-d", "--name", "polite", "box", "sh", "-c", polite)
    wait_until(lambda: "ready" in box.out("logs", "polite"), what="the trap being set")
    box("stop", "polite")
    assert "Exited (9)" in box.out("ps", "-a")
    assert box.out("logs", "polite").split() == ["ready", "bye"]
    box(
        "run",
        "-d",
        "--name",
        "deaf",
        "box",
        "sh",
        "-c",
        "trap '' TERM; while :; do sleep 0.1; done",
    )
    start = time.monotonic()
    box("stop", "-t", "1", "deaf")
    assert 0.9 < time.monotonic() - start < 6
    assert re.search(r"Exited \(137\).*deaf", box.out("ps", "-a"))
    refused = box("stop", "nobody", check=False)
    assert refused.returncode == 1


def test_kill_sends_the_signal_that_is_named(box: Cli) -> None:
    loop = "trap 'echo usr1' USR1; echo ready; while :; do sleep 0.05; done"
    box("run", "-d", "--name", "target", "box", "sh", "-c", loop)
    wait_until(lambda: "ready" in box.out("logs", "target"), what="the trap being set")
    box("kill", "-s", "USR1", "target")
    wait_until(lambda: "usr1" in box.out("logs", "target"), what="the trap")
    box("kill", "target")
    wait_until(lambda: "Exited (137)" in box.out("ps", "-a"), what="the end")


def test_logs_are_kept_and_followed(box: Cli) -> None:
    slow = "for i in 1 2 3 4 5; do echo line$i; sleep 0.1; done; echo last >&2"
    box("run", "-d", "--name", "teller", "box", "sh", "-c", slow)
    followed = box("logs", "-f", "teller")
    assert followed.stdout.split() == ["line1", "line2", "line3", "line4", "line5"]
    assert followed.stderr == "last\n"
    assert box("logs", "teller").stdout == followed.stdout


def test_the_latest_lines_are_kept_as_asked(box: Cli) -> None:
    count = "for i in $(seq 30); do echo $i; done"
    limits = ("--log-opt", "max-size=500", "--log-opt", "max-file=2")
    box("run", "-d", "--name", "counter", *limits, "box", "sh", "-c", count)
    box("wait", "counter")
    kept = [int(line) for line in box("logs", "counter").stdout.split()]
    assert kept == list(range(kept[0], 31))
    assert 15 < kept[0] < 26, "two files hold some six lines each"
    assert box("logs", "-f", "--tail", "3", "counter").stdout.split() == ["28", "29", "30"]
    form = "{{.HostConfig.LogConfig.Type}} {{json .HostConfig.LogConfig.Config}}"
    told = box.out("inspect", "--format", form, "counter")
    assert told == 'json-file {"max-size":"500","max-file":"2"}'


def test_a_log_that_is_not_kept_is_told(box: Cli) -> None:
    box("run", "--name", "quiet", "--log-driver", "none", "box", "echo", "hidden")
    done = box("logs", "quiet", check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "nothing is kept of what the container `quiet` writes" in done.stderr


@pytest.mark.parametrize(
    ("command", "code"),
    # The first program of a PID namespace is spared the signal, and sees an error.
    [(("yes",), 1), (("sh", "-c", "yes; exit $((1 + $?))"), 1 + 128 + signal.SIGPIPE)],
)
def test_a_program_hears_that_its_reader_has_left(
    box: Cli, command: tuple[str, ...], code: int
) -> None:
    process = box.spawn("run", "--rm", "box", *command)
    assert process.stdout is not None
    assert process.stdout.readline() == "y\n"
    process.stdout.close()
    assert process.wait(timeout=20) == code


def test_a_reader_that_only_looks_on_may_leave(box: Cli) -> None:
    loop = "while sleep 0.05; do echo more || exit 9; done"
    box("run", "-d", "--name", "talker", "box", "sh", "-c", loop)
    process = box.spawn("attach", "--no-stdin", "talker")
    assert process.stdout is not None
    assert process.stdout.readline() == "more\n"
    process.stdout.close()
    assert process.wait(timeout=20) == 141
    assert box.out("ps", "-q") != ""


def test_rm_refuses_the_running_unless_forced(box: Cli) -> None:
    box("run", "-d", "--name", "busy", "box", "sleep", "300")
    refused = box("rm", "busy", check=False)
    assert refused.returncode == 1
    assert "busy" in refused.stderr
    box("rm", "-f", "busy")
    assert box.out("ps", "-aq") == ""


def test_ids_may_be_shortened_and_ambiguity_is_told(box: Cli) -> None:
    full = box.out("run", "-d", "box", "sleep", "300")
    assert re.fullmatch(r"[0-9a-f]{64}", full)
    assert box.out("ps", "-q") == full[:12]
    assert box.out("exec", full[:5], "echo", "here") == "here"
    box("rm", "-f", full[:5])


def answers(port: int) -> bool:
    """Tell whether something on the port speaks HTTP."""
    try:
        page(f"http://127.0.0.1:{port}/", seconds=0)
    except OSError:
        return False
    return True


def test_published_ports_answer_on_every_address(box: Cli) -> None:
    port = free_port()
    serve = "mkdir -p /www; echo the page > /www/index.html; httpd -f -p 80 -h /www"
    box("run", "-d", "--name", "web", "-p", f"{port}:80", "box", "sh", "-c", serve)
    assert page(f"http://127.0.0.1:{port}/") == "the page\n"
    assert page(f"http://localhost:{port}/") == "the page\n"
    assert f"{port}->80/tcp" in box.out("ps")
    box("rm", "-f", "web")
    wait_until(lambda: not answers(port), what="the port being given up")


def test_networks_none_and_host(box: Cli) -> None:
    links = box.out("run", "--rm", "--network", "none", "box", "ls", "/sys/class/net")
    assert links.split() == ["lo"]
    inside = box.out("run", "--rm", "--network", "host", "box", "readlink", "/proc/self/ns/net")
    assert inside == str(Path("/proc/self/ns/net").readlink())
    other = box.out("run", "--rm", "box", "readlink", "/proc/self/ns/net")
    assert other.startswith("net:[")
    assert other != inside


def test_volumes_are_bound_read_write_and_read_only(box: Cli) -> None:
    data = box.directory("data", {"in.txt": "from outside"})
    assert box.out("run", "--rm", "-v", f"{data}:/d", "box", "cat", "/d/in.txt") == "from outside"
    box("run", "--rm", "-v", f"{data}:/d", "box", "sh", "-c", "echo back > /d/out.txt")
    assert (data / "out.txt").read_text(encoding="utf-8") == "back\n"
    assert (data / "out.txt").stat().st_uid == box.account.uid
    refused = box("run", "--rm", "-v", f"{data}:/d:ro", "box", "touch", "/d/x", check=False)
    assert refused.returncode == 1
    assert "Read-only" in refused.stderr
    box("run", "--rm", "-v", "named:/n", "box", "sh", "-c", "echo kept > /n/f")
    assert box.out("run", "--rm", "-v", "named:/n", "box", "cat", "/n/f") == "kept"


def test_the_process_gets_what_the_options_say(box: Cli) -> None:
    shown = box.out(
        "run", "--rm", "-e", "A=1", "-w", "/usr", "box", "sh", "-c", "echo $A $PWD $HOME"
    )
    assert shown == "1 /usr /root"
    assert box.out("run", "--rm", "-w", "/made/here", "box", "pwd") == "/made/here"
    who = box.out("run", "--rm", "-u", "node", "box", "sh", "-c", "id; echo $HOME")
    assert "uid=1000(node) gid=1000(node)" in who
    assert "29(audio)" in who
    assert who.endswith("/home/node")
    assert box.out("run", "--rm", "-u", "7:8", "box", "id", "-u") == "7"
    assert box.out("run", "--rm", "--entrypoint", "echo", "box", "hi") == "hi"


@in_both_forms
def test_isolation_is_what_docker_gives(box: Cli) -> None:
    status = box.out("run", "--rm", "box", "cat", "/proc/self/status")
    assert "CapEff:\t00000000a80425fb" in status
    assert "Seccomp:\t2" in status
    assert box.out("run", "--rm", "box", "sh", "-c", "echo $$") == "1"
    assert box.out("run", "--rm", "box", "sh", "-c", "cat /proc/kcore | wc -c") == "0"
    for forbidden in ("echo 1 > /proc/sys/kernel/panic", "mount -t tmpfs x /tmp", "touch /sys/x"):
        assert box("run", "--rm", "box", "sh", "-c", forbidden, check=False).returncode != 0
    devices = box.out("run", "--rm", "box", "ls", "/dev").split()
    assert {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm", "fd"} <= set(
        devices
    )
    assert not any(name.startswith(("sd", "vd", "loop", "mem")) for name in devices)


def test_detached_containers_survive_the_command(box: Cli) -> None:
    box("run", "-d", "--name", "stays", "box", "sleep", "300")
    state = json.loads(box.out("inspect", "stays"))[0]["State"]
    assert state["Status"] == "running"
    assert "Up" in box.out("ps")
    box("rm", "-f", "stays")


def test_rm_flag_removes_the_detached_container_when_it_ends(box: Cli) -> None:
    box("run", "-d", "--rm", "--name", "short", "box", "sleep", "0.5")
    wait_until(lambda: box.out("ps", "-aq") == "", what="the removal")


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_signals_to_the_command_reach_the_program(box: Cli, signal_number: int) -> None:
    trap = "trap 'echo got it; exit 6' INT TERM; echo ready; while :; do sleep 0.05; done"
    process = box.spawn("run", "--rm", "box", "sh", "-c", trap)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal_number)
    assert process.stdout.read() == "got it\n"
    assert process.wait(timeout=20) == 6
    process.stdout.close()


def test_names_are_made_up_when_none_is_given(box: Cli) -> None:
    box("run", "box", "true")
    assert re.fullmatch(r"[a-z]+_[a-z]+", box.out("ps", "-a", "--format", "{{.Names}}"))


def test_a_container_can_be_told_from_its_image(box: Cli) -> None:
    box("run", "--name", "writer", "box", "sh", "-c", "echo x > /written; rm /etc/group")
    assert box("run", "--rm", "box", "cat", "/written", check=False).returncode == 1
    assert "root" in box.out("run", "--rm", "box", "cat", "/etc/group")
