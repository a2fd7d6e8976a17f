"""`/etc/passwd` and `/etc/group` that mean harm: one clear line, or passed over; never more."""

from __future__ import annotations

import re

import pytest

from scene import Cli

NODE = "node:x:1000:1000::/home/node:/bin/sh"

# What a program in a container can put in place of the table, and why nobody is found in it.
REPLACEMENTS = [
    ("mkfifo /etc/passwd", "it is a pipe"),
    ("mkdir /etc/passwd", "it is a directory"),
    ("ln -s /proc/self/mem /etc/passwd", "it is a symbolic link"),
    ("ln -s ../../../../../../etc/passwd /etc/passwd", "it is a symbolic link"),
    (f"yes '{NODE}' | head -c 10000000 > /etc/passwd", "it is longer than 4194304 bytes"),
    ("truncate -s 1000G /etc/passwd", "it is longer than 4194304 bytes"),
    ("mv /etc /etcetera; ln -s /etcetera /etc", "it is a symbolic link"),
]

# `id` would look into the table itself, and wait at a pipe.
UID = ("awk", "/^Uid:/ { print $2 }", "/proc/self/status")

DEVICES = ["c 240 0", "b 7 77", "c 1 8", "c 5 2", "c 10 200"]


def told(cli: Cli, *words: str) -> list[str]:
    """Run a command that fails as one that starts a program does; return its lines."""
    done = cli(*words, check=False)
    assert (done.returncode, done.stdout) == (125, "")
    return done.stderr.splitlines()


@pytest.fixture
def web(box: Cli) -> Cli:
    """The command, with a container `web` that sleeps."""
    box("run", "-d", "--name", "web", "--network", "none", "box", "sleep", "600")
    return box


@pytest.mark.parametrize(("script", "reason"), REPLACEMENTS)
def test_a_table_that_is_no_file_is_not_read(web: Cli, script: str, reason: str) -> None:
    script = script if script.startswith("mv") else f"rm /etc/passwd; {script}"
    web("exec", "web", "sh", "-c", script)
    lines = told(web, "exec", "-u", "node", "web", "id")
    assert lines[0] == "error: unable to find user `node` in the image's `/etc/passwd`"
    if not script.startswith("mv"):
        assert lines[1:] == [f"hint: `/etc/passwd` cannot be read: {reason}; use a number"]
    assert web.out("exec", "-u", "1000", "web", *UID) == "1000"
    assert web.out("exec", "web", *UID) == "0"


@pytest.mark.parametrize("device", DEVICES)
def test_a_device_in_place_of_a_table_is_not_opened(web: Cli, device: str) -> None:
    """Opening one does something: of major number 240 there is none, which opening would tell."""
    made = web(
        "exec", "web", "sh", "-c", f"rm /etc/passwd; mknod /etc/passwd {device}", check=False
    )
    if made.returncode != 0:
        assert not web.account.is_root
        pytest.skip("an ordinary user's container makes no devices")
    assert told(web, "exec", "-u", "node", "web", "id") == [
        "error: unable to find user `node` in the image's `/etc/passwd`",
        "hint: `/etc/passwd` cannot be read: it is a device; use a number",
    ]


def test_a_container_starts_again_whatever_its_table_became(box: Cli) -> None:
    script = "rm -f /etc/passwd /etc/group; mkfifo /etc/passwd /etc/group; echo made"
    box("run", "--name", "other", "--network", "none", "box", "sh", "-c", script)
    assert box.out("start", "-a", "other") == "made"


TABLES = [
    ("node:x:1_0:0::/:/bin/sh", "unable to find user `node` in the image's `/etc/passwd`"),
    ("node:x:²:0::/:/bin/sh", "unable to find user `node` in the image's `/etc/passwd`"),
    ("node:x:-1:0::/:/bin/sh", "unable to find user `node` in the image's `/etc/passwd`"),
    ("node\0:x:5:5::/:/bin/sh", "unable to find user `node` in the image's `/etc/passwd`"),
    ("n" * 3_000_000, "unable to find user `node` in the image's `/etc/passwd`"),
    ("node:x:4294967295:0::/:/bin/sh", "user id `4294967295` is out of range 0 to 2147483647"),
    ("node:x:0:4294967295::/:/bin/sh", "group id `4294967295` is out of range 0 to 2147483647"),
    (f"node:x:{'9' * 5000}:0::/:/bin/sh", "user id `2^32 or more` is out of range 0 to 2147483647"),
]


@pytest.mark.parametrize(("table", "message"), TABLES, ids=range(len(TABLES)))
def test_an_image_whose_table_names_nobody_is_told_of(box: Cli, table: str, message: str) -> None:
    place = box.directory(
        "table", {"passwd": f"{table}\n", "Dockerfile": "FROM box\nCOPY passwd /etc/\nUSER node\n"}
    )
    box("build", "-t", "hostile", place)
    lines = told(box, "run", "--rm", "--network", "none", "hostile", "id")
    assert lines[0] == f"error: {message}"
    assert len(lines) <= 2
    (place / "Dockerfile").write_text("FROM hostile\nRUN id\n")
    built = box("build", place, check=False)
    assert built.returncode == 1
    [error] = [line for line in built.stderr.splitlines() if line.startswith("error:")]
    assert error == f"error: {message}"
    assert "Traceback" not in built.stderr


def test_a_table_of_other_bytes_is_read_as_far_as_it_is_one(box: Cli) -> None:
    table = b"\xff\xfe\0\0:::\n\x1b[2J:x:1:1::/:/bin/sh\nnode:x:5:6::/caf\xe9:/bin/sh\n"
    group = b"\xff:x:9:node\n" + b"g:x:7:" + b"a," * 100_000 + b"node\n"
    place = box.directory(
        "table",
        {
            "passwd": table,
            "group": group,
            "Dockerfile": "FROM box\nCOPY passwd group /etc/\nUSER node\n",
        },
    )
    box("build", "-t", "hostile", place)
    words = ("run", "--rm", "--network", "none", "hostile", "sh", "-c", "id -u; id -G; echo $HOME")
    assert box.out(*words) == "5\n6 7 9\n/"


def test_a_user_in_a_million_groups_is_told_of(box: Cli) -> None:
    group = "".join(f"g:x:{number}:node\n" for number in range(200_000))
    place = box.directory("table", {"group": group, "Dockerfile": "FROM box\nCOPY group /etc/\n"})
    box("build", "-t", "hostile", place)
    [error, hint] = told(box, "run", "--rm", "--network", "none", "-u", "node", "hostile", "id")
    assert re.fullmatch("error: user `node` is in more groups .* than the 65536 .*", error)
    assert hint == "hint: name one group: `node:GROUP`"
    words = ("run", "--rm", "--network", "none", "-u", "node:node", "hostile", "id", "-u")
    assert "unable to find group `node`" in told(box, *words)[0]


@pytest.mark.parametrize("number", ["9" * 5000, "4294967295", "²", "1_0"])
def test_numbers_that_are_none_are_told_of(box: Cli, number: str) -> None:
    for words in (("-u", number), ("-u", f"0:{number}")):
        lines = told(box, "run", "--rm", "--network", "none", *words, "box", "id")
        assert lines[0].startswith("error: ")
        assert len(lines) <= 2
    place = box.directory(
        "owner", {"Dockerfile": f"FROM box\nCOPY --chown={number} x /\n", "x": ""}
    )
    built = box("build", place, check=False)
    assert built.returncode in (0, 1)
    assert "Traceback" not in built.stderr
    assert "unexpected" not in built.stderr
