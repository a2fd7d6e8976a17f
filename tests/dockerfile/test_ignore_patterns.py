"""From lines of a ``.dockerignore`` to verdicts, as Docker and BuildKit reach them.

Reading is the parser's business and matching the core's; people see both at once.
"""

from __future__ import annotations

import pytest

from dissolver._core import CoreError
from dissolver._core.tree import IgnoreRules
from dissolver.dockerfile.ignore import read_ignore

# The file, a path of the context, and whether the path is kept out.
VERDICTS = [
    # Names.
    ("a", "a", True), ("a", "b", False), ("a", "ab", False), ("a", "x/a", False),
    ("a", "a/b", True), ("a", "a/b/c", True), ("a/b", "a/b", True), ("a/b", "a", False),
    ("a/b", "a/b/c", True), ("a/b", "x/a/b", False), ("A", "a", False), (".x", ".x", True),
    ("a b", "a b", True), ("é", "é", True),
    # How a line is written.
    ("/a", "a", True), ("/a", "x/a", False), ("a/", "a", True), ("a/", "a/b", True),
    ("./a", "a", True), ("a//b", "a/b", True), ("a/./b", "a/b", True), ("a/../b", "b", True),
    ("a/../b", "a/b", False), ("../a", "a", False), ("  a  ", "a", True), ("\ta\t", "a", True),
    ("a\r", "a", True), ("\ufeffa", "a", True), ("# a", "a", False), ("#a", "#a", False),
    (" # a", "# a", True), ("\\#a", "#a", True), ("\n\na\n", "a", True), ("", "a", False),
    ("//a", "a", True),
    # Wildcards within a name.
    ("*", "a", True), ("*", ".a", True), ("*", "a/b", True), ("*.o", "a.o", True),
    ("*.o", "a.oo", False), ("*.o", "x/a.o", False), ("*.o", ".o", True), ("a*", "a", True),
    ("a*", "abc", True), ("a*", "ba", False), ("a*b", "ab", True), ("a*b", "axb", True),
    ("a*b", "a/b", False), ("a*c*e", "abcde", True), ("?", "a", True), ("?", "ab", False),
    ("a?", "a/", False), ("a?c", "abc", True), ("a?c", "a/c", False), ("??", "é", False),
    ("?", "é", True), ("*/b", "a/b", True), ("*/b", "b", False), ("*/b", "a/x/b", False),
    ("a/*", "a/b", True), ("a/*", "a", False), ("a/*/c", "a/b/c", True), ("a/*/c", "a/c", False),
    # Classes.
    ("[ab]", "a", True), ("[ab]", "c", False), ("[a-c]", "b", True), ("[a-c]", "d", False),
    ("[^a]", "b", True), ("[^a]", "a", False), ("[!a]", "a", True), ("x[0-9]", "x5", True),
    ("x[0-9]", "x10", False), ("[a-c].txt", "b.txt", True), ("a[*]b", "a*b", True),
    ("a[*]b", "axb", False), ("[^a]", "/", False),
    # Escapes.
    ("a\\*", "a*", True), ("a\\*", "ab", False), ("a\\?", "a?", True), ("a\\?", "ab", False),
    ("\\a", "a", True), ("a\\[b", "a[b", True), ("\\!a", "!a", True),
    # Any depth.
    ("**", "a", True), ("**", "a/b/c", True), ("**/a", "a", True), ("**/a", "x/a", True),
    ("**/a", "x/y/a", True), ("**/a", "x/ab", False), ("**/a", "x/a/b", True),
    ("**/*.o", "a.o", True), ("**/*.o", "x/y/a.o", True), ("**/*.o", "x/a.c", False),
    ("a/**", "a/b", True), ("a/**", "a/b/c", True), ("a/**", "a", False), ("a/**", "b", False),
    ("a/**/c", "a/c", True), ("a/**/c", "a/b/c", True), ("a/**/c", "a/x/y/c", True),
    ("a/**/c", "a/x/y/d", False), ("**/a/b", "x/a/b", True), ("**/a/b", "a/x/b", False),
    ("**/a/**", "x/a/b", True), ("**/a/**", "a/b", True), ("**/a/**", "x/a", False),
    ("**foo", "foo", True), ("**foo", "x/afoo", True), ("**foo", "foox", False),
    ("**.o", "x/a.o", True), ("**/.git", ".git/config", True), ("**/.git", "x/.git/y", True),
    # Exceptions: the last line that matches decides.
    ("*\n!a", "a", False), ("*\n!a", "b", True), ("!a\n*", "a", True), ("*\n!a/b", "a/b", False),
    ("*\n!a/b", "a/c", True), ("*\n!a/b", "a/b/c", False), ("a\n!a/b", "a/b", False),
    ("a\n!a/b\na/b/c", "a/b/c", True), ("a\n!a/b\na/b/c", "a/b/d", False),
    ("*.md\n!README.md", "README.md", False), ("*.md\n!README.md", "x.md", True),
    ("*.md\n!R*.md\nRx.md", "Rx.md", True), ("*.md\nRx.md\n!R*.md", "Rx.md", False),
    ("*\n! a", "a", False), ("*\n!/a", "a", False), ("*\n!./a/", "a/b", False),
    ("**/*.o\n!keep/**", "keep/a.o", False), ("**/*.o\n!keep/**", "x/a.o", True),
    ("!a", "a", False), ("!a", "b", False),
    ("node_modules\n!node_modules/x", "node_modules/x", False),
    ("**/node_modules\n!packages/*/node_modules/own", "packages/a/node_modules/own", False),
    ("**/node_modules\n!packages/*/node_modules/own", "packages/a/node_modules/b", True),
]  # fmt: skip


def test_there_are_a_hundred_patterns() -> None:
    assert len(VERDICTS) >= 130


@pytest.mark.parametrize(("text", "path", "is_excluded"), VERDICTS)
def test_a_path_is_kept_out_or_not(text: str, path: str, is_excluded: bool) -> None:
    rules = IgnoreRules(read_ignore(text))
    assert rules.excludes(path.rstrip("/"), path.endswith("/")) is is_excluded


@pytest.mark.parametrize("text", ["[a", "[", "a[", "[]a]", "[-]", "[a-]", "a\\", "[^]"])
def test_some_texts_are_no_patterns(text: str) -> None:
    with pytest.raises(CoreError) as caught:
        IgnoreRules(read_ignore(text))
    assert caught.value.kind == "bad-pattern"
