"""Variables in words."""

from __future__ import annotations

import pytest

from dissolver.dockerfile.expand import (
    ROOM,
    expand,
    expand_document,
    expand_for_display,
    expand_words,
)
from dissolver.errors import DockerfileError

ENV = {
    "HOME": "/root",
    "NAME": "web",
    "EMPTY": "",
    "FILE": "archive.tar.gz",
    "PATHS": "/a/b/c",
    "SPACED": "two words",
    "STARS": "a*b?c",
    "größe": "XL",
    "_x1": "under",
    "LINES": "one\ntwo",
}

WORDS = [
    # Plain text, and dollars that stand for themselves.
    ("", ""),
    ("plain", "plain"),
    ("a b", "a b"),
    ("$", "$"),
    ("a$", "a$"),
    ("$ x", "$ x"),
    ("a$/b", "a$/b"),
    ("100%", "100%"),
    ("$%", "$%"),
    ("{}", "{}"),
    ("a}b", "a}b"),
    # Names.
    ("$NAME", "web"),
    ("${NAME}", "web"),
    ("$NAME-1", "web-1"),
    ("$NAME.x", "web.x"),
    ("$NAMEx", ""),
    ("${NAME}x", "webx"),
    ("$NAME$HOME", "web/root"),
    ("x$NAME", "xweb"),
    ("$MISSING", ""),
    ("a${MISSING}b", "ab"),
    ("$EMPTY", ""),
    ("$größe", "XL"),
    ("${größe}", "XL"),
    ("$_x1", "under"),
    ("$name", ""),
    # Positional and special parameters are never set.
    ("$1", ""),
    ("$12x", "x"),
    ("$0a", "a"),
    ("$@", ""),
    ("a$*b", "ab"),
    ("$#", ""),
    ("$?", ""),
    ("$-", ""),
    ("$$", ""),
    ("$$NAME", "NAME"),
    ("$!", ""),
    ("${1}", ""),
    ("${@}", ""),
    # Defaults and alternatives.
    ("${NAME:-x}", "web"),
    ("${NAME-x}", "web"),
    ("${MISSING:-x}", "x"),
    ("${MISSING-x}", "x"),
    ("${EMPTY:-x}", "x"),
    ("${EMPTY-x}", ""),
    ("${MISSING:-}", ""),
    ("${MISSING-}", ""),
    ("${NAME:+x}", "x"),
    ("${NAME+x}", "x"),
    ("${MISSING:+x}", ""),
    ("${MISSING+x}", ""),
    ("${EMPTY:+x}", ""),
    ("${EMPTY+x}", "x"),
    ("${NAME:?must}", "web"),
    ("${NAME?must}", "web"),
    ("${EMPTY?must}", ""),
    # Nested.
    ("${MISSING:-$NAME}", "web"),
    ("${MISSING:-${NAME}}", "web"),
    ("${MISSING:-${ALSO:-${NAME}}}", "web"),
    ("${MISSING:-a${NAME}b}", "awebb"),
    ("${NAME:+-$NAME}", "-web"),
    ("${MISSING:-a b}", "a b"),
    ("${MISSING:-'a}b'}", "a}b"),
    ('${MISSING:-"$NAME"}', "web"),
    ("${MISSING:-a\\}b}", "a}b"),
    # Prefixes and suffixes.
    ("${FILE%.*}", "archive.tar"),
    ("${FILE%%.*}", "archive"),
    ("${FILE#*.}", "tar.gz"),
    ("${FILE##*.}", "gz"),
    ("${FILE%.gz}", "archive.tar"),
    ("${FILE%.zip}", "archive.tar.gz"),
    ("${FILE#archive}", ".tar.gz"),
    ("${FILE#tar}", "archive.tar.gz"),
    ("${FILE%}", "archive.tar.gz"),
    ("${FILE#}", "archive.tar.gz"),
    ("${FILE#*}", "archive.tar.gz"),
    ("${FILE##*}", ""),
    ("${FILE%%*}", ""),
    ("${FILE%?}", "archive.tar.g"),
    ("${FILE#??}", "chive.tar.gz"),
    ("${PATHS##*/}", "c"),
    ("${PATHS%/*}", "/a/b"),
    ("${PATHS%%/*}", ""),
    ("${STARS%\\?*}", "a*b"),
    ("${STARS#a\\*}", "b?c"),
    ("${STARS#a*}", "*b?c"),
    ("${MISSING#x}", ""),
    ("${FILE%.$MISSING}", "archive.tar.gz"),
    ("${FILE%.${MISSING:-gz}}", "archive.tar"),
    ("${LINES#*t}", "one\ntwo"),
    ("${LINES%%o}", "one\ntw"),
    # Replacement.
    ("${FILE/a/A}", "Archive.tar.gz"),
    ("${FILE//a/A}", "Archive.tAr.gz"),
    ("${FILE/./-}", "archive-tar.gz"),
    ("${FILE//./-}", "archive-tar-gz"),
    ("${FILE/tar/}", "archive..gz"),
    ("${FILE/x/y}", "archive.tar.gz"),
    ("${FILE/a*r/X}", "X.gz"),
    ("${FILE//?/x}", "xxxxxxxxxxxxxx"),
    ("${FILE/*/all}", "all"),
    ("${FILE//*/all}", "all"),
    ("${PATHS//\\//-}", "-a-b-c"),
    ("${PATHS/\\/a/}", "/b/c"),
    ("${PATHS//\\//\\/}", "\\/a\\/b\\/c"),
    ("${FILE/$NAME/x}", "archive.tar.gz"),
    ("${FILE/archive/$NAME}", "web.tar.gz"),
    ("${NAME//e/$0}", "wb"),
    ("${MISSING/a/b}", ""),
    ("${EMPTY/a/b}", ""),
    ("${NAME/$EMPTY/x}", "xweb"),
    ("${NAME//$EMPTY/-}", "-w-e-b-"),
    ("${NAME///}", "web"),
    # Quotes.
    ("'$NAME'", "$NAME"),
    ('"$NAME"', "web"),
    ("'a b'", "a b"),
    ("a'b'c", "abc"),
    ("''", ""),
    ('""', ""),
    ("'a\\'", "a\\"),
    ('"a\\"b"', 'a"b'),
    ('"a\\$NAME"', "a$NAME"),
    ('"a\\\\b"', "a\\b"),
    ('"a\\nb"', "a\\nb"),
    ('"it\'s"', "it's"),
    ("'say \"hi\"'", 'say "hi"'),
    ('"${NAME:-x}"', "web"),
    ('"${FILE%.*}"', "archive.tar"),
    # Escapes.
    ("\\$NAME", "$NAME"),
    ("\\${NAME}", "${NAME}"),
    ("a\\ b", "a b"),
    ("\\\\", "\\"),
    ("\\\\$NAME", "\\web"),
    ("a\\nb", "anb"),
    ("\\'", "'"),
    ('\\"', '"'),
    ("a\\", "a"),
    ("$\\NAME", "$NAME"),
    # What paths, versions and addresses in Dockerfiles are made of.
    ("$HOME/.cache", "/root/.cache"),
    ("$HOME_x", ""),
    ("${HOME}_x", "/root_x"),
    ("${HOME}/${NAME}.${MISSING:-d}", "/root/web.d"),
    ("https://$NAME:${PORT:-80}/${FILE}", "https://web:80/archive.tar.gz"),
    ("$NAME:$EMPTY@$NAME", "web:@web"),
    ("--flag=$NAME,$NAME", "--flag=web,web"),
    ("$NAME$", "web$"),
    ("$NAME$1$HOME", "web/root"),
    ("${NAME}${NAME}", "webweb"),
    ("${10}", ""),
    ("é${NAME}é", "éwebé"),
    ("${größe%L}", "X"),
    ("$(id -u)", "$(id -u)"),
    ("$((1 + 2))", "$((1 + 2))"),
    ("$[1]", "$[1]"),
    ("`id`", "`id`"),
    ("~/x", "~/x"),
    ("a{b,c}", "a{b,c}"),
    ("*.[ch]", "*.[ch]"),
    # Defaults that hold more than a name.
    ("${NAME:-}", "web"),
    ("${NAME-}", "web"),
    ("${EMPTY:+}", ""),
    ("${EMPTY:-${MISSING:+x}}", ""),
    ("${MISSING:-${EMPTY:-deep}}", "deep"),
    ("${MISSING:-$(id)}", "$(id)"),
    ("${MISSING:-a:b}", "a:b"),
    ("${MISSING:--}", "-"),
    ("${MISSING:-:-}", ":-"),
    ("${MISSING--x}", "-x"),
    ("${MISSING:-/}", "/"),
    ("${MISSING:-$}", "$"),
    ("${MISSING:-{}", "{"),
    ("${MISSING:-{}}", "{}"),
    ("${MISSING:-\\\\}", "\\"),
    ("${MISSING:+$NAME}", ""),
    ("${NAME:+${MISSING:-x}}", "x"),
    ("${NAME:+'a b'}", "a b"),
    ("${NAME?}", "web"),
    ("${NAME:?}", "web"),
    ("${NAME:?$MISSING}", "web"),
    # Prefixes and suffixes, the nearest and the farthest.
    ("${NAME#w}", "eb"),
    ("${NAME%b*}", "we"),
    ("${NAME%%*e}", "web"),
    ("${NAME#?}${NAME%?}", "ebwe"),
    ("${NAME#$NAME}", ""),
    ("${NAME%${NAME#w}}", "w"),
    ("${FILE#*a}", "rchive.tar.gz"),
    ("${FILE##*a}", "r.gz"),
    ("${FILE%a*}", "archive.t"),
    ("${FILE%%a*}", ""),
    ("${FILE%.tar*}", "archive"),
    ("${FILE%%.}", "archive.tar.gz"),
    ("${PATHS#/}", "a/b/c"),
    ("${PATHS##/*/}", "c"),
    ("${PATHS%/}", "/a/b/c"),
    ("${PATHS%/*/*}", "/a"),
    ("${SPACED% *}", "two"),
    ("${SPACED##* }", "words"),
    ("${EMPTY#x}", ""),
    ("${EMPTY%%*}", ""),
    # Replacement of what patterns find.
    ("${FILE/ar/}", "chive.tar.gz"),
    ("${FILE//ar/}", "chive.t.gz"),
    ("${FILE/.*/}", "archive"),
    ("${FILE//[a]/x}", "archive.tar.gz"),
    ("${PATHS/\\//_}", "_a/b/c"),
    ("${PATHS//a/}", "//b/c"),
    ("${SPACED/ /_}", "two_words"),
    ("${SPACED// /}", "twowords"),
    ("${STARS//\\*/-}", "a-b?c"),
    ("${STARS/\\?/-}", "a*b-c"),
    ("${LINES/one/1}", "1\ntwo"),
    ("${NAME/#w/W}", "web"),
    ("${NAME/%b/B}", "web"),
    ("${NAME/b/$MISSING}", "we"),
    ("${NAME/w/'a b'}", "a beb"),
    # Quotes next to each other and inside of each other.
    ("a\"b\"'c'd", "abcd"),
    ('"a""b"', "ab"),
    ("'a'\"b\"", "ab"),
    ("'${MISSING'", "${MISSING"),
    ("'\\$NAME'", "\\$NAME"),
    ("\"'$NAME'\"", "'web'"),
    ("'\"$NAME\"'", '"$NAME"'),
    ('"\\a"', "\\a"),
    ('"\\\'"', "\\'"),
    ('"$"', "$"),
    ('"a$"', "a$"),
    ('$"NAME"', "$NAME"),
    ("$'NAME'", "$NAME"),
    ("\"$NAME\"'$NAME'$NAME", "web$NAMEweb"),
    ('"${MISSING:-"x y"}"', "x y"),
    ("\"${MISSING:-'x'}\"", "x"),
    ('" $NAME "', " web "),
    # Escapes.
    ("\\ ", " "),
    ("$NAME\\x", "webx"),
    ("\\\\\\$NAME", "\\$NAME"),
    ("\\${NAME", "${NAME"),
    ("\\$\\{NAME}", "${NAME}"),
    ('"\\\\$NAME"', "\\web"),
    ("c:\\\\dir\\\\$NAME", "c:\\dir\\web"),
]


@pytest.mark.parametrize(("word", "expected"), WORDS)
def test_a_word_becomes(word: str, expected: str) -> None:
    assert expand(word, ENV) == expected


BACKTICK_WORDS = [
    ("`$NAME", "$NAME"),
    ("c:\\$NAME", "c:\\web"),
    ("a` b", "a b"),
    ('"`$NAME"', "$NAME"),
    ('"\\$NAME"', "\\web"),
    ("${FILE%.*}", "archive.tar"),
]


@pytest.mark.parametrize(("word", "expected"), BACKTICK_WORDS)
def test_a_backtick_can_be_the_escape_character(word: str, expected: str) -> None:
    assert expand(word, ENV, "`") == expected


FAULTS = [
    ("${", "`}` is missing in a substitution"),
    ("${NAME", "`}` is missing in a substitution"),
    ("${NAME:", "`}` is missing in a substitution"),
    ("${NAME:-x", "`}` is missing in a substitution"),
    ("${NAME#x", "`}` is missing in a substitution"),
    ("${NAME/a/b", "`}` is missing in a substitution"),
    ("${NAME/a}", "`/` is missing in a substitution"),
    ("${NAME//}", "`/` is missing in a substitution"),
    ("${}", "a substitution has no name"),
    ("${:-x}", "a substitution has no name"),
    ("${{NAME}}", "a substitution has no name"),
    ("${NAME=x}", "the modifier `=` is not supported in a substitution"),
    ("${NAME:=x}", "the modifier `:=` is not supported in a substitution"),
    ("${NAME:#x}", "the modifier `:#` is not supported in a substitution"),
    ("${NAME:%x}", "the modifier `:%` is not supported in a substitution"),
    ("${NAME:x}", "the modifier `:x` is not supported in a substitution"),
    ("${NAME!}", "the modifier `!` is not supported in a substitution"),
    ("${NAME^^}", "the modifier `^` is not supported in a substitution"),
    ("${MISSING:?}", "`MISSING`: is not allowed to be unset"),
    ("${MISSING?}", "`MISSING`: is not allowed to be unset"),
    ("${EMPTY:?}", "`EMPTY`: is not allowed to be empty"),
    ("${MISSING:?set $NAME}", "`MISSING`: set web"),
    ("${EMPTY:?say something}", "`EMPTY`: say something"),
    ("'a", "a single quote is not closed"),
    ('"a', "a double quote is not closed"),
    ('"a\\"', "a double quote is not closed"),
    ("${MISSING:-'x}", "a single quote is not closed"),
    ("${NAME#\\x}", "the pattern `\\x` in a substitution is not valid: `\\x` escapes nothing"),
    ("${NAME/a\\b/c}", "the pattern `a\\b` in a substitution is not valid: `\\b` escapes nothing"),
]


@pytest.mark.parametrize(("word", "message"), FAULTS)
def test_a_faulty_word_is_explained(word: str, message: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        expand(word, ENV)
    assert caught.value.message == message


def test_substitutions_nested_beyond_reason_are_refused() -> None:
    word = "${a:-" * 5000 + "}" * 5000
    with pytest.raises(DockerfileError, match="nested too deep"):
        expand(word, ENV)


@pytest.mark.parametrize(
    "word", ["$a$a", '"$a$a"', "${a}${b:-$a}", "${b-${a}${a}}", "${s//?/$a}", "${s//s/$a$a}"]
)
def test_what_variables_become_is_limited(word: str) -> None:
    env = {"a": "x" * (ROOM * 2 // 3), "s": "xx"}
    with pytest.raises(DockerfileError, match="substitutions give more than 1 MiB of text"):
        expand(word, env)


def test_a_long_text_without_variables_is_no_matter() -> None:
    assert len(expand(f"'{'x' * 2 * ROOM}'$a", {"a": "y"})) == 2 * ROOM + 1


def test_a_pattern_with_many_stars_takes_no_time() -> None:
    word = "${LONG#" + "a*" * 40 + "b}"
    assert expand(word, {"LONG": "a" * 2000}) == "a" * 2000


SPLIT = [
    ("a b", ("a", "b")),
    ("  a   b ", ("a", "b")),
    ("$SPACED", ("two", "words")),
    ('"$SPACED"', ("two words",)),
    ("x$SPACED y", ("xtwo", "words", "y")),
    ("a\\ b c", ("a b", "c")),
    ("'a b' c", ("a b", "c")),
    ("$MISSING", ()),
    ("", ()),
    ("80 $MISSING 443", ("80", "443")),
    ("a'b c'd", ("ab cd",)),
]


@pytest.mark.parametrize(("text", "expected"), SPLIT)
def test_a_text_is_cut_after_expansion(text: str, expected: tuple[str, ...]) -> None:
    assert expand_words(text, ENV).words == expected


def test_names_without_a_value_are_reported() -> None:
    found = expand_words("$NAME ${NOT:-x} $SET${EMPTY}", ENV)
    assert found.unset == {"NOT", "SET"}


DOCUMENTS = [
    ("plain\n", "plain\n"),
    ("$NAME\n", "web\n"),
    ("'$NAME'\n", "'web'\n"),
    ('"$NAME"\n', '"web"\n'),
    ("\\$NAME\n", "$NAME\n"),
    ("a\\\\b\n", "a\\b\n"),
    ("a\\nb\n", "anb\n"),
    ("it's\n", "it's\n"),
    ("${MISSING:-x}\n", "x\n"),
]


@pytest.mark.parametrize(("body", "expected"), DOCUMENTS)
def test_a_document_keeps_its_quotes(body: str, expected: str) -> None:
    assert expand_document(body, ENV) == expected


SHOWN = [
    ("RUN echo $NAME", True, "RUN echo web"),
    ("RUN echo $MISSING", True, "RUN echo $MISSING"),
    ("RUN echo ${MISSING}", True, "RUN echo ${MISSING}"),
    ("RUN echo ${MISSING:-$NAME}", True, "RUN echo ${MISSING:-web}"),
    ("RUN echo ${MISSING%.*}", True, "RUN echo ${MISSING%.*}"),
    ("RUN echo ${MISSING/a/b}", True, "RUN echo ${MISSING/a/b}"),
    ("RUN echo ${MISSING//a/b}", True, "RUN echo ${MISSING//a/b}"),
    ("RUN echo ${MISSING:?x}", True, "RUN echo ${MISSING:?x}"),
    ("RUN echo '$NAME' \"$NAME\"", True, "RUN echo '$NAME' \"web\""),
    ("RUN echo 'open", True, "RUN echo 'open"),
    ("RUN awk '{print $1}'", True, "RUN awk '{print $1}'"),
    ("COPY '$NAME' \"$NAME\" /x", False, "COPY $NAME web /x"),
    ("COPY $MISSING /x", False, "COPY  /x"),
    ("COPY ${NAME=x} /x", False, "COPY ${NAME=x} /x"),
]


@pytest.mark.parametrize(("text", "keeps_quotes", "expected"), SHOWN)
def test_an_instruction_is_shown(text: str, keeps_quotes: bool, expected: str) -> None:
    assert expand_for_display(text, ENV, keeps_quotes=keeps_quotes) == expected
