"""Ways out of a container that take more than one call: by roots, terminals, keys, neighbours."""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from forms import in_both_forms
from scene import Cli, wait_until
from walls.attack import Arena, Way

HOST_DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "ptmx", "console")
LONG_AGO = "2001-02-03 04:05:06"


@pytest.fixture
def marker() -> Iterator[Path]:
    """A file of the host that everybody may read."""
    path = Path(f"/var/tmp/dissolver-marker-{uuid.uuid4().hex}")
    path.write_text("of the host")
    path.chmod(0o644)
    yield path
    path.unlink()


# Roots ------------------------------------------------------------------------------------


@in_both_forms
def test_every_way_out_of_a_root_ends_in_the_containers_own(
    arena: Arena, way: Way, marker: Path
) -> None:
    said = arena.attack(way, ["/attacks/roots"], variables={"HOST_FILE": str(marker)})
    found = [line.split() for line in said.splitlines() if line]
    assert {name for name, _ in found} >= {
        *("open_directory", "working_directory", "nothing_inherited", "moved_directory"),
        *("root_of_a_process", "directory_of_a_process"),
    }
    assert {end for _, end in found} == {"INSIDE"}, said


# Terminals --------------------------------------------------------------------------------


class Typist:
    """A shell on a terminal, from which the command is run, and which reads what is typed next."""

    def __init__(self, cli: Cli, *words: str) -> None:
        command = subprocess.list2cmdline(cli.account.command(*words))
        script = f'{command}; echo; echo "ended $?"; read -t 1 typed; echo "typed [$typed]"'
        self.shell = pexpect.spawn(
            "bash",
            ["--norc", "-c", script],
            env=cli.environment,
            cwd=str(cli.account.home),
            encoding="utf-8",
            timeout=60,
        )

    def said(self) -> str:
        """Return everything until the shell has read its line."""
        self.shell.expect(r"typed \[(.*)\]")
        text = str(self.shell.before)
        typed = str(self.shell.match[1])  # type: ignore[index]
        self.shell.close()
        assert typed == "", f"the container typed `{typed}`"
        return text.replace("\r\n", "\n")


def test_without_a_terminal_a_program_finds_none_of_the_callers(arena: Arena, way: Way) -> None:
    if way == "RUN":
        dockerfile = 'FROM attacks\nRUN ["/attacks/terminal"]\n'
        context = arena.cli.directory("terminal", {"Dockerfile": dockerfile})
        words = ("build", "--no-cache", "--progress", "plain", str(context))
    else:
        place = ["--rm", "attacks"] if way == "run" else [arena.sleeping()]
        words = (way, *place, "/attacks/terminal")
    said = Typist(arena.cli, *words).said()
    assert "/dev/tty ENXIO" in said
    assert "/dev/console ENOENT" in said
    assert "descriptor" not in said.replace("descriptors", "")


@pytest.mark.parametrize("way", ["run", "exec"])
def test_what_a_program_types_stays_in_its_own_terminal(arena: Arena, way: Way) -> None:
    place = ["--rm", "attacks"] if way == "run" else [arena.sleeping()]
    said = Typist(arena.cli, way, "-i", "-t", *place, "/attacks/terminal").said()
    assert "/dev/tty pushed" in said
    for line in said.splitlines():
        # What it pushes comes back to itself where the kernel still has that door, and the
        # terminal that it takes is its own.
        if " selected " in line or " console " in line:
            assert line.split()[-1] in ("EPERM", "ENOTTY", "EINVAL", "EIO"), line


# Keys -------------------------------------------------------------------------------------


def test_the_keys_of_the_callers_session_stay_with_the_caller(
    arena: Arena, way: Way, attack_programs: Path
) -> None:
    # Without the filter, which would say EPERM to everything that has to do with keys.
    name = f"dissolver-{uuid.uuid4().hex}"
    held = [str(attack_programs / "keys"), "hold", name]
    look = ("/attacks/keys", "find", name)
    unfiltered = ("--security-opt", "seccomp=unconfined")
    if way == "RUN":
        dockerfile = f"FROM attacks\nRUN --security=insecure {' '.join(look)}\n"
        context = arena.cli.directory("keys", {"Dockerfile": dockerfile})
        words = ("build", "--allow", "security.insecure", "--no-cache", "--progress", "plain")
        command = arena.account.command(*words, str(context))
    elif way == "run":
        command = arena.account.command("run", "--rm", *unfiltered, "attacks", *look)
    else:
        words = ("run", "-d", *unfiltered, "attacks", "sleep", "1000")
        command = arena.account.command("exec", arena.cli.out(*words), *look)
    become = len(arena.account.become)
    done = subprocess.run(
        [*command[:become], *held, *command[become:]],
        env=arena.cli.environment,
        cwd=arena.account.home,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 77:
        pytest.skip(done.stderr.strip())
    said = done.stdout + done.stderr
    assert name in said, said
    assert f"{name} FOUND" not in said


# Device nodes that are the host's ---------------------------------------------------------


def _facts() -> dict[str, tuple[int, ...]]:
    found = {}
    for name in HOST_DEVICES:
        path = Path("/dev") / name
        if path.exists():
            facts = path.stat()
            found[name] = (facts.st_mode, facts.st_uid, facts.st_gid, facts.st_mtime_ns)
    return found


@pytest.mark.parametrize(
    "places",
    [
        "/dev/stdin /dev/stdout /dev/stderr",
        "/proc/keys /proc/kcore /proc/timer_list /proc/interrupts /proc/sched_debug",
        "/dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty /dev/ptmx",
    ],
    ids=["streams", "masked", "devices"],
)
@in_both_forms
def test_no_node_of_the_host_can_be_changed_from_inside(
    arena: Arena, way: Way, places: str
) -> None:
    # The time alone: it shows whose the node is, and nobody is harmed where it can be changed.
    before = _facts()
    script = f"for place in {places}; do touch -c -d '{LONG_AGO}' $place; done 2>/dev/null; true"
    try:
        arena.attack(way, ["sh", "-c", script])
        assert _facts() == before
    finally:
        for name, (*_, times) in before.items():
            os.utime(f"/dev/{name}", ns=(times, times))


def test_the_null_device_behind_a_mask_cannot_be_given_away(arena: Arena, way: Way) -> None:
    # The same mode and the same owner, for the same reason.
    script = "for place in /proc/keys /proc/timer_list; do chmod 666 $place && echo TAKEN; done"
    said = arena.attack(way, ["sh", "-c", script])
    assert "TAKEN" not in said


# Rights -----------------------------------------------------------------------------------


def test_a_program_of_roots_runs_as_root_unless_new_privileges_are_refused(
    arena: Arena, way: Way
) -> None:
    assert arena.attack(way, ["/attacks/become"], user="1000:1000").strip() == "uid 0"
    if way == "run":
        options = ("--security-opt", "no-new-privileges")
        said = arena.attack(way, ["/attacks/become"], user="1000:1000", options=options)
        assert said.strip() == "uid 1000"


def test_a_program_that_is_entered_into_a_restricted_container_is_restricted_too(
    arena: Arena,
) -> None:
    words = ("run", "-d", "--security-opt", "no-new-privileges", "attacks", "sleep", "1000")
    container = arena.cli.out(*words)
    said = arena.cli.out("exec", "--user", "1000", container, "/attacks/become")
    assert said == "uid 1000"


def test_root_inside_is_not_root_of_the_host_for_an_ordinary_user(
    arena: Arena, way: Way, tmp_path: Path
) -> None:
    if arena.account.is_root:
        pytest.skip("root's containers have root's ids, as Docker's have")
    said = arena.attack(way, ["cat", "/proc/self/uid_map"])
    first = [int(line.split()[1]) for line in said.splitlines() if line.split()[0] == "0"]
    assert first == [arena.account.uid]
    assert 0 not in first


# Neighbours -------------------------------------------------------------------------------


def test_a_container_sees_nothing_of_its_neighbour(arena: Arena) -> None:
    token = uuid.uuid4().hex
    secret = f"echo {token} > /dev/shm/{token}; mkdir /dev/mqueue 2>/dev/null; exec sleep 4711"
    arena.cli("run", "-d", "attacks", "sh", "-c", secret)
    look = (
        f"ls /dev/shm; cat /proc/[0-9]*/cmdline | tr '\\0' ' '; grep -r {token} /dev/shm /tmp;"
        " cat /proc/net/unix"
    )
    said = arena.attack("run", ["sh", "-c", look])
    assert token not in said.replace(look, "")
    assert "4711" not in said


def test_a_container_has_no_process_of_the_host(arena: Arena, way: Way) -> None:
    here = os.getpid()
    said = arena.attack(way, ["sh", "-c", "echo /proc/[0-9]*; cat /proc/1/comm"])
    numbers = [int(word.rpartition("/")[2]) for word in said.split() if word.startswith("/proc/")]
    assert here not in numbers
    assert 1 in numbers
    assert len(numbers) < 8, said


def test_a_container_that_ends_takes_all_its_processes_with_it(arena: Arena) -> None:
    name = f"4{uuid.uuid4().int % 10**9:09}"
    arena.attack("run", ["sh", "-c", f"setsid sleep {name} >/dev/null 2>&1 & echo started"])
    wait_until(lambda: not _sleeps(name), what="the end of what was left behind")


def _sleeps(name: str) -> bool:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if words[:2] == [b"sleep", name.encode()]:
                return True
    return False


def test_host_variables_do_not_get_in(arena: Arena, way: Way) -> None:
    token = uuid.uuid4().hex
    inner = Arena(Cli(arena.account, arena.cli.root, {"SECRET_TOKEN": token}), arena.sleeping())
    assert token not in inner.attack(way, ["cat", "/proc/self/environ", "/proc/1/environ"])
