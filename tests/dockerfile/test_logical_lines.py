"""Continuations, comments, directives, line ends."""

from __future__ import annotations

import pytest

from dissolver.dockerfile.lines import read_directives
from dissolver.dockerfile.parse import parse
from dissolver.dockerfile.source import LINE_LIMIT_BYTES, decode_source, read_source
from dissolver.dockerfile.statements import StatementList, read_statements
from dissolver.errors import DockerfileError


def read(text: str) -> StatementList:
    return read_statements(text, "Dockerfile")


JOINED = [
    ("RUN a", ["RUN a"]),
    ("RUN a \\\nb", ["RUN a b"]),
    ("RUN a\\\nb", ["RUN ab"]),
    ("RUN a \\  \n  b", ["RUN a   b"]),
    ("RUN a \\\t\nb", ["RUN a b"]),
    ("RUN a \\\n# no\nb", ["RUN a b"]),
    ("RUN a \\\n   # no\n b", ["RUN a  b"]),
    ("RUN a \\\n\n\nb", ["RUN a b"]),
    ("RUN a \\\n", ["RUN a"]),
    ("RUN a \\", ["RUN a"]),
    ("RUN a \\\\\nRUN b", ["RUN a \\\\", "RUN b"]),
    ("RUN a \\\\\\\nRUN b", ["RUN a \\\\\\", "RUN b"]),
    ("\\\nRUN a", ["RUN a"]),
    ("  RUN a  ", ["RUN a"]),
    ("\tRUN\ta", ["RUN\ta"]),
    ("# no\nRUN a # yes", ["RUN a # yes"]),
    ("   # no\nRUN a", ["RUN a"]),
    ("RUN a\r\nRUN b\r\n", ["RUN a", "RUN b"]),
    ("RUN a \\\r\n b\r\n", ["RUN a  b"]),
    ("\ufeffRUN a", ["RUN a"]),
    ("RUN a\n\n\n\nRUN b", ["RUN a", "RUN b"]),
    ("RUN a\x0bb\x0cc", ["RUN a\x0bb\x0cc"]),
    ("RUN a\u2028b", ["RUN a\u2028b"]),
    ("RUN a\n\\\n", ["RUN a"]),
]


@pytest.mark.parametrize(("text", "expected"), JOINED)
def test_lines_are_joined(text: str, expected: list[str]) -> None:
    assert [statement.text for statement in read(text).statements] == expected


def test_a_backtick_continues_lines_where_a_directive_says_so() -> None:
    found = read("# escape=`\nRUN a `\nb\nRUN c \\\nRUN d")
    assert [item.text for item in found.statements] == ["RUN a b", "RUN c \\", "RUN d"]
    assert found.escape == "`"


def test_lines_are_counted_with_continuations() -> None:
    first, second = read("\n# x\nRUN a \\\n# y\n\n  b\nRUN c\n").statements
    assert (first.line, first.end_line) == (3, 6)
    assert (second.line, second.end_line) == (7, 7)


def test_an_empty_continuation_is_noticed() -> None:
    flags = [item.has_blank_continuation for item in read("RUN a \\\n\nb\nRUN c").statements]
    assert flags == [True, False]


DIRECTIVES = [
    ("# escape=`\nRUN a", [("escape", "`", 1)]),
    ("#escape = `\nRUN a", [("escape", "`", 1)]),
    ("# ESCAPE=`\nRUN a", [("escape", "`", 1)]),
    ("# syntax=docker/dockerfile:1\n# check=skip=all\nRUN a",
     [("syntax", "docker/dockerfile:1", 1), ("check", "skip=all", 2)]),
    ("\n# escape=`\nRUN a", []),
    ("# a comment\n# escape=`\nRUN a", []),
    ("# unknown=1\n# escape=`\nRUN a", []),
    ("RUN a\n# escape=`", []),
    ("# escape=\nRUN a", []),
    ("\ufeff# escape=`\nRUN a", [("escape", "`", 1)]),
    ("#escape=`", [("escape", "`", 1)]),
    ("#\tescape\t=\t`\t\nRUN a", [("escape", "`", 1)]),
    ("  # escape=`\nRUN a", [("escape", "`", 1)]),
    ("# escape=`\r\n# check=skip=all\r\nRUN a",
     [("escape", "`", 1), ("check", "skip=all", 2)]),
    ("# escape=\\\nRUN a", [("escape", "\\", 1)]),
    ("# Syntax=a\n# Escape=`\n# Check=b\nRUN a",
     [("syntax", "a", 1), ("escape", "`", 2), ("check", "b", 3)]),
    ("# check=skip=A,B;error=true\nRUN a", [("check", "skip=A,B;error=true", 1)]),
    ("# syntax=a\n\n# escape=`\nRUN a", [("syntax", "a", 1)]),
    ("# syntax=a\n# no\n# escape=`\nRUN a", [("syntax", "a", 1)]),
    ("# syntax=a\n# =b\n# escape=`\nRUN a", [("syntax", "a", 1)]),
    ("# syntax=a\n#\n# escape=`\nRUN a", [("syntax", "a", 1)]),
    ("# syntax a\n# escape=`\nRUN a", []),
    ("## escape=`\nRUN a", []),
    ("# es cape=`\nRUN a", []),
    ("# escape-=`\nRUN a", []),
    ("#! escape=`\nRUN a", []),
    ("// escape=`\nRUN a", []),
    ("\\\n# escape=`\nRUN a", []),
    ("# syntax= a b \nRUN a", [("syntax", "a b", 1)]),
    ("# syntax=a=b=c\nRUN a", [("syntax", "a=b=c", 1)]),
    ("# syntax=é\nRUN a", [("syntax", "é", 1)]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), DIRECTIVES)
def test_directives_stand_at_the_top(text: str, expected: list[tuple[str, str, int]]) -> None:
    found = read_directives(read_source(text, "Dockerfile"))
    assert [(item.name, item.value, item.line) for item in found] == expected


DIRECTIVE_FAULTS = [
    ("# escape=`\n# escape=`\nRUN a", "only one `escape` parser directive can be used", 2),
    ("# syntax=a\n# SYNTAX=b\nRUN a", "only one `syntax` parser directive can be used", 2),
    ("# check=a\n# escape=`\n# check=b\nRUN a",
     "only one `check` parser directive can be used", 3),
    ("# escape=x\nRUN a", "invalid escape token `x`", 1),
    ("# escape=``\nRUN a", "invalid escape token ````", 1),
    ("# syntax=a\n# escape=` # why\nRUN a", "invalid escape token `` # why`", 2),
    ("# escape='`'\nRUN a", "invalid escape token `'`'`", 1),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message", "line"), DIRECTIVE_FAULTS)
def test_wrong_directives_are_named(text: str, message: str, line: int) -> None:
    with pytest.raises(DockerfileError) as caught:
        read(text)
    assert caught.value.message == message
    assert caught.value.where is not None
    assert caught.value.where.line == line


def test_comments_right_above_belong_to_the_instruction() -> None:
    text = "# lost\n\n# one\n# two\nFROM a\nRUN b\n# x\n#\n# three\nRUN c"
    found = [item.comments for item in read(text).statements]
    assert found == [("one", "two"), (), ("three",)]


def test_a_line_may_be_as_long_as_elsewhere_and_no_longer() -> None:
    longest = "RUN " + "x" * (LINE_LIMIT_BYTES - 4)
    assert len(read(longest).statements) == 1
    with pytest.raises(DockerfileError, match="longer than 65535 bytes"):
        read(longest + "x")
    with pytest.raises(DockerfileError, match="longer than 65535 bytes"):
        read("RUN " + "é" * (LINE_LIMIT_BYTES // 2))


def test_bytes_that_are_not_utf8_may_stand_in_comments_only() -> None:
    text = decode_source(b"# caf\xe9\nFROM a\nRUN a \\\n# \xe9\nb\n")
    assert [item.text for item in read(text).statements] == ["FROM a", "RUN a b"]
    with pytest.raises(DockerfileError) as caught:
        read(decode_source(b"FROM a\nRUN caf\xe9\n"))
    assert caught.value.message == "the text is not valid UTF-8"
    where = caught.value.where
    assert where is not None
    assert (where.line, where.source) == (2, ("RUN caf?",))


def test_places_lead_back_through_continuations() -> None:
    (_, copy) = parse("FROM a\nCOPY --from=x \\\n  one \\\n  two \\\n  /three\n").instructions
    words = copy.statement.words
    places = [copy.where_of(word) for word in words]
    assert [(p.line, p.column, p.length) for p in places] == [(3, 2, 3), (4, 2, 3), (5, 2, 6)]
    assert places[0].source == ("  one \\",)
    (flag,) = copy.statement.flags
    assert copy.where_of(flag).column == 5


def test_a_nul_character_is_refused_where_it_would_count() -> None:
    assert len(read("# \0\nRUN a").statements) == 1
    with pytest.raises(DockerfileError, match="the text contains a NUL character"):
        read("RUN a\0b")
