"""Any text gives an answer or an error with a place, never another exception."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from dissolver.dockerfile.expand import expand, expand_words
from dissolver.dockerfile.ignore import read_ignore
from dissolver.dockerfile.instructions import read_instruction
from dissolver.dockerfile.source import decode_source
from dissolver.dockerfile.statements import KEYWORDS, read_statements
from dissolver.errors import DockerfileError
from dissolver.plan.explain import explain
from plan.planning import failure_of, graph_of, lower_all

FRAGMENTS = st.sampled_from(
    [
        *KEYWORDS,
        "from",
        "as",
        "scratch",
        "NONE",
        "--from=0",
        "--from=b",
        "--chown=a:b",
        "--chmod=755",
        "--mount=type=cache",
        "--network=none",
        "--interval=1s",
        "--",
        "$A",
        "${A:-b}",
        "${A#*/}",
        "${A//x/y}",
        "${",
        "A=1",
        "A",
        "'",
        '"',
        "\\",
        "\\\n",
        "`",
        "[",
        "]",
        '["a", "b"]',
        "<<EOF",
        "<<-'EOF'",
        "\nEOF\n",
        "# escape=`\n",
        "# c\n",
        "\n",
        "\r\n",
        "\t",
        " ",
        "  ",
        "80/tcp",
        "/x/",
        "..",
        "https://a/b",
        "\udcff",
        "é",
        "\u2028",
        "\x00",
        "\ufeff",
    ]
)
PIECES = st.lists(FRAGMENTS, max_size=40).map(" ".join) | st.lists(FRAGMENTS, max_size=40).map(
    "".join
)


def plan(text: str) -> None:
    """Parse, plan and explain a text, as a build would before it does anything."""
    graph = graph_of(text, build_args={"A": "a/b"})
    explain(graph, lower_all(graph, build_args={"A": "a/b"}))


def check(text: str) -> None:
    error = failure_of(lambda: plan(text))
    assert error is None or error.where is not None


@given(st.binary(max_size=400))
@settings(max_examples=400, deadline=None)
def test_random_bytes(content: bytes) -> None:
    check(decode_source(content))


@given(PIECES)
@settings(max_examples=600, deadline=None)
def test_pieces_of_dockerfiles(text: str) -> None:
    check(text)


@given(PIECES)
@settings(max_examples=400, deadline=None)
def test_pieces_of_dockerfiles_behind_a_base(text: str) -> None:
    check("FROM scratch AS b\n" + text)


@given(st.text(max_size=60), st.sampled_from(["\\", "`"]))
@settings(max_examples=400, deadline=None)
def test_random_words(word: str, escape: str) -> None:
    failure_of(lambda: expand(word, {"A": "b"}, escape))
    failure_of(lambda: expand_words(word, {"A": "b"}, escape))


@given(PIECES)
@settings(max_examples=300, deadline=None)
def test_places_lie_within_the_file(text: str) -> None:
    try:
        found = read_statements(text, "Dockerfile")
    except DockerfileError:
        return
    for statement in found.statements:
        for part in (*statement.words, *statement.flags):
            where = statement.where_of(part)
            assert 1 <= where.line <= where.end_line <= len(found.source.lines)
            if where.column is not None and where.length is not None:
                assert where.column + where.length <= len(where.source[0])
        error = failure_of(lambda statement=statement: read_instruction(statement))
        assert error is None or error.where is not None


@given(st.text(max_size=200))
@settings(max_examples=300, deadline=None)
def test_random_ignore_files(text: str) -> None:
    error = failure_of(lambda: read_ignore(text))
    assert error is None or error.where is not None
