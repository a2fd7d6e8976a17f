"""Opening files of a directory without leaving it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dissolver.build.beneath import LeadsOut, open_beneath


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A directory with a file, and another one outside of it."""
    (tmp_path / "secret").write_text("secret")
    root = tmp_path / "root"
    (root / "a/b").mkdir(parents=True)
    (root / "a/file").write_text("content")
    return root


def read(root: Path, inside: str) -> str:
    descriptor = open_beneath(root, inside)
    with os.fdopen(descriptor) as file:
        return file.read()


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("x", "a/file"),
        ("x", "./a//b/../file"),
        ("a/b/x", "../file"),
        ("a/b/x", "../../a/file"),
        ("x", "/a/file"),
        ("a/b/x", "/a/b/../file"),
        ("x", "{root}/a/file"),
    ],
)
def test_links_within_a_directory_are_followed(root: Path, link: str, target: str) -> None:
    (root / link).symlink_to(target.format(root=root))
    assert read(root, link) == "content"


def test_a_link_on_the_way_is_followed_too(root: Path) -> None:
    (root / "way").symlink_to("a")
    (root / "a/b/on").symlink_to("../../way")
    assert read(root, "a/b/on/file") == "content"


@pytest.mark.parametrize(
    ("link", "target", "inside"),
    [
        ("x", "../secret", "x"),
        ("x", "{root}/../secret", "x"),
        ("x", "{root}-other/secret", "x"),
        ("x", "/etc/passwd", "x"),
        ("x", "/proc/self/root/etc/passwd", "x"),
        ("a/b/x", "../../../secret", "a/b/x"),
        ("way", "..", "way/secret"),
        ("way", "/etc", "way/passwd"),
        ("a/x", "b/../../../root/a/file", "a/x"),
    ],
)
def test_a_link_that_leads_out_is_named(root: Path, link: str, target: str, inside: str) -> None:
    (root / link).symlink_to(target.format(root=root))
    with pytest.raises(LeadsOut) as raised:
        open_beneath(root, inside)
    assert raised.value.link == link


def test_of_several_links_the_one_that_leads_out_is_named(root: Path) -> None:
    (root / "x").symlink_to("a/y")
    (root / "a/y").symlink_to("../../secret")
    with pytest.raises(LeadsOut) as raised:
        open_beneath(root, "x")
    assert raised.value.link == "a/y"


@pytest.mark.parametrize(
    ("inside", "problem"),
    [
        ("none", FileNotFoundError),
        ("dangling", FileNotFoundError),
        ("a/file/x", NotADirectoryError),
        ("", IsADirectoryError),
        ("a/..", IsADirectoryError),
        ("loop", OSError),
    ],
)
def test_what_is_not_there_is_told_as_the_kernel_does(
    root: Path, inside: str, problem: type[OSError]
) -> None:
    (root / "dangling").symlink_to("gone")
    (root / "loop").symlink_to("loop")
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(problem):
        open_beneath(root, inside)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
