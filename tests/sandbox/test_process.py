"""What a program in a sandbox sees of itself: its status, user, rights and files."""

from __future__ import annotations

import base64
import platform
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Place

NODE = {"uid": 1000, "gid": 1001, "groups": [29, 1001]}
DEFAULT_BITS = "00000000000000eb"
"""CHOWN, DAC_OVERRIDE, FOWNER, KILL, SETGID and SETUID: numbers 0, 1, 3, 5, 6 and 7."""


def rights(status: str) -> dict[str, str]:
    pairs = (line.split(":\t") for line in status.splitlines())
    return {name: value for name, value in pairs if name.startswith(("Cap", "NoNew", "Seccomp"))}


def test_the_exit_status_is_the_programs_own(place: Place) -> None:
    scripts = {"exit 0": 0, "exit 42": 42, "sh -c 'kill -9 $$'; exit $?": 137, "false": 1}
    outcomes = place.each([["sh", "-c", script] for script in scripts])
    assert [outcome.status for outcome in outcomes] == list(scripts.values())


def test_standard_input_is_empty_and_output_arrives(place: Place) -> None:
    outcome = place("sh", "-c", "cat; echo out; echo err >&2; readlink /proc/self/fd/0")
    # An ordinary user's is the host's, seen through a mount of this file alone.
    assert outcome.lines == ["out", "err", "/dev/null" if place.is_root else "/"]


def test_standard_streams_that_lead_nowhere_cannot_be_changed_for_others(place: Place) -> None:
    before = Path("/dev/null").stat()
    script = "chmod 600 /proc/self/fd/0 2>&1; stat -L -c %t:%T /proc/self/fd/0; chown 1 /dev/stdin"
    place("sh", "-c", script)
    after = Path("/dev/null").stat()
    assert (after.st_mode, after.st_uid, after.st_ctime_ns) == (
        before.st_mode,
        before.st_uid,
        before.st_ctime_ns,
    )


def test_no_file_but_the_standard_streams_is_inherited(place: Place) -> None:
    # The last one is the directory that `ls` itself reads.
    assert place("ls", "/proc/self/fd").text().split() == ["0", "1", "2", "3"]


def test_the_first_process_is_alone(place: Place) -> None:
    assert place("sh", "-c", "echo $$; ls /proc | grep -c '^[0-9]'").lines == ["1", "3"]


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ({"uid": 0, "gid": 0, "groups": [0]}, "uid=0 gid=0 groups=0"),
        (NODE, "uid=1000 gid=1001 groups=29,1001"),
        ({"uid": 1, "gid": 0, "groups": []}, "uid=1 gid=0"),
    ],
)
def test_the_program_runs_as_the_user(place: Place, user: object, expected: str) -> None:
    assert place("id", user=user).text() == expected


def test_root_has_the_listed_capabilities_and_no_others(place: Place) -> None:
    found = rights(place("cat", "/proc/self/status").text())
    assert found == {
        "CapInh": "0" * 16,
        "CapPrm": DEFAULT_BITS,
        "CapEff": DEFAULT_BITS,
        "CapBnd": DEFAULT_BITS,
        "CapAmb": "0" * 16,
        "NoNewPrivs": "0",
        "Seccomp": "0",
        "Seccomp_filters": "0",
    }


def test_other_users_have_capabilities_only_as_a_bound(place: Place) -> None:
    found = rights(place("cat", "/proc/self/status", user=NODE, no_new_privileges=True).text())
    assert found["CapEff"] == found["CapPrm"] == found["CapInh"] == found["CapAmb"] == "0" * 16
    assert (found["CapBnd"], found["NoNewPrivs"]) == (DEFAULT_BITS, "1")


def test_the_working_directory_umask_host_name_and_environment_are_set(place: Place) -> None:
    script = "pwd; umask; hostname; env | sort"
    outcome = place(
        "sh", "-c", script, cwd="/home", umask=0o027, hostname="n1", env=["PATH=/bin", "A=b c"]
    )
    assert outcome.lines == ["/home", "0027", "n1", "A=b c", "PATH=/bin", "PWD=/home", "SHLVL=1"]


def test_limits_apply_to_the_program(place: Place) -> None:
    limits = [{"name": "nofile", "soft": 64, "hard": 128}, {"name": "core", "soft": 0, "hard": 0}]
    script = "ulimit -Sn; ulimit -Hn; ulimit -c"
    assert place("sh", "-c", script, rlimits=limits).lines == ["64", "128", "0"]


def test_signals_are_as_a_fresh_process_expects_them(place: Place) -> None:
    # Python ignores SIGPIPE: the program must not.
    status = place("cat", "/proc/self/status").text()
    masks = dict(line.split(":\t") for line in status.splitlines() if line.startswith("Sig"))
    assert masks["SigIgn"] == masks["SigBlk"] == masks["SigCgt"] == "0" * 16


def test_pipes_belong_to_the_user(place: Place) -> None:
    script = "echo again >/dev/stdout; echo and >/dev/stderr"
    assert place("sh", "-c", script, user=NODE).lines == ["again", "and"]


def filter_that_refuses(number: int, errno: int) -> str:
    """A filter of four instructions: load the number, compare, refuse or allow."""
    load, jump_if_equal, give = 0x20, 0x15, 0x06
    program = [
        (load, 0, 0, 0),
        (jump_if_equal, 0, 1, number),
        (give, 0, 0, 0x0005_0000 | errno),
        (give, 0, 0, 0x7FFF_0000),
    ]
    return base64.b64encode(b"".join(struct.pack("=HBBI", *line) for line in program)).decode()


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the number is that of x86-64")
@pytest.mark.parametrize("keeps_privileges", [True, False])
@pytest.mark.parametrize("user", [{"uid": 0, "gid": 0, "groups": [0]}, NODE])
def test_system_calls_are_filtered(place: Place, keeps_privileges: bool, user: object) -> None:
    filter_ = filter_that_refuses(83, 78)  # mkdir, "remote address changed"
    outcome = place(
        "sh",
        "-c",
        "mkdir /tmp/x; grep Seccomp: /proc/self/status",
        seccomp=filter_,
        no_new_privileges=not keeps_privileges,
        user=user,
    )
    assert outcome.lines == [
        "mkdir: can't create directory '/tmp/x': Remote address changed",
        "Seccomp:\t2",
    ]


def test_a_terminal_is_the_containers_own_and_controls_the_session(place: Place) -> None:
    script = (
        "tty; stty size; test -c /dev/console && echo console; echo direct >/dev/tty; ls /dev/pts"
    )
    outcome = place("sh", "-c", script, terminal=True, window=[24, 80])
    assert outcome.output.split("\r\n") == [
        "/dev/pts/0", "24 80", "console", "direct", "0     ptmx", "",
    ]  # fmt: skip


def test_a_terminal_belongs_to_the_user(place: Place) -> None:
    outcome = place(
        "sh", "-c", "stat -c '%u %a' $(tty); echo x >/dev/tty", terminal=True, user=NODE
    )
    assert outcome.output.split("\r\n") == ["1000 620", "x", ""]


def test_without_a_terminal_there_is_none(place: Place) -> None:
    assert place("sh", "-c", "echo x >/dev/tty").lines == [
        "sh: can't create /dev/tty: No such device or address"
    ]
