"""Any text gives an answer or an error with a place, never another exception.

``DISSOLVER_FUZZ_EXAMPLES`` says how many texts of each kind are tried.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dissolver.dockerfile.expand import expand, expand_words
from dissolver.dockerfile.ignore import read_ignore
from dissolver.dockerfile.instructions import read_instruction
from dissolver.dockerfile.source import decode_source
from dissolver.dockerfile.statements import KEYWORDS, read_statements
from dissolver.errors import DockerfileError
from dissolver.plan.checks.fix import apply_fixes
from dissolver.plan.checks.report import as_json, as_text
from dissolver.plan.checks.run import check as check_rules
from dissolver.plan.explain import explain
from dissolver.plan.outline import outline, outline_text, targets, targets_text
from plan.checking import listing
from plan.planning import EMPTY, failure_of, graph_of, lower_all

EXAMPLES = int(os.environ.get("DISSOLVER_FUZZ_EXAMPLES", "400"))
TESTS = Path(__file__).parents[1]
CORPUS = TESTS.parents[1] / "shared" / "corpus" / "dockerfile-parser"


def _files() -> Iterator[str]:
    """Give the Dockerfiles to mutate: those of the tests, and of the vectors where these are."""
    for pattern in ("plan/plans/*.txt", "plan/checks/*.txt", "plan/fixes/*.txt",
                    "dockerfile/errors/*.txt", "dockerfile/syntax/*.txt"):  # fmt: skip
        for path in sorted(TESTS.glob(pattern)):
            yield path.read_text().partition("----\n")[0]
    shapes, vectors = TESTS.glob("shapes/*/Dockerfile"), CORPUS.glob("*/*/Dockerfile")
    for path in (*sorted(shapes), *sorted(vectors)):
        yield decode_source(path.read_bytes())


FILES = tuple(_files())
CONTEXT = listing("package.json", ".env", ".git/", ignore=("*.log", "dist"))

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
        "--mount=type=cache,target=/x,from=b",
        "--mount=type=secret,id=a,env=A",
        "--mount=type=ssh",
        "--mount=from=b,target=$A",
        "--link",
        "--parents",
        "--exclude=*.o",
        "--chmod=u+x",
        "--checksum=sha256:00",
        "--keep-git-dir",
        "--unpack=false",
        "https://a/b.git#c:d",
        "git@a:b?ref=c",
        "./x/./y",
        "apt-get update",
        "npm ci",
        "# check=skip=all\n",
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
    """Parse, plan, explain and check a text: all that is done before a build begins."""
    arguments = {"A": "a/b"}
    graph = graph_of(text, build_args=arguments)
    bases = {stage.index: EMPTY for stage in graph.stages if stage.index % 2}
    found = check_rules(graph, bases, build_args=arguments, listing=CONTEXT)
    source = graph.dockerfile.source
    as_text(found, source)
    as_json(found, source)
    apply_fixes("\n".join(source.lines), found)
    targets_text(targets(graph.dockerfile))
    outline_text(outline(graph, arguments))
    explain(graph, lower_all(graph, build_args=arguments))


def check(text: str) -> None:
    error = failure_of(lambda: plan(text))
    assert error is None or error.where is not None


CUTS = ("cut", "double", "insert", "replace", "upper", "truncate", "character")
MOVES = ("swap", "repeat", "splice", "join", "lend")


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """Draw a Dockerfile of the tests with pieces and lines cut out, doubled, moved, and put in."""
    text = draw(st.sampled_from(FILES))
    for _ in range(draw(st.integers(1, 6))):
        kind = draw(st.sampled_from((*CUTS, *MOVES)))
        if kind in MOVES:
            text = _with_lines_moved(draw, text, kind)
            continue
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 40)))
        piece = text[start:end]
        match kind:
            case "cut":
                piece = ""
            case "double":
                piece += piece
            case "insert":
                piece = draw(FRAGMENTS) + piece
            case "replace":
                piece = draw(FRAGMENTS)
            case "upper":
                piece = piece.swapcase()
            case "character":
                piece = draw(st.characters()) + piece[1:]
            case _:
                end = len(text)
        text = text[:start] + piece + text[end:]
    return text


def _with_lines_moved(draw: st.DrawFn, text: str, kind: str) -> str:
    lines = text.split("\n")
    one = draw(st.integers(0, len(lines) - 1))
    other = draw(st.integers(0, len(lines) - 1))
    match kind:
        case "swap":
            lines[one], lines[other] = lines[other], lines[one]
        case "repeat":
            lines.insert(one, lines[other])
        case "join":
            # Lines that belonged apart: a comment in a command, a keyword in a word.
            lines[one] = lines[one].rstrip("\\") + draw(st.sampled_from(["", " ", " \\\n"]))
            lines[one : one + 2] = ["".join(lines[one : one + 2])]
        case "lend":
            more = draw(st.sampled_from(FILES)).split("\n")
            lines.insert(one, more[draw(st.integers(0, len(more) - 1))])
        case _:
            more = draw(st.sampled_from(FILES)).split("\n")
            lines[one:] = more[draw(st.integers(0, len(more) - 1)) :]
    return "\n".join(lines)


@given(mutated())
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_mutated_dockerfiles(text: str) -> None:
    check(text)


@given(st.binary(max_size=400))
@settings(max_examples=EXAMPLES, deadline=None)
def test_random_bytes(content: bytes) -> None:
    check(decode_source(content))


@given(PIECES)
@settings(max_examples=EXAMPLES, deadline=None)
def test_pieces_of_dockerfiles(text: str) -> None:
    check(text)


@given(PIECES)
@settings(max_examples=EXAMPLES, deadline=None)
def test_pieces_of_dockerfiles_behind_a_base(text: str) -> None:
    check("FROM scratch AS b\n" + text)


@given(st.text(max_size=60), st.sampled_from(["\\", "`"]))
@settings(max_examples=EXAMPLES, deadline=None)
def test_random_words(word: str, escape: str) -> None:
    failure_of(lambda: expand(word, {"A": "b"}, escape))
    failure_of(lambda: expand_words(word, {"A": "b"}, escape))


@given(PIECES)
@settings(max_examples=EXAMPLES, deadline=None)
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
@settings(max_examples=EXAMPLES, deadline=None)
def test_random_ignore_files(text: str) -> None:
    error = failure_of(lambda: read_ignore(text))
    assert error is None or error.where is not None
