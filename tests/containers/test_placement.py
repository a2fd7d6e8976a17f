"""Where copies go: Docker's rules, row by row, between directories that stand for roots."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dissolver._core.files import Root
from dissolver.containers.files.placement import copy_between
from dissolver.errors import CopyFailed

FILES = {"etc/group": "g", "home/node/.keep": "", "tmp/.keep": ""}
SOURCES = {"file": "text", "tree/a": "1", "tree/sub/b": "22"}


def make(place: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)
    return place


@pytest.fixture
def source(tmp_path: Path) -> Path:
    place = make(tmp_path / "source", SOURCES)
    (place / "tree" / "link").symlink_to("a")
    (place / "link").symlink_to("tree")
    (place / "dangling").symlink_to("nothing")
    return place


@pytest.fixture
def target(tmp_path: Path) -> Path:
    place = make(tmp_path / "target", FILES)
    (place / "to-tmp").symlink_to("/tmp")
    (place / "to-group").symlink_to("etc/group")
    (place / "to-new").symlink_to("/tmp/new")
    (place / "to-nowhere").symlink_to("/missing/new")
    (place / "to-pipe").symlink_to("pipe")
    os.mkfifo(place / "pipe")
    return place


def root_at(path: Path) -> Root:
    descriptor = os.open(path, os.O_PATH | os.O_DIRECTORY)
    try:
        return Root(descriptor)
    finally:
        os.close(descriptor)


def listed(place: Path) -> str:
    """Name everything beneath a directory."""
    return " ".join(
        sorted(str(path.relative_to(place)) for path in place.rglob("*") if path.name != ".keep")
    )


TREE = "{0} {0}/a {0}/link {0}/sub {0}/sub/b"
BARE = "etc etc/group home home/node pipe tmp to-group to-new to-nowhere to-pipe to-tmp"


def with_added(names: str) -> str:
    return " ".join(sorted({*BARE.split(), *names.split()}))


# Source, destination, follows a link, and the names that are new afterwards.
COPIED: list[tuple[str, str, bool, str]] = [
    ("/file", "/tmp", False, "tmp/file"),
    ("/file", "/tmp/", False, "tmp/file"),
    ("/file", "/tmp/.", False, "tmp/file"),
    ("/file", "/", False, "file"),
    ("/file", "/..", False, "file"),
    ("/file", "/tmp/../tmp/new", False, "tmp/new"),
    ("/file", "/tmp/new", False, "tmp/new"),
    ("//file", "//tmp//new", False, "tmp/new"),
    ("/tree/../file", "/tmp", False, "tmp/file"),
    ("/file", "/etc/group", False, ""),
    ("/file", "/to-group", False, ""),
    ("/file", "/to-tmp", False, "tmp/file"),
    ("/file", "/to-tmp/new", False, "tmp/new"),
    ("/file", "/to-new", False, "tmp/new"),
    ("/tree", "/tmp/new", False, TREE.format("tmp/new")),
    ("/tree", "/tmp/new/", False, TREE.format("tmp/new")),
    ("/tree/.", "/tmp/new", False, TREE.format("tmp/new")),
    ("/tree", "/tmp", False, TREE.format("tmp/tree")),
    ("/tree/", "/tmp/", False, TREE.format("tmp/tree")),
    ("/tree/sub/..", "/tmp", False, TREE.format("tmp/tree")),
    ("/tree/.", "/tmp", False, TREE.format("tmp").removeprefix("tmp ")),
    ("/tree/.", "/tmp/.", False, TREE.format("tmp").removeprefix("tmp ")),
    (
        "/",
        "/tmp/new",
        False,
        "tmp/new tmp/new/dangling tmp/new/file tmp/new/link " + TREE.format("tmp/new/tree"),
    ),
    ("/link", "/tmp", False, "tmp/link"),
    ("/link", "/tmp", True, TREE.format("tmp/link")),
    ("/link/", "/tmp", False, TREE.format("tmp/link")),
    ("/link/.", "/tmp", False, TREE.format("tmp").removeprefix("tmp ")),
    ("/tree/link", "/tmp/new", True, "tmp/new"),
    ("/dangling", "/tmp", False, "tmp/dangling"),
]


@pytest.mark.parametrize(("path", "to", "follows", "added"), COPIED)
def test_copies_go_where_docker_puts_them(
    source: Path, target: Path, path: str, to: str, follows: bool, added: str
) -> None:
    copy_between(
        root_at(source),
        path,
        root_at(target),
        to,
        owner=(os.geteuid(), os.getegid()),
        follows_link=follows,
        shown=("from", "to"),
    )
    assert listed(target) == with_added(added)
    assert (target / "to-group").is_symlink()
    expected = "text" if to in ("/etc/group", "/to-group") else "g"
    assert (target / "etc/group").read_text() == expected


REFUSED: list[tuple[str, str, str]] = [
    ("/file", "/tmp/missing/", "the directory `to` does not exist"),
    ("/file", "/tmp/missing/.", "the directory `to` does not exist"),
    ("/file", "/missing/new", "there is no directory for `to`"),
    ("/file", "/etc/group/new", "there is no directory for `to`"),
    ("/file", "/to-nowhere", "there is no directory for `to`"),
    ("/tree", "/missing/new", "there is no directory for `to`"),
    ("/file", "/etc/group/", "`to` is not a directory"),
    ("/file", "/to-group/", "`to` is not a directory"),
    ("/file/", "/tmp", "`from` is not a directory"),
    ("/file/.", "/tmp", "`from` does not exist"),
    ("/nothing", "/tmp", "`from` does not exist"),
    ("/nothing/at/all", "/tmp", "`from` does not exist"),
    ("/dangling/", "/tmp", "`from` does not exist"),
    ("/tree", "/etc/group", "cannot copy a directory to the file `to`"),
    ("/file", "/pipe", "`to` is a device or a pipe, which a copy would replace"),
    ("/tree/link", "/to-pipe", "`to` is a device or a pipe, which a copy would replace"),
    ("/tree/.", "/to-group", "cannot copy a directory to the file `to`"),
]


@pytest.mark.parametrize(("path", "to", "message"), REFUSED)
def test_what_cannot_be_is_refused_and_nothing_is_written(
    source: Path, target: Path, path: str, to: str, message: str
) -> None:
    with pytest.raises(CopyFailed) as caught:
        copy_between(
            root_at(source),
            path,
            root_at(target),
            to,
            owner=None,
            follows_link=False,
            shown=("from", "to"),
        )
    assert caught.value.message == message
    assert listed(target) == BARE


@pytest.mark.parametrize(
    ("files", "taken", "message"),
    [
        ({"name/x": "1"}, {"name": "file"}, "cannot replace `name` in `to` by a directory"),
        (
            {"name": "file"},
            {"name/x": "1"},
            "cannot replace the directory `name` in `to` by a file",
        ),
    ],
)
def test_directories_and_files_do_not_replace_each_other(
    tmp_path: Path, files: dict[str, str], taken: dict[str, str], message: str
) -> None:
    one, two = make(tmp_path / "one", files), make(tmp_path / "two", taken)
    with pytest.raises(CopyFailed) as caught:
        copy_between(
            root_at(one),
            "/.",
            root_at(two),
            "/",
            owner=None,
            follows_link=False,
            shown=("from", "to"),
        )
    assert caught.value.message == message
