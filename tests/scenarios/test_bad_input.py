"""Bad input gets a one-line error with place and hint, and the store still works."""

from __future__ import annotations

import io
import os
import re
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from scene import Account, Cli, free_port

# What is wrong, the Dockerfile (None: there is none), and what the error must say.
DOCKERFILES = {
    "none": (None, [r"error: .*Dockerfile", r"hint: "]),
    "empty": ("", [r"error: .*empty"]),
    "only comments": ("# nothing\n\n", [r"error: .*no instructions"]),
    "unknown instruction": (
        "FROM box\nCOPPY a b\n",
        [r"error: unknown instruction `COPPY`", r"Dockerfile:2", r"hint: did you mean `COPY`"],
    ),
    "no stage": ("RUN true\n", [r"error: `RUN` stands before the first `FROM`", r"Dockerfile:1"]),
    "unknown stage": (
        "FROM box AS builder\nRUN true\nFROM box\nCOPY --from=bulider /a /b\n",
        [r"error: .*`bulider`", r"Dockerfile:4", r"hint: .*did you mean `builder`"],
    ),
    "missing file": (
        "FROM box\nCOPY server.jss /app/\n",
        [r"error: .*server\.jss", r"Dockerfile:2", r"hint: .*`server\.js`"],
    ),
    "outside the context": (
        "FROM box\nCOPY ../secret /app/\n",
        [r"error: .*secret", r"Dockerfile:2", r"hint: "],
    ),
    "unknown image": (
        "FROM nowhere:1\nRUN true\n",
        [r"error: .*nowhere:1", r"hint: .*dissolver (image bootstrap|import|build)"],
    ),
    "not allowed": (
        "FROM box\nRUN --security=insecure true\n",
        [r"error: `RUN --security=insecure` is not allowed", r"Dockerfile:2", r"hint: .*--allow"],
    ),
    "bad json": (
        'FROM box\nVOLUME [""]\n',
        [r"error: `VOLUME` specified can not be an empty string", r"Dockerfile:2"],
    ),
}


def is_one_clear_error(done: subprocess.CompletedProcess[str], *patterns: str) -> None:
    """Claim that there is one `error:` line, all ``patterns``, and no traceback."""
    assert "Traceback" not in done.stderr
    assert len(re.findall(r"^error: ", done.stderr, re.MULTILINE)) == 1, done.stderr
    for pattern in patterns:
        assert re.search(pattern, done.stderr), f"{pattern!r} is not in\n{done.stderr}"


def still_works(cli: Cli) -> None:
    context = cli.directory("fine", {"Dockerfile": "FROM box\nRUN echo fine > /fine\n"})
    cli("build", "-t", "fine", context)
    assert cli.out("run", "--rm", "fine", "cat", "/fine") == "fine"


@pytest.mark.parametrize("name", DOCKERFILES)
def test_a_bad_dockerfile_is_explained(box: Cli, name: str) -> None:
    text, patterns = DOCKERFILES[name]
    files = {"server.js": "x"} if text is None else {"server.js": "x", "Dockerfile": text}
    done = box("build", box.directory("bad", files), check=False)
    assert done.returncode == 1
    is_one_clear_error(done, *patterns)


def test_a_failing_run_shows_its_output_its_lines_and_its_code(box: Cli) -> None:
    text = "FROM box\nRUN echo one > /one\nRUN echo going down; \\\n    exit 7\n"
    context = box.directory("fail", {"Dockerfile": text})
    first = box("build", "--progress=plain", context, check=False)
    assert first.returncode == 1
    is_one_clear_error(first, "going down", r"exit code: 7", r"Dockerfile:3", r"exit 7")
    second = box("build", "--progress=plain", context, check=False)
    assert re.search(r"^#\d+ CACHED$", second.stderr, re.MULTILINE)
    still_works(box)


def test_a_missing_context_is_explained(box: Cli) -> None:
    done = box("build", box.account.home / "no-such-directory", check=False)
    assert done.returncode == 1
    is_one_clear_error(done, "no-such-directory")


@pytest.mark.parametrize("tag", ["UPPER:1", "bad tag", "a:b:c:d", "-x", "name:" + "t" * 129, ":"])
def test_a_bad_tag_is_refused_before_anything_is_built(box: Cli, tag: str) -> None:
    context = box.directory("tag", {"Dockerfile": "FROM box\nRUN true\n"})
    done = box("build", f"--tag={tag}", context, check=False)
    assert done.returncode == 1
    is_one_clear_error(done)
    assert "RUN true" not in done.stderr


@pytest.mark.parametrize(
    ("words", "pattern"),
    [
        (["nowhere"], r"nowhere"),
        (["-p", "http:80", "box"], r"port"),
        (["-p", "80:99999", "box"], r"port"),
        (["-v", "relative/path:", "box"], r"volume|path"),
        (["--network", "marsnet", "box"], r"marsnet"),
        (["-u", "nobody-here", "box", "true"], r"nobody-here"),
        (["-w", "relative", "box", "true"], r"relative"),
        (["--name", "bad name", "box", "true"], r"name"),
    ],
)
def test_run_refuses_what_it_cannot_do(box: Cli, words: list[str], pattern: str) -> None:
    done = box("run", "--rm", *words, check=False)
    assert done.returncode == 125
    is_one_clear_error(done, pattern)
    assert box.out("ps", "-aq") == ""


def test_exit_codes_of_run_are_those_people_know(box: Cli) -> None:
    assert box("run", "--rm", "box", "sh", "-c", "exit 42", check=False).returncode == 42
    assert box("run", "--rm", "box", "no-such-program", check=False).returncode == 127
    assert box("run", "--rm", "box", "/etc/passwd", check=False).returncode == 126
    # The first process of a container cannot kill itself; another one can be killed.
    killed = "sh -c 'kill -9 $$'; exit $?"
    assert box("run", "--rm", "box", "sh", "-c", killed, check=False).returncode == 137


def test_a_name_in_use_names_its_owner(box: Cli) -> None:
    box("run", "--name", "mine", "box", "true")
    done = box("run", "--name", "mine", "box", "true", check=False)
    assert done.returncode == 125
    is_one_clear_error(done, r"mine", r"hint: ")


def test_a_port_in_use_is_told(box: Cli) -> None:
    port = free_port()
    box("run", "-d", "--name", "one", "-p", f"{port}:80", "box", "sleep", "60")
    done = box("run", "-d", "--name", "two", "-p", f"{port}:80", "box", "sleep", "60", check=False)
    assert done.returncode == 125
    is_one_clear_error(done, str(port))
    box("rm", "-f", "one")


@pytest.mark.parametrize(
    ("words", "pattern"),
    [
        (["rmi", "nowhere"], "nowhere"),
        (["rm", "nowhere"], "nowhere"),
        (["stop", "nowhere"], "nowhere"),
        (["logs", "nowhere"], "nowhere"),
        (["exec", "nowhere", "true"], "nowhere"),
        (["tag", "nowhere", "a:b"], "nowhere"),
        (["image", "inspect", "nowhere"], "nowhere"),
        (["history", "nowhere"], "nowhere"),
        (["import", "/no/such/file.tar"], r"/no/such/file\.tar"),
    ],
)
def test_what_is_not_there_is_named(box: Cli, words: list[str], pattern: str) -> None:
    done = box(*words, check=False)
    assert done.returncode == 1
    is_one_clear_error(done, pattern)


@pytest.mark.parametrize(
    "words", [["bild"], ["build", "--no-cahce", "."], ["image", "lss"], ["run", "--rmm", "box"]]
)
def test_a_slip_of_the_keyboard_gets_a_suggestion(box: Cli, words: list[str]) -> None:
    done = box(*words, check=False)
    assert done.returncode in (1, 2, 125)
    is_one_clear_error(done, r"did you mean")


def test_a_tar_that_is_none_is_refused(box: Cli) -> None:
    path = box.directory("tar", {"x.tar": os.urandom(4096)}) / "x.tar"
    done = box("import", path, "x", check=False)
    assert done.returncode == 1
    is_one_clear_error(done)
    still_works(box)


@pytest.fixture
def small_disk(root_account: Account, tmp_path: Path) -> Iterator[Path]:
    """A file system of 40 MB, loop-mounted; only root can mount one."""
    image, place = tmp_path / "disk.img", tmp_path / "disk"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(40_000_000)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True, capture_output=True)
    mounted = subprocess.run(
        ["mount", "-o", "loop", image, place], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"no loop mount here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_a_full_disk_is_told_and_the_store_still_works(
    root_account: Account, small_disk: Path, busybox_tar: Path
) -> None:
    cli = Cli(root_account, small_disk / "store")
    cli("import", busybox_tar, "box")
    run = "FROM box\nRUN dd if=/dev/zero of=/big bs=1M count=60\n"
    done = cli("build", cli.directory("full", {"Dockerfile": run}), check=False)
    assert done.returncode == 1
    is_one_clear_error(done, "[Nn]o space left")
    files = {"Dockerfile": "FROM box\nCOPY big /big\n", "big": os.urandom(45_000_000)}
    copied = cli("build", cli.directory("full", files), check=False)
    assert copied.returncode == 1
    is_one_clear_error(copied, "[Nn]o space left", "hint: ")
    cli("system", "prune", "-f")
    files = {"Dockerfile": "FROM box\nADD big.gz /\n", "big.gz": gzipped_tar(bytes(45_000_000))}
    added = cli("build", cli.directory("full", files), check=False)
    assert added.returncode == 1
    is_one_clear_error(added, "cannot unpack the archive: no space left", "hint: ")
    still_works(cli)
    assert cli("system", "check").returncode == 0


def gzipped_tar(content: bytes) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz", compresslevel=1) as tar:
        entry = tarfile.TarInfo("big")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    return made.getvalue()


def test_a_disk_that_is_too_full_to_extract_a_layer_is_told(
    extracted_account: Account, small_disk: Path, busybox_tar: Path
) -> None:
    cli = Cli(extracted_account, small_disk / "store")
    cli("import", busybox_tar, "box")
    copy = "FROM box\nCOPY big /big\n"
    files = {"Dockerfile": copy, "more": copy + "RUN true\n", "big": os.urandom(18_000_000)}
    context = cli.directory("full", files)
    cli("build", "-t", "big", context)
    for words in (("build", "-f", context / "more", context), ("run", "--rm", "big", "true")):
        done = cli(*words, check=False)
        assert done.returncode != 0
        is_one_clear_error(done, "cannot extract the layers: no space left on the disk", "hint: ")
    assert cli("system", "check").returncode == 0
