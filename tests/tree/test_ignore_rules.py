"""What `.dockerignore` excludes, as the build asks for it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dissolver._core import CoreError
from dissolver._core.tree import IgnoreRules

# Patterns, a path, and whether the path is excluded; from Docker's documentation
# of `.dockerignore` and the matcher that Docker and BuildKit share.
VERDICTS = [
    (["*/temp*"], "somedir/temporary.txt", True),
    (["*/temp*"], "somedir/temp", True),
    (["*/temp*"], "somedir/subdir/temporary.txt", False),
    (["*/*/temp*"], "somedir/subdir/temporary.txt", True),
    (["temp?"], "tempa", True),
    (["temp?"], "temp", False),
    (["**/*.go"], "main.go", True),
    (["**/*.go"], "a/b/main.go", True),
    (["*.md", "!README.md"], "README.md", False),
    (["*.md", "!README*.md", "README-secret.md"], "README-secret.md", True),
    (["*.md", "README-secret.md", "!README*.md"], "README-secret.md", False),
    (["node_modules"], "node_modules/express/index.js", True),
    (["node_modules"], "packages/a/node_modules/x", False),
    (["**/node_modules"], "packages/a/node_modules/x", True),
    (["/node_modules/"], "node_modules", True),
    (["./dist"], "dist", True),
    (["src/**", "!src/keep"], "src/keep/a.py", False),
    (["src/**"], "src", False),
    (["**foo"], "dir/xfoo", True),
    (["a\\*b"], "a*b", True),
    (["a\\*b"], "axb", False),
    (["[a-c].txt"], "b.txt", True),
    (["[^a-c].txt"], "b.txt", False),
    (["é?"], "éx", True),
    ([], "anything", False),
]


@pytest.mark.parametrize(("patterns", "path", "expected"), VERDICTS)
def test_verdicts_are_dockers(patterns: list[str], path: str, expected: bool) -> None:
    rules = IgnoreRules(patterns)
    for form in (path, os.fsencode(path), Path(path)):
        assert rules.excludes(form) is expected


def test_a_name_that_is_no_text_is_matched_byte_for_byte() -> None:
    rules = IgnoreRules(["*.log", "caf?"])
    assert rules.excludes(b"\xff\xfe.log")
    assert rules.excludes(b"caf\xe9")
    assert not rules.excludes(b"caf\xe9\xe9")


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("a[", "`a[` is not a valid pattern: `[` is never closed"),
        ("[]", "`[]` is not a valid pattern: `[]` names no character"),
        ("[b-]", "`[b-]` is not a valid pattern: a range in `[…]` has no end"),
        ("!", "`!` is not a valid pattern: nothing follows the `!`"),
        ("dir\\", "`dir\\` is not a valid pattern: nothing follows the last `\\`"),
    ],
)
def test_what_is_no_pattern_is_refused_with_its_reason(pattern: str, message: str) -> None:
    with pytest.raises(CoreError) as caught:
        IgnoreRules(["good", pattern])
    assert caught.value.kind == "bad-pattern"
    assert caught.value.message == message
