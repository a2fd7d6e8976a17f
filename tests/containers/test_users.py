"""Who a process runs as."""

from __future__ import annotations

import os
import socket
import stat
import threading
import tracemalloc
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from basis import Base, needs_root
from dissolver.errors import RunError
from dissolver.sandbox.upper import RunningFiles, make_working_directory
from dissolver.sandbox.users import User, resolve_user

PASSWD = """\
root:x:0:0:root:/root:/bin/sh
bin:x:1:1:bin:/bin:/bin/false
# a comment
broken line
node:x:1000:1001:Node:/home/node:/bin/sh
homeless:x:7:7:::/bin/sh
7777:x:12:12::/numeric:/bin/sh
"""
GROUP = """\
root:x:0:
bin:x:1:
audio:x:29:node,bin
video:x:44:node
node:x:1001:node
"""


class Files:
    """The two tables, in memory."""

    def __init__(self, files: Mapping[str, str | bytes]) -> None:
        self._files = files

    def read(self, path: str, *, limit: int) -> bytes:
        if path not in self._files:
            raise FileNotFoundError(path)
        content = self._files[path]
        return (content.encode() if isinstance(content, str) else content)[:limit]


DEBIAN = Files({"/etc/passwd": PASSWD, "/etc/group": GROUP})
SCRATCH = Files({})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", User(0, 0, (0,), "/root")),
        ("root", User(0, 0, (0,), "/root")),
        ("0", User(0, 0, (0,), "/root")),
        ("node", User(1000, 1001, (1001, 29, 44), "/home/node")),
        ("1000", User(1000, 1001, (1001, 29, 44), "/home/node")),
        ("node:audio", User(1000, 29, (29,), "/home/node")),
        ("node:44", User(1000, 44, (44,), "/home/node")),
        ("1000:0", User(1000, 0, (0,), "/home/node")),
        ("node:", User(1000, 1001, (1001, 29, 44), "/home/node")),
        (":audio", User(0, 29, (29,), "/root")),
        ("4242", User(4242, 0, (0,), "/")),
        ("4242:99", User(4242, 99, (99,), "/")),
        ("homeless", User(7, 7, (7,), "/")),
        ("7777", User(12, 12, (12,), "/numeric")),
        ("2147483647", User(2147483647, 0, (0,), "/")),
    ],
)
def test_a_user_is_found_in_the_image(text: str, expected: User) -> None:
    assert resolve_user(text, DEBIAN) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", User(0, 0, (0,), "/")), ("0:0", User(0, 0, (0,), "/")), ("5:6", User(5, 6, (6,), "/"))],
)
def test_numbers_need_no_tables(text: str, expected: User) -> None:
    assert resolve_user(text, SCRATCH) == expected


@pytest.mark.parametrize(
    ("text", "files", "message", "hint"),
    [
        (
            "nobody",
            DEBIAN,
            "unable to find user `nobody` in the image's `/etc/passwd`",
            "the image knows these users: root, bin, node, homeless, 7777",
        ),
        (
            "node:wheel",
            DEBIAN,
            "unable to find group `wheel` in the image's `/etc/group`",
            "the image knows these groups: root, bin, audio, video, node",
        ),
        (
            "node",
            SCRATCH,
            "unable to find user `node` in the image's `/etc/passwd`",
            "the image has no users; use a number",
        ),
        ("2147483648", DEBIAN, "user id `2147483648` is out of range 0 to 2147483647", None),
        ("-1", DEBIAN, "unable to find user `-1` in the image's `/etc/passwd`", None),
        ("٣", DEBIAN, "unable to find user `٣` in the image's `/etc/passwd`", None),
    ],
)
def test_an_unknown_user_is_a_clear_error(
    text: str, files: Files, message: str, hint: str | None
) -> None:
    with pytest.raises(RunError) as raised:
        resolve_user(text, files)
    assert raised.value.message == message
    if hint is not None:
        assert raised.value.hint == hint


# Tables that mean harm ---------------------------------------------------------------

GOOD = b"node:x:1000:1001::/home/node:/bin/sh\n"


@pytest.mark.parametrize(
    "line",
    [
        b"node:x:1_0:1::/:/bin/sh",
        "node:x:²:1::/:/bin/sh".encode(),
        "node:x:٣:1::/:/bin/sh".encode(),
        b"node:x:-1:1::/:/bin/sh",
        b"node:x:+5:1::/:/bin/sh",
        b"node:x: 5:1::/:/bin/sh",
        b"node:x:0x5:1::/:/bin/sh",
        b"node:x::1::/:/bin/sh",
        b"node:x:5",
        b"node:x:5:six::/:/bin/sh",
        b"node\0:x:5:5::/:/bin/sh",
        b"\0node:x:5:5::/:/bin/sh",
        b"nod\xe9:x:5:5::/:/bin/sh",
        b"#node:x:5:5::/:/bin/sh",
        b":x:5:5::/:/bin/sh",
        b"+node",
        b"-node",
        b"node",
        b"n" * 1_000_000,
        b":" * 1_000_000,
        b"\n" * 1_000_000,
    ],
)
def test_what_is_no_line_of_a_table_is_passed_over(line: bytes) -> None:
    files = Files({"/etc/passwd": line + b"\n" + GOOD, "/etc/group": line + b"\n"})
    assert resolve_user("node", files) == User(1000, 1001, (1001,), "/home/node")


@pytest.mark.parametrize("number", ["2147483648", "4294967295", "4294967296", "9" * 5000])
@pytest.mark.parametrize("fields", ["node:x:{}:1", "node:x:1:{}"])
def test_a_user_whose_number_is_none_is_no_user(number: str, fields: str) -> None:
    """Of 4294967295 the kernel makes that the process stays what it is: root."""
    files = Files({"/etc/passwd": f"{fields.format(number)}::/:/bin/sh\n"})
    with pytest.raises(
        RunError, match=r"^(user|group) id `.{1,40}` is out of range 0 to 2147483647$"
    ):
        resolve_user("node", files)


@pytest.mark.parametrize("text", ["{}", "1:{}"])
@pytest.mark.parametrize("number", ["2147483648", "4294967295", "9" * 5000])
def test_a_number_beyond_all_identities_is_an_error(text: str, number: str) -> None:
    with pytest.raises(
        RunError, match=r"^(user|group) id `.{1,40}` is out of range 0 to 2147483647$"
    ):
        resolve_user(text.format(number), DEBIAN)


@pytest.mark.parametrize("zeros", [1, 5000])
def test_leading_zeros_mean_nothing(zeros: int) -> None:
    files = Files({"/etc/passwd": f"node:x:{'0' * zeros}5:6::/:/bin/sh\n"})
    assert resolve_user("node", files).uid == 5
    assert resolve_user("0" * zeros + "5", files).gid == 6


@pytest.mark.parametrize(
    ("home", "expected"),
    [
        (b"/h\xc3\xa9", "/hé"),
        (b"/h\xe9", "/"),
        (b"/h\0e", "/h"),
        (b"/" + b"h" * 5000, "/"),
        (b"", "/"),
    ],
)
def test_a_home_that_is_no_text_or_path_is_the_root(home: bytes, expected: str) -> None:
    files = Files({"/etc/passwd": b"node:x:5:6::" + home + b":/bin/sh\n"})
    assert resolve_user("node", files).home == expected


def test_groups_that_are_none_are_not_joined() -> None:
    lines = "a:x:4294967295:node\nb:x:1_0:node\nc:x:-1:node\nd:x:29:nodes,node,\ne:x:30:nodes\n"
    files = Files({"/etc/passwd": GOOD, "/etc/group": lines})
    assert resolve_user("node", files).groups == (1001, 29)


def test_more_groups_than_the_kernel_takes_are_an_error() -> None:
    lines = "".join(f"g:x:{number}:node\n" for number in range(70_000))
    files = Files({"/etc/passwd": GOOD, "/etc/group": lines})
    with pytest.raises(RunError) as raised:
        resolve_user("node", files)
    assert raised.value.message.startswith("user `node` is in more groups of `/etc/group` than")
    assert resolve_user("node:5", files).groups == (5,)


@pytest.mark.parametrize(
    "line",
    [b"ab\n", b"\n", b"a::0:\n", b"a:x:0:0\n", b"a,", b":", b"node,a,", b"a:x:9:node,node\n"],
    ids=repr,
)
def test_a_table_needs_little_memory_beside_it(line: bytes) -> None:
    size = 1 << 20
    table = line * (size // len(line)) + b"\n" + GOOD
    files = Files({"/etc/passwd": table, "/etc/group": b"g:x:7:" + table})
    tracemalloc.start()
    try:
        resolve_user("node", files)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * size


def test_names_that_nobody_could_read_are_not_suggested() -> None:
    table = f"{'n' * 100_000}:x:1:1\n\x1b[2J:x:2:2\ngood:x:3:3\n"
    with pytest.raises(RunError) as raised:
        resolve_user("node", Files({"/etc/passwd": table}))
    assert raised.value.hint == "the image knows these users: good"


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.fspath(path))


def _device(path: Path) -> None:
    os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))


@needs_root
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (_fifo, "it is a pipe"),
        (_socket, "it is a socket"),
        (_device, "it is a device"),
        (Path.mkdir, "it is a directory"),
        (lambda path: path.symlink_to("/etc/passwd"), "it is a symbolic link"),
        (lambda path: path.symlink_to("/proc/self/mem"), "it is a symbolic link"),
        (lambda path: path.write_bytes(GOOD * 300_000), "it is longer than 4194304 bytes"),
        (lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_RDWR), 1 << 40),
         "it is longer than 4194304 bytes"),
    ],
)  # fmt: skip
def test_a_table_that_is_no_file_names_nobody(
    base: Base, tmp_path: Path, make: Callable[[Path], object], reason: str
) -> None:
    (tmp_path / "upper" / "etc").mkdir(parents=True)
    make(tmp_path / "upper" / "etc" / "passwd")
    files = RunningFiles(base.store.layers.view([base.layer]), tmp_path / "upper")
    with pytest.raises(RunError) as raised:
        resolve_user("node", files)
    assert raised.value.message == "unable to find user `node` in the image's `/etc/passwd`"
    assert raised.value.hint == f"`/etc/passwd` cannot be read: {reason}; use a number"
    assert resolve_user("5", files) == User(5, 0, (0,), "/")


@needs_root
def test_a_pipe_is_not_opened_to_see_what_it_is(base: Base, tmp_path: Path) -> None:
    pipe = tmp_path / "upper" / "etc" / "passwd"
    pipe.parent.mkdir(parents=True)
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: os.close(os.open(pipe, os.O_WRONLY)))
    writer.start()
    files = RunningFiles(base.store.layers.view([base.layer]), tmp_path / "upper")
    with pytest.raises(RunError):
        resolve_user("node", files)
    writer.join(0.2)
    waits_still = writer.is_alive()
    os.close(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK))
    writer.join()
    assert waits_still


@needs_root
@pytest.mark.parametrize("hidden", ["etc", "etc/passwd"])
def test_a_table_that_the_container_removed_is_not_the_images(
    base: Base, tmp_path: Path, hidden: str
) -> None:
    view = base.store.layers.view([base.layer])
    upper = tmp_path / "upper"
    (upper / "etc").mkdir(parents=True)
    if hidden == "etc":
        os.setxattr(upper / "etc", "trusted.overlay.opaque", b"y")
    else:
        os.mknod(upper / hidden, stat.S_IFCHR, 0)
    with pytest.raises(RunError) as raised:
        resolve_user("node", RunningFiles(view, upper))
    assert raised.value.hint == "the image has no users; use a number"


@needs_root
@pytest.mark.parametrize("cwd", ["/etc/new", "/srv/a/b/c"])
@pytest.mark.parametrize("level", [1, 2])
def test_a_working_directory_is_made_through_no_link(
    base: Base, tmp_path: Path, cwd: str, level: int
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o700)
    before = outside.stat()
    place = tmp_path / "upper" / Path(*Path(cwd).parts[1 : level + 1])
    place.parent.mkdir(parents=True)
    place.symlink_to(outside)
    make_working_directory(base.store.layers.view([base.layer]), tmp_path / "upper", cwd)
    assert (list(outside.iterdir()), outside.stat()) == ([], before)
