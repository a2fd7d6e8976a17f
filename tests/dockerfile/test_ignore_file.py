"""Reading `.dockerignore`."""

from __future__ import annotations

import pytest

from dissolver.dockerfile.ignore import clean_path, read_ignore
from dissolver.errors import DockerfileError

FILES = [
    ("", []),
    ("\n\n  \n", []),
    ("node_modules\n", ["node_modules"]),
    ("a\nb", ["a", "b"]),
    ("a\r\nb\r\n", ["a", "b"]),
    ("\ufeffa\n", ["a"]),
    ("# comment\na", ["a"]),
    (" # not a comment", ["# not a comment"]),
    ("a # b", ["a # b"]),
    ("  a  \t", ["a"]),
    ("/a/b", ["a/b"]),
    ("a/", ["a"]),
    ("a//b/./c/../d", ["a/b/d"]),
    ("./a", ["a"]),
    (".", ["."]),
    ("/", ["/"]),
    ("..", [".."]),
    ("../a", ["../a"]),
    ("/../a", ["a"]),
    ("!a", ["!a"]),
    ("!  a", ["!a"]),
    ("!/a/", ["!a"]),
    ("**/*.log", ["**/*.log"]),
    ("*\n!src\n", ["*", "!src"]),
    ("\\#a", ["\\#a"]),
    ("\\!a", ["\\!a"]),
]


@pytest.mark.parametrize(("text", "patterns"), FILES)
def test_patterns_are_read(text: str, patterns: list[str]) -> None:
    assert read_ignore(text) == patterns


@pytest.mark.parametrize("line", ["!", " ! ", "!\t"])
def test_an_exception_of_nothing_is_a_mistake(line: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        read_ignore(f"a\n{line}\n", name="x.dockerignore")
    assert caught.value.message == 'illegal exclusion pattern: "!"'
    where = caught.value.where
    assert where is not None
    assert (where.file, where.line) == ("x.dockerignore", 2)


PATHS = [
    ("", "."),
    (".", "."),
    ("/", "/"),
    ("//", "/"),
    ("a", "a"),
    ("a/", "a"),
    ("/a/./b//c/", "/a/b/c"),
    ("a/..", "."),
    ("a/../..", ".."),
    ("../..", "../.."),
    ("/..", "/"),
    ("/a/../../b", "/b"),
    ("...", "..."),
]


@pytest.mark.parametrize(("path", "clean"), PATHS)
def test_paths_are_cleaned_without_looking(path: str, clean: str) -> None:
    assert clean_path(path) == clean
