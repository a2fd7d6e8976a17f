"""Documents inside a Dockerfile."""

from __future__ import annotations

import pytest

from dissolver.dockerfile.ast import Heredoc
from dissolver.dockerfile.heredoc import Marker, find_markers, parse_marker
from dissolver.dockerfile.parse import parse
from dissolver.dockerfile.statements import read_statements
from dissolver.errors import DockerfileError

MARKERS = [
    ("<<EOF", Marker("EOF", True, False, 0)),
    ("<<-EOF", Marker("EOF", True, True, 0)),
    ("<< EOF", Marker("EOF", True, False, 0)),
    ("<<- EOF", Marker("EOF", True, True, 0)),
    ("3<<EOF", Marker("EOF", True, False, 3)),
    ("<<'EOF'", Marker("EOF", False, False, 0)),
    ('<<"EOF"', Marker("EOF", False, False, 0)),
    ('<<EO"F"', Marker("EOF", False, False, 0)),
    ("<<'one two'", Marker("one two", False, False, 0)),
    ("<<$EOF", Marker("$EOF", True, False, 0)),
    ("<<file.txt", Marker("file.txt", True, False, 0)),
    ("<<EOF EOT", None),
    ("<<", None),
    ("<<<EOF", None),
    ("<<a<b", None),
    ("EOF", None),
    ("x<<EOF", None),
    ('"<<EOF"', None),
    ("<<'EOF", None),
    ("<<-'EOF'", Marker("EOF", False, True, 0)),
    ('12<<-"EOF"', Marker("EOF", False, True, 12)),
    ("<<''EOF", Marker("EOF", False, False, 0)),
    # A shell would leave the body alone; for BuildKit only quotes say so.
    ("<<E\\OF", Marker("EOF", True, False, 0)),
    ("<<--EOF", Marker("-EOF", True, True, 0)),
    ("<<1", Marker("1", True, False, 0)),
    ("<<a=b", Marker("a=b", True, False, 0)),
    ("<<é", Marker("é", True, False, 0)),
    ("<<.", Marker(".", True, False, 0)),
    ("<<''", None),
    ("<<-", None),
    ("<", None),
    ("<EOF", None),
    ("<<EOF<<", None),
    ("-<<EOF", None),
    ("", None),
]


@pytest.mark.parametrize(("word", "expected"), MARKERS)
def test_a_marker_is(word: str, expected: Marker | None) -> None:
    assert parse_marker(word) == expected


FOUND = [
    ("RUN <<EOF", ["EOF"]),
    ("RUN cat <<EOF >x", ["EOF"]),
    ("RUN 3<<EOF", ["EOF"]),
    ("COPY <<a <<b /x/", ["a", "b"]),
    ("RUN <<  EOF", ["EOF"]),
    ("RUN echo '<<EOF'", []),
    ('RUN echo "<<EOF"', []),
    ("RUN echo \\<<EOF", []),
    ("RUN cat <<<word", []),
    ("RUN echo $((1<<2))", []),
    ("RUN it's <<EOF", []),
    ("RUN (cat <<EOF) | sh", ["EOF)"]),
    ("RUN cat <<EOF; echo", ["EOF;"]),
    ("RUN <<A <<-B 3<<'C'", ["A", "B", "C"]),
    ("RUN cat <<A | sh <<B", ["A", "B"]),
    ("RUN cat <<A>x", ["A>x"]),
    ("RUN cat >x <<A", ["A"]),
    ("RUN a<<A", []),
    ("RUN a <<A&& b", ["A&&"]),
    ("RUN a <<", []),
    ("RUN a << && b", ["&&"]),
    ("RUN <<'two words'", ["two words"]),
    ('RUN echo "$(cat <<A)"', []),
    ("RUN $X <<$Y", ["$Y"]),
    ("RUN --mount=type=tmpfs,target=/x <<A", ["A"]),
    ("COPY --chmod=755 <<a.sh <<b.sh /x/", ["a.sh", "b.sh"]),
    ("COPY a <<b '<<c' /x/", ["b"]),
]


@pytest.mark.parametrize(("text", "names"), FOUND)
def test_markers_are_found_in_a_line(text: str, names: list[str]) -> None:
    assert [marker.name for marker in find_markers(text)] == names


def heredocs(text: str) -> tuple[Heredoc, ...]:
    return read_statements(text, "Dockerfile").statements[0].heredocs


def test_a_body_goes_up_to_its_name() -> None:
    (found,) = heredocs("RUN <<EOF\na\n  EOF\nEOF \nb\nEOF\nRUN c")
    assert found.body == "a\n  EOF\nEOF \nb\n"
    assert (found.line, found.end_line) == (2, 6)


def test_a_body_is_left_alone() -> None:
    (found,) = heredocs("RUN <<EOF\n# kept\n\nx \\\ny\nEOF\n")
    assert found.body == "# kept\n\nx \\\ny\n"


def test_line_ends_of_a_body_are_kept() -> None:
    (found,) = heredocs("RUN <<EOF\r\na\r\nb\r\nEOF\r\n")
    assert found.body == "a\r\nb\r\n"


def test_tabs_are_taken_off_where_a_dash_asks_for_it() -> None:
    (found,) = heredocs("RUN <<-EOF\n\t\ta\n\t b\n\tEOF\n")
    assert found.body == "\t\ta\n\t b\n"
    assert found.content == "a\n b\n"


def test_several_bodies_follow_in_order() -> None:
    first, second = heredocs("COPY <<a <<'b' /x/\n1\na\n2\nb\nRUN c")
    assert (first.name, first.body, first.expands) == ("a", "1\n", True)
    assert (second.name, second.body, second.expands) == ("b", "2\n", False)


def test_an_empty_body_is_fine() -> None:
    (found,) = heredocs("RUN <<EOF\nEOF")
    assert found.body == ""


def test_an_instruction_ends_with_its_last_body() -> None:
    first, second = read_statements("RUN <<A <<B\n1\nA\n2\nB\nRUN c", "Dockerfile").statements
    assert (first.line, first.end_line, second.line) == (1, 5, 6)


def test_a_trigger_holds_its_body() -> None:
    (_, onbuild) = parse("FROM a\nONBUILD RUN <<EOF\nhi\nEOF\n").instructions
    assert onbuild.expression == "RUN <<EOF\nhi\nEOF"  # type: ignore[attr-defined]
    assert onbuild.trigger.command.heredocs[0].body == "hi\n"  # type: ignore[attr-defined]


@pytest.mark.parametrize("line", ["CMD <<EOF", 'RUN ["<<EOF"]', "ENV A=<<EOF", "LABEL a=<<EOF"])
def test_other_instructions_have_no_documents(line: str) -> None:
    assert heredocs(f"{line}\n") == ()


def test_a_missing_end_is_an_error_at_the_marker() -> None:
    with pytest.raises(DockerfileError) as caught:
        read_statements("FROM a\nRUN <<EOF\nx\n", "Dockerfile")
    assert caught.value.message == "unterminated heredoc `EOF`"
    assert caught.value.where is not None
    assert caught.value.where.line == 2


def test_sources_of_a_copy_may_be_documents() -> None:
    (_, copy) = parse("FROM a\nCOPY x <<one << two y /d/\n1\none\n2\ntwo\n").instructions
    assert [word.text for word in copy.sources] == ["x", "y"]  # type: ignore[attr-defined]
    assert [item.name for item in copy.heredocs] == ["one", "two"]  # type: ignore[attr-defined]
