"""Where mounts go: an image, and whoever shares a volume, may put links at all their places."""

from __future__ import annotations

import tarfile
import uuid
from pathlib import Path

import pytest

from forms import in_both_forms
from scene import Cli
from walls.attack import Arena, link

CORE_PATTERN = Path("/proc/sys/kernel/core_pattern")
IS_LINK = "a symbolic link is there"
INTO_KERNEL = "a symbolic link leads to where the kernel shows itself"
TO_ROOT = "it leads to the root itself"
ROUNDS = 20


def image_with(cli: Cli, base: Path, name: str, target: str, *options: str) -> str:
    """Import the base system with a link in place of what it has at ``name``."""
    path = cli.account.home / f"{uuid.uuid4().hex[:8]}.tar"
    with tarfile.open(base) as given, tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for entry in given:
            if entry.name != name:
                tar.addfile(entry, given.extractfile(entry) if entry.isreg() else None)
        link(tar, name, target)
    path.chmod(0o644)
    made = f"hostile-{uuid.uuid4().hex[:8]}"
    cli("import", *options, "-c", 'CMD ["sh"]', path, made)
    path.unlink()
    return made


def both_ways(arena: Arena, image: str, command: str) -> list[str]:
    """Run a command in a container and in a step; return all that was said, and what failed."""
    ran = arena.cli("run", "--rm", image, "sh", "-c", command, check=False)
    context = arena.cli.directory("step", {"Dockerfile": f"FROM {image}\nRUN {command}\n"})
    built = arena.cli("build", "--no-cache", "--progress", "plain", context, check=False)
    return [f"{done.stdout}{done.stderr}\nexit code {done.returncode}" for done in (ran, built)]


# What an image can put at the system's own places --------------------------------------


@in_both_forms
@pytest.mark.parametrize("target", ["/", "..", "/etc", "/no/such", "/proc/self/root"])
@pytest.mark.parametrize("name", ["proc", "sys", "dev"])
def test_a_link_at_a_place_of_the_systems_is_refused_with_a_sentence(
    arena: Arena, attacks_tar: Path, name: str, target: str
) -> None:
    before = CORE_PATTERN.read_text()
    image = image_with(arena.cli, attacks_tar, name, target)
    reach = "echo owned > /../sys/kernel/core_pattern; echo owned > /sys/kernel/core_pattern"
    for said in both_ways(arena, image, reach):
        assert IS_LINK in said
        assert f"`/{name}`" in said
        assert "exit code 125" in said or "exit code 1" in said
    assert CORE_PATTERN.read_text() == before


@in_both_forms
@pytest.mark.parametrize("target", ["/", "/proc/sys/kernel", "/etc"])
def test_below_the_device_directory_nothing_of_an_image_is_left(
    arena: Arena, attacks_tar: Path, target: str
) -> None:
    image = image_with(arena.cli, attacks_tar, "dev/shm", target)
    for said in both_ways(arena, image, "stat -f -c %T /dev/shm; stat -c %F /dev/shm"):
        assert "tmpfs" in said
        assert "directory" in said


@in_both_forms
@pytest.mark.parametrize("name", ["etc/hosts", "etc/resolv.conf"])
@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("/", TO_ROOT),
        ("/../..", TO_ROOT),
        ("/proc/sys/kernel/core_pattern", INTO_KERNEL),
        ("/proc/self/environ", INTO_KERNEL),
        ("/sys/kernel/uevent_helper", INTO_KERNEL),
        ("/proc/self/exe", "symbolic links"),
        ("/proc/self/fd/0", "symbolic links"),
        ("/proc/1/root/etc/hosts", "symbolic links"),
    ],
)
def test_a_file_of_the_network_does_not_cover_what_shows_the_kernel(
    arena: Arena, attacks_tar: Path, name: str, target: str, reason: str
) -> None:
    if target.startswith("/sys/") and not Path(target).exists():
        pytest.skip(f"this kernel has no {target}")
    image = image_with(arena.cli, attacks_tar, name, target)
    for said in both_ways(arena, image, "true"):
        assert reason in said
        assert "exit code 0" not in said


@in_both_forms
def test_a_file_of_the_network_behind_a_link_lands_inside(arena: Arena, attacks_tar: Path) -> None:
    outside = Path(f"/run/dissolver-outside-{uuid.uuid4().hex}")
    image = image_with(arena.cli, attacks_tar, "etc/resolv.conf", f"../../..{outside}")
    for said in both_ways(arena, image, f"test -f {outside} && cat /etc/resolv.conf"):
        assert "exit code 0" in said
    assert not outside.exists()


@in_both_forms
@pytest.mark.parametrize("target", ["/proc/self/cwd", "/proc/1/root", "/proc/self/root"])
def test_a_working_directory_is_not_reached_through_magic(
    arena: Arena, attacks_tar: Path, target: str
) -> None:
    image = image_with(arena.cli, attacks_tar, "work", target, "-c", "WORKDIR /work")
    for said in both_ways(arena, image, "pwd; ls"):
        assert "exit code 0" not in said
        assert "symbolic links" in said


@pytest.mark.parametrize("number", range(3, 24))
def test_no_descriptor_of_ours_is_a_working_directory(arena: Arena, number: int) -> None:
    words = ("run", "--rm", "--network", "none", "-w", f"/proc/self/fd/{number}", "attacks", "pwd")
    done = arena.cli(*words, check=False)
    assert done.returncode == 125
    assert done.stdout == ""


# What somebody names ---------------------------------------------------------------------


@in_both_forms
@pytest.mark.parametrize(
    ("target", "reason"),
    [("/", TO_ROOT), ("/proc", INTO_KERNEL), ("/sys/fs", INTO_KERNEL), ("/proc/self/cwd", "links")],
)
def test_a_volume_behind_a_link_does_not_cover_root_or_kernel(
    arena: Arena, attacks_tar: Path, target: str, reason: str
) -> None:
    image = image_with(arena.cli, attacks_tar, "data", target, "-c", "VOLUME /data")
    said = arena.cli("run", "--rm", image, "true", check=False)
    assert said.returncode == 125
    assert reason in said.stderr
    for mount in ("cache", "tmpfs", "secret,id=s,required", "bind,from=attacks"):
        text = f"FROM {image}\nRUN --mount=type={mount},target=/data true\n"
        context = arena.cli.directory("mounts", {"Dockerfile": text, "s": "hush"})
        secret = ("--secret", f"id=s,src={context}/s")
        said = arena.cli("build", "--no-cache", *secret, context, check=False)
        assert said.returncode == 1
        assert reason in said.stderr, mount


@pytest.mark.parametrize("target", ["/proc", "/proc/sys", "/proc/self/attr/../../sys"])
def test_what_the_kernel_shows_is_not_covered_in_plain_words_either(
    arena: Arena, target: str
) -> None:
    said = arena.cli("run", "--rm", "-v", f"vol:{target}", "attacks", "true", check=False)
    assert said.returncode == 125
    assert "nothing can be mounted on" in said.stderr


def test_a_neighbour_that_swaps_links_in_a_volume_gets_no_mount_elsewhere(arena: Arena) -> None:
    swap = (
        "cd /data; while :; do mkdir -p d; mv -T d sub; mv -T sub d; "
        "ln -sf / l; mv -T l sub; rm sub; ln -sf /proc l; mv -T l sub; rm sub; "
        "ln -sf /etc l; mv -T l sub; rm sub; done"
    )
    name = f"shared-{uuid.uuid4().hex[:8]}"
    attacker = arena.cli.out("run", "-d", "-v", f"{name}:/data", "attacks", "sh", "-c", swap)
    look = "awk '$5 ~ /^(.|.proc)$/ {print $5, $(NF-2)}' /proc/self/mountinfo"
    try:
        for _ in range(ROUNDS):
            mounts = ("-v", f"{name}:/data", "-v", "/data/sub")
            done = arena.cli("run", "--rm", *mounts, "attacks", "sh", "-c", look, check=False)
            if done.returncode == 0:
                # The root is the overlay and /proc is proc, and nothing is mounted on them.
                assert sorted(done.stdout.split()) == ["/", "/proc", "overlay", "proc"]
            else:
                assert done.returncode == 125
    finally:
        arena.cli("rm", "-f", attacker)
