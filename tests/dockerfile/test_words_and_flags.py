"""Cutting logical lines into words and flags."""

from __future__ import annotations

import pytest

from dissolver.dockerfile.flags import FlagSet
from dissolver.dockerfile.statements import read_statements
from dissolver.dockerfile.words import split_flags, split_quoted
from dissolver.errors import DockerfileError

QUOTED = [
    ("", []),
    ("a", ["a"]),
    ("a b", ["a", "b"]),
    ("  a\tb  ", ["a", "b"]),
    ("a=1 b=2", ["a=1", "b=2"]),
    ('a="1 2" b', ['a="1 2"', "b"]),
    ("a='1 2' b", ["a='1 2'", "b"]),
    ("a=1\\ 2 b", ["a=1\\ 2", "b"]),
    ('a="1\\" 2" b', ['a="1\\" 2"', "b"]),
    ("a='1\\' b", ["a='1\\'", "b"]),
    ("a='open b", ["a='open b"]),
    ('a="open b', ['a="open b']),
    ("a\\", ["a"]),
    ('a="b\\', ['a="b']),
    ("a=''", ["a=''"]),
    ("\"a b\"'c d'e", ["\"a b\"'c d'e"]),
    ("a\u00a0b", ["a", "b"]),
    ("a\x1cb", ["a\x1cb"]),
    ("a='1' '2'", ["a='1'", "'2'"]),
    ("a='it''s' b", ["a='it''s'", "b"]),
    ('a="1\'2" b', ['a="1\'2"', "b"]),
    ("a='1\"2' b", ["a='1\"2'", "b"]),
    ("a=\\\\ b", ["a=\\\\", "b"]),
    ("a=\\' b", ["a=\\'", "b"]),
    ("a=1\nb=2", ["a=1", "b=2"]),
    ("\r\na\r\n", ["a"]),
    ("a\u3000b\u2003c", ["a", "b", "c"]),
    ("$A ${B:-c d}", ["$A", "${B:-c", "d}"]),
    ("= a= =b", ["=", "a=", "=b"]),
]


@pytest.mark.parametrize(("text", "expected"), QUOTED)
def test_quotes_hold_words_together(text: str, expected: list[str]) -> None:
    words = split_quoted(text, 10, "\\")
    assert [word.text for word in words] == expected
    assert all(text[word.start - 10 : word.end - 10].startswith(word.text) for word in words)


FLAGS = [
    ("", [], ""),
    ("a b", [], "a b"),
    ("--from=x a b", ["--from=x"], "a b"),
    ("--a --b=c d", ["--a", "--b=c"], "d"),
    ("  --a  b", ["--a"], "b"),
    ("-- a", [], " a"),
    ("--a -- --b", ["--a"], " --b"),
    ("-a b", [], "-a b"),
    ("--a='b c' d", ["--a=b c"], "d"),
    ('--a="b c" d', ["--a=b c"], "d"),
    ("--a=b\\ c d", ["--a=b c"], "d"),
    ('--a="b\\"c" d', ['--a=b"c'], "d"),
    ("--a='b\\'c' d", ["--a=b'c"], "d"),
    ("--a=", ["--a="], ""),
    ("--a=b", ["--a=b"], ""),
    ("--a='open x", ["--a=open x"], ""),
    ("--a=b\\", ["--a=b"], ""),
    ("a --b", [], "a --b"),
    ("--mount=type=cache,target=/x --mount=type=tmpfs,target=/y run",
     ["--mount=type=cache,target=/x", "--mount=type=tmpfs,target=/y"], "run"),
    ("--a=b=c d", ["--a=b=c"], "d"),
    ("--a=--b c", ["--a=--b"], "c"),
    ("--a\t--b\n c", ["--a", "--b"], "c"),
    ("--A=b c", ["--A=b"], "c"),
    ("--=x a", ["--="+"x"], "a"),
    ("--a=$B c", ["--a=$B"], "c"),
    ("--a='' b", ["--a="], "b"),
    ('--a="b"c\'d\' e', ["--a=bcd"], "e"),
    ("--a=b\\\\c d", ["--a=b\\c"], "d"),
    ("---a b", ["---a"], "b"),
    ("--", [], ""),
    ("-", [], "-"),
    ('["--a"]', [], '["--a"]'),
]  # fmt: skip


@pytest.mark.parametrize(("text", "flags", "rest"), FLAGS)
def test_flags_come_first(text: str, flags: list[str], rest: str) -> None:
    found, position = split_flags(text, 0)
    assert [flag.text for flag in found] == flags
    assert text[position:] == rest


def flag_set(line: str) -> FlagSet:
    return FlagSet(read_statements(line, "Dockerfile").statements[0])


def test_flags_have_values() -> None:
    flags = flag_set("COPY --from=a --link --parents=FALSE --exclude=x --exclude=y a b")
    origin = flags.text("from")
    assert origin is not None
    assert origin.text == "a"
    assert (flags.claim("link"), flags.claim("parents")) == (True, False)
    assert [word.text for word in flags.texts("exclude")] == ["x", "y"]
    assert flags.text("chown") is None
    assert flag_set("COPY a b").claim("link") is None


def test_a_value_has_its_own_place() -> None:
    statement = read_statements("COPY --from=builder a b", "Dockerfile").statements[0]
    origin = FlagSet(statement).text("from")
    assert origin is not None
    where = statement.where_of(origin)
    assert (where.column, where.length) == (12, 7)


FAULTS = [
    ("COPY --form=a a b", "unknown flag `--form` of `COPY`", "did you mean `--from`?"),
    ("COPY --zzzzzz=a a b", "unknown flag `--zzzzzz` of `COPY`", None),
    ("CMD --x y", "unknown flag `--x` of `CMD`", None),
    ("COPY --from=a --from=b a b", "duplicate flag specified: `--from`", None),
    ("COPY --link --link a b", "duplicate flag specified: `--link`", None),
    ("COPY --from a b", "missing a value on flag: `--from`", "write `--from=…`"),
    ("COPY --link= a b", "missing a value on flag: `--link`", "write `--link=…`"),
    ("COPY --link=yes a b",
     "expecting boolean value for flag `--link`, not: `yes`", None),
    ("RUN --mount x", "missing a value on flag: `--mount`", "write `--mount=…`"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "message", "hint"), FAULTS)
def test_wrong_flags_are_named(line: str, message: str, hint: str | None) -> None:
    with pytest.raises(DockerfileError) as caught:
        flag_set(line)
    assert (caught.value.message, caught.value.hint) == (message, hint)


JSON = [
    ('CMD ["a", "b"]', ["a", "b"], True),
    ("CMD []", [], True),
    ('CMD [ "a" ] ', ["a"], True),
    ('CMD ["a"] x', ['["a"] x'], False),
    ("CMD ['a']", ["['a']"], False),
    ('CMD ["a"', ['["a"'], False),
    ('CMD ["\\d"]', ['["\\d"]'], False),
    ('CMD ["a",]', ['["a",]'], False),
    ("CMD [NaN]", ["[NaN]"], False),
    ("CMD", [], False),
    ('CMD ["\\u00e9", "\\ud83d\\ude00"]', ["é", "😀"], True),
    ('CMD ["\\ud800x"]', ["\ufffdx"], True),
    ('COPY ["a b", "/c d"]', ["a b", "/c d"], True),
    ('COPY ["a b" /c', ['["a', 'b"', "/c"], False),
    ('VOLUME ["/a"]', ["/a"], True),
    ("VOLUME /a /b", ["/a", "/b"], False),
    ('HEALTHCHECK CMD ["a"]', ["CMD", "a"], True),
    ("HEALTHCHECK cmd a  b", ["cmd", "a  b"], False),
    ('CMD\t["a"]', ["a"], True),
    ('CMD [\t"a"\t,\t"b"\t]', ["a", "b"], True),
    ('CMD ["a" "b"]', ['["a" "b"]'], False),
    ('CMD ["a"]]', ['["a"]]'], False),
    ('CMD [["a"]', ['[["a"]'], False),
    ('CMD {"a": "b"}', ['{"a": "b"}'], False),
    ('CMD "a"', ['"a"'], False),
    ('CMD ["a\\\\b", "c\\"d", "\\/e"]', ["a\\b", 'c"d', "/e"], True),
    ('CMD ["\\t\\n"]', ["\t\n"], True),
    ('CMD [""]', [""], True),
    ('CMD ["$A", "${B}"]', ["$A", "${B}"], True),
    ("CMD [“a”]", ["[“a”]"], False),
    ('CMD ["a"] # no', ['["a"] # no'], False),
    ('RUN ["a", "b"]', ["a", "b"], True),
    ('RUN ["a", "b"] && c', ['["a", "b"] && c'], False),
    ('ENTRYPOINT ["a"]', ["a"], True),
    ('SHELL ["a", "b"]', ["a", "b"], True),
    ('ADD --link ["a b", "c"]', ["a b", "c"], True),
    ("COPY [a] b", ["[a]", "b"], False),
    ("COPY [ab]* b", ["[ab]*", "b"], False),
    ("VOLUME [/a]", ["[/a]"], False),
    ('HEALTHCHECK --retries=1 CMD ["a", "b"]', ["CMD", "a", "b"], True),
    ('EXPOSE ["80"]', ['["80"]'], False),
    ('USER ["a"]', ['["a"]'], False),
]


@pytest.mark.parametrize(("line", "words", "is_json"), JSON)
def test_arrays_are_read_where_they_are_valid(line: str, words: list[str], is_json: bool) -> None:
    statement = read_statements(line, "Dockerfile").statements[0]
    assert [word.text for word in statement.words] == words
    assert statement.is_json is is_json


@pytest.mark.parametrize(
    "array", ["[1]", '["a", 1]', "[null]", "[true]", '["a", ["b"]]', "[{}]", "[" + "9" * 6000 + "]"]
)
def test_arrays_hold_nothing_but_strings(array: str) -> None:
    with pytest.raises(DockerfileError, match="must hold nothing but strings"):
        read_statements(f"CMD {array}", "Dockerfile")


def test_an_array_nested_beyond_reason_is_refused() -> None:
    with pytest.raises(DockerfileError, match="must hold nothing but strings"):
        read_statements("CMD " + "[" * 20_000 + "]" * 20_000, "Dockerfile")
