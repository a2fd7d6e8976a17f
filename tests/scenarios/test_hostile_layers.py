"""Layers that mean harm: refused with one clear line, or harmless, and nothing outside changes."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import rawtar as tar
from scene import Cli

A_NAME = b"n" * 200
XATTR = b"SCHILY.xattr.user."


@pytest.fixture
def canary(cli: Cli) -> Iterator[Path]:
    """A directory that hostile layers know, and that must stay as it is."""
    place = cli.directory("canary", {"secret": "alive"})
    os.utime(place, ns=(0, 10**18))
    before = looks(place)
    yield place
    assert looks(place) == before


def looks(place: Path) -> list[tuple[object, ...]]:
    facts = []
    for path in (place, *sorted(place.iterdir())):
        found = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        facts.append(
            (path, found.st_mode, found.st_uid, found.st_nlink, found.st_mtime_ns, content)
        )
    return facts


def archive(cli: Cli, *pieces: bytes) -> Path:
    return cli.directory("hostile", {"layer.tar": b"".join(pieces)}) / "layer.tar"


def is_refused(cli: Cli, path: Path, pattern: str) -> None:
    """Claim that importing fails with one line, and that nothing at all is kept."""
    done = cli("import", path, "hostile", check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    lines = done.stderr.splitlines()
    assert len([line for line in lines if not line.startswith("hint: ")]) == 1, done.stderr
    assert re.search(pattern, lines[0]), done.stderr
    assert lines[0].startswith("error: ")
    is_whole(cli)
    for name in ("layers", "packs", "tmp"):
        assert list((cli.root / name).iterdir()) == [], name


def is_whole(cli: Cli) -> None:
    assert cli.out("system", "check") == "no problems found"


# What is wrong, the pieces of the tar (given the canary), and what the error must say.
REFUSED: dict[str, tuple[Callable[[Path], list[bytes]], str]] = {
    "climbs out": (
        lambda canary: [tar.file(f"../../../..{canary}/new")],
        r"unsafe path `\.\./.*` in a layer: it contains `\.\.`",
    ),
    "climbs out behind a name": (
        lambda canary: [tar.directory("a"), tar.file(f"a/../../../..{canary}/new")],
        r"unsafe path .* it contains `\.\.`",
    ),
    "climbs out in a long name": (
        lambda canary: [
            tar.pax(tar.record(b"path", b"d/" * 60 + b"../" * 80 + os.fsencode(canary)[1:])),
            tar.file("x"),
        ],
        r"unsafe path .* it contains `\.\.`",
    ),
    "a hard link out": (
        lambda canary: [tar.hard_link("a", f"../../..{canary}/secret")],
        r"unsafe path .* it contains `\.\.`",
    ),
    "a hard link to an absolute path": (
        lambda canary: [tar.hard_link("a", f"{canary}/secret")],
        r"`a` is a hard link to something that is not in the layer",
    ),
    "written through a symbolic link": (
        lambda canary: [tar.symlink("a", canary), tar.file("a/new")],
        r"`a/new` lies beneath something that is not a directory",
    ),
    "written through a link to a symbolic link": (
        lambda canary: [
            tar.symlink("a", canary), tar.hard_link("b", "a"), tar.file("b/new"),
        ],
        r"`b/new` lies beneath something that is not a directory",
    ),
    "a hard link through a symbolic link": (
        lambda canary: [tar.symlink("a", canary), tar.hard_link("b", "a/secret")],
        r"`b` is a hard link to something that is not in the layer",
    ),
    "a link that replaces a directory with something in it": (
        lambda canary: [tar.directory("a"), tar.file("a/new"), tar.symlink("a", canary)],
        r"`a/new` lies beneath something that is not a directory",
    ),
    "a file beneath a file": (
        lambda _: [tar.file("a"), tar.file("a/b")],
        r"`a/b` lies beneath something that is not a directory",
    ),
    "an opaque file": (
        lambda _: [tar.file("a"), tar.file("a/.wh..wh..opq", b"")],
        r"`a` is marked opaque and is not a directory",
    ),
    "a whiteout of nothing": (lambda _: [tar.file(".wh.", b"")], "a whiteout that names nothing"),
    "a whiteout of what is above": (
        lambda _: [tar.file("a/.wh...", b"")],
        "a whiteout that names nothing",
    ),
    "a ring of hard links": (
        lambda _: [tar.hard_link("a", "b"), tar.hard_link("b", "c"), tar.hard_link("c", "a")],
        r"is a hard link to something that is not in the layer",
    ),
    "a hard link to itself": (
        lambda _: [tar.hard_link("a", "a")],
        r"`a` is a hard link to itself",
    ),
    "a hard link to a directory": (
        lambda _: [tar.directory("a"), tar.hard_link("b", "a")],
        r"`b` is a hard link to a directory",
    ),
    "the root as a file": (lambda _: [tar.file("./")[:512], tar.symlink(".", "/")], r"is the root"),
    "a negative size": (
        lambda _: [tar.header("a", size=b"\xff" * 12)],
        r"bad tar at byte 512: the size of an entry is unreadable",
    ),
    "a size beyond all disks": (
        lambda _: [tar.header("a", size=b"\x80" + b"\0" * 3 + b"\x7f" + b"\xff" * 7)],
        r"bad tar at byte 1536: it is cut short",
    ),
    "cut short in a file": (
        lambda _: [tar.header("a", size=9000), bytes(1000)],
        r"bad tar at byte 2536: it is cut short",
    ),
    "a NUL in a name": (
        lambda _: [tar.pax(tar.record(b"path", b"a\0b")), tar.file("x")],
        r"unsafe path .* it contains a NUL",
    ),
    "a path of 100,000 bytes": (
        lambda _: [tar.long_name((A_NAME + b"/") * 500), tar.file("x")],
        r"the layer has more than 4095 bytes in a path",
    ),
    "a name of 100,000 bytes": (
        lambda _: [tar.pax(tar.record(b"path", b"n" * 100_000)), tar.file("x")],
        r"the layer has more than 255 bytes in the name of a file",
    ),
    "10,000 directories deep": (
        lambda _: [tar.long_name(b"d/" * 10_000), tar.directory("x")],
        r"the layer has more than \d+ (bytes in a path|directories in a path)",
    ),
    "2,000 directories deep": (
        lambda _: [tar.long_name(b"d/" * 2000), tar.directory("x")],
        r"the layer has more than 1024 directories in a path",
    ),
    "a header of 5 MB": (
        lambda _: [tar.pax(tar.record(b"comment", b"c" * 5_000_000)), tar.file("x")],
        r"the layer has more than 4194304 bytes in an extended header",
    ),
    "a record that counts beyond its header": (
        lambda _: [tar.pax(b"99999999999999999999 path=x\n"), tar.file("x")],
        r"a pax header is malformed",
    ),
    "a record that counts nothing": (
        lambda _: [tar.pax(b"0 path=x\n"), tar.file("x")],
        r"a pax header is malformed",
    ),
    "an extended header and nothing behind it": (
        lambda _: [tar.pax(tar.record(b"path", b"a"))],
        r"an extended header has no entry behind it",
    ),
    "2,000 attributes": (
        lambda _: [
            tar.pax(*(tar.record(XATTR + b"%d" % number, b"x") for number in range(2000))),
            tar.file("x"),
        ],
        r"the value of a pax record is unreadable",
    ),
    "an attribute of 100 kB": (
        lambda _: [tar.pax(tar.record(XATTR + b"a", b"x" * 100_000)), tar.file("x")],
        r"`x` has an extended attribute that is longer than Linux allows",
    ),
    "attributes that links repeat without end": (
        lambda _: [
            tar.pax(*(tar.record(XATTR + b"%d" % n, b"x" * 65_000) for n in range(60))),
            tar.file("x"),
            *(tar.hard_link(f"l{number}", "x") for number in range(200)),
        ],
        r"the layer has more than 536870912 bytes of names and attributes",
    ),
    "a map that contradicts the size": (
        lambda _: [
            tar.pax(
                tar.record(b"GNU.sparse.size", b"10"), tar.record(b"GNU.sparse.map", b"0,100,50,1")
            ),
            tar.file("x", b"x" * 101),
        ],
        r"`x` is a sparse file whose map contradicts its size",
    ),
    "a type that nobody knows": (lambda _: [tar.header("a", b"Z")], r"a type that is not known"),
    "one volume of several": (lambda _: [tar.header("a", b"M")], r"it is one volume of several"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_hostile_layer_is_refused(cli: Cli, canary: Path, name: str) -> None:
    pieces, pattern = REFUSED[name]
    is_refused(cli, archive(cli, *pieces(canary), tar.END), pattern)


def test_a_compressed_layer_that_is_cut_short_is_refused(cli: Cli, canary: Path) -> None:
    whole = gzip.compress(tar.file("a", os.urandom(100_000)) + tar.END)
    is_refused(cli, archive(cli, whole[:50_000]), r"bad gzip data: ")
    damaged = whole[:50_000] + b"damage" + whole[50_006:]
    is_refused(cli, archive(cli, damaged), r"bad (gzip data|tar)")


# Bombs -------------------------------------------------------------------------------


# A process begins with the peak of the one that started it, and that of the tests is high.
MEASURED = """
import os, sys
pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(pid, 0)
print(usage.ru_maxrss // 1024)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def peak(cli: Cli, *words: str | Path) -> tuple[str, float, int]:
    """Run a command that fails; answer what it said, its seconds, and its peak of memory in MB."""
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", MEASURED, *cli.account.command(*map(str, words))],
        env=cli.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    return done.stderr, time.monotonic() - started, int(done.stdout)


BOMBS = {
    "10 million empty files": (
        lambda: tar.repeated(tar.header("empty") * 8192, 1221),
        "error: the layer has more than 2000000 entries\n",
    ),
    "8 GB of zeros": (
        lambda: [
            gzip.compress(tar.header("zeros", size=8 << 30)),
            *tar.repeated(bytes(16 << 20), 512),
        ],
        "error: the layer has more than 500 uncompressed bytes for each compressed one\n",
    ),
    "100,000 names in a chain of links": (
        lambda: [
            gzip.compress(tar.file("l0")),
            gzip.compress(b"".join(tar.hard_link(f"l{n + 1}", f"l{n}") for n in range(100_000))),
            gzip.compress(tar.hard_link("end", "nowhere") + tar.END),
        ],
        "error: bad tar: `end` is a hard link to something that is not in the layer\n",
    ),
    "30,000 names that imply 30 million directories": (
        lambda: [
            gzip.compress(
                b"".join(
                    tar.long_name(b"%06d" % number + b"/d" * 1000) + tar.file("x", b"")
                    for number in range(30_000)
                ),
                1,
            ),
        ],
        "error: the layer has more than ",
    ),
    "a global header of 300,000 records": (
        lambda: [
            gzip.compress(
                tar.pax(*(tar.record(b"%06d" % n, b"x") for n in range(300_000)), kind=b"g")
                + tar.file("x")
                + tar.END
            )
        ],
        "error: the layer has more than 64 records in global headers\n",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_goes_off_in_nobodys_face(cli: Cli, canary: Path, name: str) -> None:
    pieces, message = BOMBS[name]
    path = archive(cli, *pieces())
    said, seconds, megabytes = peak(cli, "import", path, "bomb")
    assert said.startswith(message)
    assert said.count("\n") == 1
    # Far from what the archive asks for; slow machines and busy ones have their room.
    assert seconds < 60
    assert megabytes < 1000
    is_whole(cli)
    assert list((cli.root / "tmp").iterdir()) == []
    assert list((cli.root / "packs").iterdir()) == []


# What is taken in, and harms nobody ----------------------------------------------------


def probe(cli: Cli, busybox_tar: Path, path: Path, command: str, *copies: str) -> str:
    """Build on a hostile layer as on any image, and answer what a command in there says."""
    cli("import", busybox_tar, "box")
    cli("import", path, "hostile")
    lines = ["FROM hostile", "COPY --from=box /bin/busybox /bin/busybox", *copies]
    run = f'RUN ["/bin/busybox", "sh", "-c", "export PATH=/applets; {command}"]'
    applets = 'RUN ["/bin/busybox", "mkdir", "/applets"]'
    install = 'RUN ["/bin/busybox", "--install", "-s", "/applets"]'
    text = "\n".join([*lines, applets, install, run]) + "\n"
    context = cli.directory("probe", {"Dockerfile": text, "payload": "payload"})
    done = cli("build", "--progress=plain", "-t", "probed", context)
    is_whole(cli)
    said = re.findall(r"^#\d+ [\d.]+ (.*)$", done.stderr, re.MULTILINE)
    return "\n".join(said)


@pytest.fixture(params=["directory", "erofs"])
def either_form(cli: Cli, request: pytest.FixtureRequest) -> Cli:
    """The command with layers that are extracted, and with layers that are mounted in place."""
    form = str(request.param)
    if form == "erofs" and not cli.account.is_root:
        pytest.skip("only root mounts images")
    return Cli(cli.account, cli.root, {"DISSOLVER_LAYERS": form})


def test_links_that_lead_out_lead_nowhere(
    either_form: Cli, canary: Path, busybox_tar: Path
) -> None:
    path = archive(
        either_form,
        tar.symlink("absolute", canary),
        tar.symlink("relative", "../../../../../.." + str(canary)),
        tar.symlink("again", "absolute"),
        tar.hard_link("hard", "absolute"),
        tar.symlink("etc", canary),
        tar.END,
    )
    copies = [f"COPY payload /{name}/{name}" for name in ("absolute", "relative", "again", "hard")]
    command = f"touch /etc/passwd-; ls {canary}"
    said = probe(either_form, busybox_tar, path, command, *copies, "WORKDIR /again/work")
    names = said.split()
    assert {"absolute", "relative", "again", "hard", "work", "passwd-"} <= set(names)
    assert "secret" not in names


def test_contradictions_are_settled_as_the_last_word_says(
    either_form: Cli, canary: Path, busybox_tar: Path
) -> None:
    path = archive(
        either_form,
        tar.file("file-then-directory"), tar.directory("file-then-directory"),
        tar.file("file-then-directory/x"),
        tar.directory("directory-then-file"), tar.file("directory-then-file"),
        tar.symlink("link-then-directory", canary), tar.directory("link-then-directory"),
        tar.file("link-then-directory/new"),
        tar.file("hidden"), tar.file(".wh.hidden", b""),
        tar.directory("opaque"), tar.file("opaque/.wh..wh..opq", b""),
        tar.file("opaque/.wh..wh..opq", b""), tar.file("opaque/x"),
        tar.file("/absolute"), tar.file("./dots//and//slashes"),
        tar.file("twice", b"one"), tar.file("twice", b"two"),
        tar.END,
    )  # fmt: skip
    command = "cd /; find file-then* direct* link-* hidden opaque absolute dots twice; cat twice"
    said = probe(either_form, busybox_tar, path, command)
    assert said.split() == [
        "file-then-directory", "file-then-directory/x", "directory-then-file",
        "link-then-directory", "link-then-directory/new", "hidden", "opaque", "opaque/x",
        "absolute", "dots", "dots/and", "dots/and/slashes", "twice", "two",
    ]  # fmt: skip


def test_devices_are_made_by_root_only(either_form: Cli, canary: Path, busybox_tar: Path) -> None:
    path = archive(
        either_form,
        tar.header("disk", b"4", device=(8, 0)),
        tar.header("null", b"3", device=(1, 3)),
        tar.hard_link("again", "disk"),
        tar.END,
    )
    said = probe(either_form, busybox_tar, path, "cd /; ls disk null again 2>&1 || true")
    missing = [f"ls: {name}: No such file or directory" for name in ("disk", "null", "again")]
    present = ["again", "disk", "null"]
    assert said.split("\n") == (present if either_form.account.is_root else missing)


def test_files_that_a_build_leaves_behind_stay_in_their_directory(cli: Cli, canary: Path) -> None:
    lower = archive(
        cli,
        tar.symlink("climbs", canary),
        tar.symlink("up", "../../../../../.." + str(canary)),
        tar.symlink("also", canary),
        tar.header("disk", b"4", device=(8, 0)),
        tar.hard_link("again", "disk"),
        tar.END,
    )
    cli("import", lower, "hostile")
    text = "FROM hostile\nADD upper.tar /\nCOPY payload /up/payload\n"
    pieces = [tar.directory("also"), tar.file("also/secret"), tar.END]
    files = {"Dockerfile": text, "payload": "payload", "upper.tar": b"".join(pieces)}
    made = cli.directory("probe", files)
    out = cli.directory("out", {})
    # What the directory has must lead nowhere either.
    (out / "again").symlink_to(canary / "new")
    (out / "climbs").symlink_to(canary / "secret")
    for attempt in range(2):
        told = cli("build", "--progress=plain", "-o", out, made)
        assert "2 devices were left out" in told.stderr, attempt
        assert (out / "climbs").readlink() == canary
        assert sorted(path.name for path in out.iterdir() if not path.is_symlink()) == [
            "also",
            str(canary)[1:].partition("/")[0],
        ]
        assert (out / "also" / "secret").read_bytes() == b"x"
        assert (out / str(canary)[1:] / "payload").read_text() == "payload"
        (out / "again").unlink(missing_ok=True)
