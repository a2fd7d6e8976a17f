"""Devices: their files can be made as in any container, and opened nowhere but in /dev."""

from __future__ import annotations

import os
import subprocess
import tarfile
import uuid
from pathlib import Path

import pytest

from forms import in_both_forms
from scene import Account
from walls.attack import Arena, Way, add, host_disk
from walls.conftest import OpenArena

HOST_DEVICES = {
    "the disk": ("b", host_disk().replace(":", " ")),
    "a loop device": ("b", "7 0"),
    "the memory": ("c", "1 1"),
    "the kernel's log": ("c", "1 11"),
    "loop-control": ("c", "10 237"),
    "fuse": ("c", "10 229"),
    "tun": ("c", "10 200"),
    "kvm": ("c", "10 232"),
    "null, at another place": ("c", "1 3"),
}
PLACES = ("/", "/tmp/", "/dev/", "/dev/shm/", "/var/", "/root/")


@in_both_forms
def test_a_device_can_be_made_but_not_opened(arena: Arena, way: Way) -> None:
    script = "".join(
        f"mknod {place}x{number} {kind} {numbers} && head -c 1 {place}x{number}; "
        for place in PLACES
        for number, (kind, numbers) in enumerate(HOST_DEVICES.values())
    )
    said = arena.attack(way, ["sh", "-c", f"exec 2>&1; {script} true"])
    lines = said.splitlines()
    assert len(lines) == len(PLACES) * len(HOST_DEVICES)
    if arena.account.is_root:
        assert all(line.startswith("head:") and "Permission denied" in line for line in lines), said
    else:
        assert all("mknod" in line and "not permitted" in line for line in lines), said


@in_both_forms
def test_a_device_of_an_image_cannot_be_opened(arena: Arena, busybox_tar: Path, way: Way) -> None:
    if not arena.account.is_root:
        pytest.skip("an ordinary user's layers have no devices")
    path = arena.account.home / "devices.tar"
    path.write_bytes(busybox_tar.read_bytes())
    with tarfile.open(path, "a") as tar:
        add(tar, "disk", type=tarfile.BLKTYPE, devmajor=7, devminor=0, mode=0o666)
        add(tar, "kmsg", type=tarfile.CHRTYPE, devmajor=1, devminor=11, mode=0o666)
        add(tar, "dev/kmsg", type=tarfile.CHRTYPE, devmajor=1, devminor=11, mode=0o666)
    arena.cli("import", "-c", 'CMD ["sh"]', path, "devices")
    path.unlink()
    script = ["sh", "-c", "exec 2>&1; head -c 1 /disk; head -c 1 /kmsg; ls /dev/kmsg"]
    if way == "exec":
        sleeper = arena.cli.out("run", "-d", "devices", "sleep", "1000")
        said = arena.cli("exec", sleeper, *script, check=False).stdout
        arena.cli("rm", "-f", sleeper)
    else:
        said = arena.attack(way, script, image="devices")
    assert said.splitlines() == [
        "head: /disk: Permission denied",
        "head: /kmsg: Permission denied",
        "ls: /dev/kmsg: No such file or directory",
    ]


def test_devices_below_what_is_bound_cannot_be_opened(
    root_account: Account, open_arena: OpenArena
) -> None:
    arena = open_arena(root_account)
    directory = Path(f"/var/tmp/dissolver-devices-{uuid.uuid4().hex[:8]}")
    directory.mkdir()
    subprocess.run(["mknod", "-m", "666", directory / "null", "c", "1", "3"], check=True)
    inner = directory / "inner"
    inner.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", inner], check=True)
    subprocess.run(["mknod", "-m", "666", inner / "null", "c", "1", "3"], check=True)
    try:
        script = "exec 2>&1; head -c 1 /d/null; head -c 1 /d/inner/null; head -c 1 /n"
        mounts = ("-v", f"{directory}:/d", "-v", f"{directory}/null:/n")
        done = arena.cli("run", "--rm", *mounts, "attacks", "sh", "-c", script, check=False)
    finally:
        subprocess.run(["umount", inner], check=True)
        subprocess.run(["rm", "-rf", directory], check=True)
    assert done.stdout.splitlines() == [
        "head: /d/null: Permission denied",
        "head: /d/inner/null: Permission denied",
        "head: /n: Permission denied",
    ]


def test_a_volume_and_mounts_of_a_step_have_no_devices(
    root_account: Account, open_arena: OpenArena
) -> None:
    arena = open_arena(root_account)
    script = "exec 2>&1; mknod /m/x c 1 3; head -c 1 /m/x"
    done = arena.cli("run", "--rm", "-v", "/m", "attacks", "sh", "-c", script, check=False)
    assert "Permission denied" in done.stdout
    for mount in (
        "type=cache,target=/m",
        "type=tmpfs,target=/m",
        "type=bind,rw,from=attacks,target=/m",
    ):
        text = f"FROM attacks\nRUN --mount={mount} {script}; test $? = 1\n"
        context = arena.cli.directory("mounts", {"Dockerfile": text})
        done = arena.cli("build", "--no-cache", "--progress", "plain", context)
        assert "head: /m/x: Permission denied" in done.stderr, mount


def test_the_few_devices_work(arena: Arena, way: Way) -> None:
    script = (
        "cd /dev; echo x > null && head -c 2 zero | od -An -c && head -c 1 urandom | wc -c; "
        "head -c 1 random | wc -c; echo x > full; "
        "ls -l full null random tty urandom zero | grep -c '^c'"
    )
    said = arena.attack(way, ["sh", "-c", f"exec 2>&1; {script}"]).split("\n")
    assert [line.strip() for line in said] == [
        r"\0  \0",
        "1",
        "1",
        "sh: write error: No space left on device",
        "6",
        "",
    ]


def _group_of(pid: int) -> Path | None:
    """Find the group of a process that decides about devices, if it is one of ours."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if path.rpartition("/")[2].startswith("dissolver-"):
            if controllers == "devices":
                return Path(f"/sys/fs/cgroup/devices{path}")
            mounted = Path("/sys/fs/cgroup/cgroup.controllers").exists()
            return Path(f"/sys/fs/cgroup{'' if mounted else '/unified'}{path}")
    return None


_OPEN = """
import os, sys
with open(sys.argv[1] + "/cgroup.procs", "w") as group:
    group.write(str(os.getpid()))
for number in sys.argv[2:]:
    kind, major, minor = number.split(":")
    path = sys.argv[1].replace("/", "_") + number
    mode = 0o600 | (0o060000 if kind == "b" else 0o020000)
    os.mknod("/var/tmp/" + path, mode, os.makedev(int(major), int(minor)))
    try:
        os.close(os.open("/var/tmp/" + path, os.O_RDONLY | os.O_NONBLOCK))
        print("open")
    except OSError as problem:
        print(os.strerror(problem.errno))
    finally:
        os.unlink("/var/tmp/" + path)
"""


@pytest.mark.parametrize("way", ["run", "exec"])
def test_the_kernel_refuses_other_devices_wherever_their_files_are(
    root_account: Account,
    open_arena: OpenArena,
    way: str,  # type: ignore[no-untyped-def]
) -> None:
    """The wall behind `nodev`: a process of the host that joins the group is held to it as well."""
    if not os.access("/sys/fs/cgroup", os.W_OK):
        pytest.skip("no control groups can be made here")
    arena = open_arena(root_account)
    sleeper = arena.cli.out("run", "-d", "attacks", "sleep", "1000")
    try:
        first = int(arena.cli.out("inspect", "-f", "{{.State.Pid}}", sleeper))
        if way == "exec":
            arena.cli("exec", "-d", sleeper, "sleep", "77777")
            words = ["pgrep", "-f", "sleep 77777"]
            found = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()
            first = int(found[-1])
        group = _group_of(first)
        assert group is not None
        numbers = ("b:7:0", "c:1:1", "c:10:229", f"b:{host_disk()}", "c:1:3", "c:1:5")
        words = [root_account.python, "-c", _OPEN, str(group), *numbers]
        said = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
    finally:
        arena.cli("rm", "-f", sleeper)
    assert said == ["Operation not permitted"] * 4 + ["open"] * 2
    assert not group.exists()


def test_a_group_that_a_killed_builder_left_is_removed_by_the_next(
    root_account: Account,
    open_arena: OpenArena,
) -> None:
    arena = open_arena(root_account)
    sleeper = arena.cli.out("run", "-d", "attacks", "sleep", "1000")
    first = int(arena.cli.out("inspect", "-f", "{{.State.Pid}}", sleeper))
    group = _group_of(first)
    assert group is not None
    supervisor = int(Path(f"/proc/{first}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(supervisor, 9)
    arena.cli("rm", "-f", sleeper)
    arena.cli("run", "--rm", "attacks", "true")
    assert not group.exists()
