"""Who a process runs as."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from dissolver.errors import RunError
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

    def __init__(self, files: Mapping[str, str]) -> None:
        self._files = files

    def read(self, path: str, *, limit: int) -> bytes:
        if path not in self._files:
            raise FileNotFoundError(path)
        return self._files[path].encode()[:limit]


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
