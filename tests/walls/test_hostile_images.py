"""Images that are made to mislead whoever sets up a container from them.

Each may be refused, or run as any other image would. What must not happen is that a link, a
device file or the name of a program in it decides what is done on the host.
"""

from __future__ import annotations

import os
import subprocess
import tarfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from forms import in_both_forms
from scene import wait_until
from walls.attack import Arena, Way, add, host_disk, last_step, link, results
from walls.surface import told

Write = Callable[[tarfile.TarFile], None]
Hostile = Callable[[Write], str]
REFUSED = "dissolver refused the image"
AS_IMAGES_START: tuple[Way, ...] = ("run", "RUN")
"""An image is set up in two of the ways; the third joins what was set up."""


@pytest.fixture
def hostile(arena: Arena, attacks_tar: Path) -> Iterator[Hostile]:
    """Import the usual image with further entries; return its name."""
    made: list[Path] = []

    def import_it(write: Write) -> str:
        path = arena.account.home / f"hostile-{uuid.uuid4().hex}.tar"
        path.write_bytes(attacks_tar.read_bytes())
        made.append(path)
        with tarfile.open(path, "a") as tar:
            write(tar)
        arena.account.own(path)
        name = path.stem
        arena.cli("import", "-c", 'CMD ["sh"]', path, name)
        return name

    yield import_it
    for path in made:
        path.unlink()


@pytest.fixture
def outside() -> Iterator[Path]:
    """A directory of the host that everybody may write to."""
    path = Path(f"/var/tmp/dissolver-outside-{uuid.uuid4().hex}")
    path.mkdir()
    path.chmod(0o777)
    yield path
    subprocess.run(["rm", "-rf", path], check=True)


def attacked(
    arena: Arena, way: Way, image: str, argv: list[str], *, options: tuple[str, ...] = ()
) -> str:
    """Run a program in a container of a hostile image; `REFUSED` if there is none."""
    if way == "RUN":
        code, log = arena.built(argv, {}, options, image=image)
        return REFUSED if code else last_step(log)
    name = f"hostile-{uuid.uuid4().hex[:8]}"
    if way == "run":
        done = arena.cli("run", "--name", name, *options, image, *argv, check=False)
    else:
        started = arena.cli("run", "-d", "--name", name, image, "sleep", "1000", check=False)
        if started.returncode:
            arena.cli("rm", "-f", name, check=False)
            return REFUSED
        done = arena.cli("exec", *options, name, *argv, check=False)
    arena.cli("rm", "-f", name, check=False)
    if done.returncode in (125, 126, 127):
        return REFUSED
    return done.stdout + done.stderr


def part(text: str, title: str) -> list[str]:
    """Take one part out of what `told` made."""
    lines = text.splitlines()
    start = lines.index(title) + 1
    end = next((at for at in range(start, len(lines)) if lines[at][0] != " "), len(lines))
    return lines[start:end]


# Links where something is mounted --------------------------------------------------------


TARGETS = (
    "/tmp",
    "../../../../../../../../tmp",
    "/proc/self/root/tmp",
    "/proc/1/cwd",
    "/proc/self/fd/7",
    "{outside}",
    "/nowhere/at/all",
)
LINKS = (
    *(("proc", target) for target in TARGETS),
    *(("sys", target) for target in TARGETS[-4:]),
    *(("dev", target) for target in TARGETS[-4:]),
    *((place, "{outside}") for place in ("dev/shm", "dev/pts", "dev/mqueue", "sys/fs/cgroup")),
)


@pytest.mark.parametrize(("place", "target"), LINKS)
def test_a_link_at_a_mount_point_leads_no_mount_away(
    arena: Arena, hostile: Hostile, outside: Path, place: str, target: str
) -> None:
    image = hostile(lambda tar: link(tar, place, target.format(outside=outside)))
    for way in AS_IMAGES_START:
        said = attacked(arena, way, image, ["/attacks/surface"])
        assert list(outside.iterdir()) == []
        if said == REFUSED:
            continue
        usual = told(arena.attack(way, ["/attacks/surface"]), arena.cli.root)
        found = told(said, arena.cli.root)
        for title in ("mounts", "masked, where this machine has it"):
            # The files of /etc may lie where a link inside the image leads.
            kept = [line for line in part(found, title) if "<store>" not in line]
            assert kept == [line for line in part(usual, title) if "<store>" not in line]


@pytest.mark.parametrize("name", ["etc/hosts", "etc/resolv.conf", "etc/hostname"])
@pytest.mark.parametrize("target", ["{outside}/taken", "../../../../../../{outside}/taken"])
@in_both_forms
def test_a_link_in_place_of_a_file_is_not_followed_out(
    arena: Arena, hostile: Hostile, outside: Path, way: Way, name: str, target: str
) -> None:
    image = hostile(lambda tar: link(tar, name, target.format(outside=outside)))
    attacked(arena, way, image, ["sh", "-c", f"echo taken >> /{name}"])
    assert list(outside.iterdir()) == []


def test_a_magic_link_in_place_of_a_file_is_not_followed_out(
    arena: Arena, hostile: Hostile, way: Way
) -> None:
    places = {f"etc/{name}": name for name in ("hosts", "resolv.conf")}

    def write(tar: tarfile.TarFile) -> None:
        for place in places:
            link(tar, place, "/proc/self/exe")

    image = hostile(write)
    said = attacked(arena, way, image, ["/attacks/surface"])
    if said != REFUSED:
        assert "/proc/self/exe" not in "".join(part(told(said, arena.cli.root), "mounts"))


@pytest.mark.parametrize("target", ["/tmp", "/nowhere"])
def test_what_an_image_has_where_masks_are_keeps_none_away(
    arena: Arena, hostile: Hostile, target: str
) -> None:
    def write(tar: tarfile.TarFile) -> None:
        for name in ("proc/kcore", "proc/keys", "proc/sys", "sys/firmware"):
            link(tar, name, target)

    image = hostile(write)
    for way in AS_IMAGES_START:
        usual = told(arena.attack(way, ["/attacks/surface"]), arena.cli.root)
        said = attacked(arena, way, image, ["/attacks/surface"])
        if said != REFUSED:
            found = told(said, arena.cli.root)
            for title in ("mounts", "masked, where this machine has it"):
                assert part(found, title) == part(usual, title)


# Device files ------------------------------------------------------------------------------


NODES = {
    "disk": (tarfile.BLKTYPE, host_disk()),
    "memory": (tarfile.CHRTYPE, "1:1"),
    "log": (tarfile.CHRTYPE, "1:11"),
    "port": (tarfile.CHRTYPE, "1:4"),
    "fuse": (tarfile.CHRTYPE, "10:229"),
    "tunnel": (tarfile.CHRTYPE, "10:200"),
    "virtual-machines": (tarfile.CHRTYPE, "10:232"),
    "loop-control": (tarfile.CHRTYPE, "10:237"),
    "terminal": (tarfile.CHRTYPE, "4:0"),
    "null": (tarfile.CHRTYPE, "1:3"),
}


@pytest.mark.parametrize("directory", ["nodes", "dev"])
@in_both_forms
def test_a_device_file_of_an_image_opens_nothing(
    arena: Arena, hostile: Hostile, directory: str
) -> None:
    def write(tar: tarfile.TarFile) -> None:
        for name, (kind, number) in NODES.items():
            major, minor = map(int, number.split(":"))
            path = f"{directory}/device-{name}"
            add(tar, path, type=kind, devmajor=major, devminor=minor, mode=0o666)

    try:
        image = hostile(write)
    except AssertionError:
        assert not arena.account.is_root
        return
    paths = [f"/{directory}/device-{name}" for name in NODES]
    wanted = "\n".join(f"{verb} {path}" for path in paths for verb in ("read", "write"))
    # An ordinary user's layers have none, and the container's own /dev covers the image's.
    is_absent = directory == "dev" or not arena.account.is_root
    for way in AS_IMAGES_START:
        found = results(arena.attack(way, ["/attacks/paths"], stdin=wanted, image=image))
        assert len(found) == 2 * len(NODES)
        assert set(found.values()) <= ({"ENOENT"} if is_absent else {"EACCES", "EPERM"}), found


# Programs that are not the image's ---------------------------------------------------------


PROGRAMS = {
    "itself": ["/proc/self/exe"],
    "the first": ["/proc/1/exe"],
    "a thread": ["/proc/thread-self/exe"],
    "a descriptor": ["/proc/self/fd/7"],
    "a link": ["/link"],
    "a link of a link": ["/other"],
    "a script": ["/script"],
    "a script by a link": ["/script-by-link"],
    "in the path": ["named"],
    "through a directory": ["/directory/exe"],
}


def test_no_program_of_the_host_is_executed(arena: Arena, hostile: Hostile, way: Way) -> None:
    def write(tar: tarfile.TarFile) -> None:
        link(tar, "link", "/proc/self/exe")
        link(tar, "other", "link")
        link(tar, "bin/named", "/proc/self/exe")
        link(tar, "directory", "/proc/self")
        add(tar, "script", b"#!/proc/self/exe\n", mode=0o755)
        add(tar, "script-by-link", b"#!/other\n", mode=0o755)

    image = hostile(write)
    # Python, which sets containers up, would say this.
    words = ["-c", "print('the ' + 'host')"]
    said = {name: attacked(arena, way, image, [*argv, *words]) for name, argv in PROGRAMS.items()}
    assert set(said.values()) == {REFUSED}, said


DIRECTORIES = (
    *(f"/proc/self/fd/{number}" for number in (3, 5, 7, 8, 9, 10)),
    *("/proc/self/cwd", "/proc/1/root", "/proc/self/root", "/proc/thread-self/cwd", "/way/out"),
)


def test_a_working_directory_is_inside_or_refused(arena: Arena, hostile: Hostile, way: Way) -> None:
    image = hostile(lambda tar: link(tar, "way", "/proc/self/fd/8/.."))
    said = {}
    for directory in DIRECTORIES:
        if way == "RUN":
            lines = f'FROM {image}\nWORKDIR {directory}\nRUN ["/attacks/roots"]\n'
            context = arena.cli.directory("way", {"Dockerfile": lines})
            done = arena.cli("build", "--progress", "plain", context, check=False)
            said[directory] = done.stdout + done.stderr if done.returncode == 0 else REFUSED
        else:
            options = ("-w", directory)
            said[directory] = attacked(arena, way, image, ["/attacks/roots"], options=options)
    for text in said.values():
        assert "OUTSIDE" not in text
        assert text == REFUSED or "given_directory INSIDE" in text


# What a process brings along ---------------------------------------------------------------


def test_nothing_that_the_caller_holds_open_gets_in(arena: Arena, way: Way, outside: Path) -> None:
    (outside / "secret").write_text("secret")
    held = [os.open(path, os.O_RDONLY) for path in ("/", outside, outside / "secret")]
    if way == "RUN":
        context = arena.cli.directory(
            "held", {"Dockerfile": 'FROM attacks\nRUN ["/attacks/surface"]\n'}
        )
        words = ("build", "--no-cache", "--progress", "plain", str(context))
    else:
        place = ["--rm", "attacks"] if way == "run" else [arena.sleeping()]
        words = (way, *place, "/attacks/surface")
    try:
        done = subprocess.run(
            arena.account.command(*words),
            env=arena.cli.environment,
            cwd=arena.account.home,
            pass_fds=held,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            text=True,
            check=True,
        )
    finally:
        for descriptor in held:
            os.close(descriptor)
    said = done.stdout + done.stderr
    found = said.partition("## descriptors")[2].partition("## identity")[0]
    assert len([line for line in found.splitlines() if "\t" in line]) == 3, found
    assert "secret" not in found


def test_a_process_that_joins_is_out_of_reach_until_it_is_the_program(arena: Arena) -> None:
    watching = arena.cli.spawn("run", "--rm", "attacks", "/attacks/watch", "8", "/bin/busybox")
    listed: list[str] = []

    def is_there() -> bool:
        words = ("ps", "-q", "--filter", "status=running", "--no-trunc")
        listed[:] = [c for c in arena.cli.out(*words).split() if c != arena.sleeper]
        return bool(listed)

    wait_until(is_there, what="the start")
    entered = 0
    while watching.poll() is None and entered < 40:
        entered += arena.cli("exec", listed[0], "true", check=False).returncode == 0
    said, _ = watching.communicate(timeout=60)
    seen = int(said.rpartition("SEEN ")[2])
    assert entered > 3
    assert seen > 3
    assert "REACHED" not in said
