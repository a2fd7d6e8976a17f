"""Reports of checks as text and JSON, and what fixes make of a file, against files.

``checks/NAME.txt`` holds a Dockerfile, a line ``----``, and the report; ``fixes/NAME.txt``
a Dockerfile, the line, and the diff. Set ``DISSOLVER_UPDATE_GOLDEN`` to write them anew.
"""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import pytest

from dissolver.dockerfile.source import Source
from dissolver.errors import DockerfileError, Where
from dissolver.plan.checks.fix import fix_text, unified_diff
from dissolver.plan.checks.report import as_json, as_text, source_frame, summary
from dissolver.plan.checks.run import check
from plan.checking import findings_of, listing
from plan.planning import graph_of

HERE = Path(__file__).parent
REPORTS = sorted((HERE / "checks").glob("*.txt"))
FIXES = sorted((HERE / "fixes").glob("*.txt"))
CONTEXT = listing("package.json", "package-lock.json", ".git/", "node_modules/", ".env", "src/")


def compare(case: Path, text: str, found: str, expected: str) -> None:
    if os.environ.get("DISSOLVER_UPDATE_GOLDEN"):
        case.write_text(f"{text}----\n{found}")
    else:
        assert found == expected


def test_there_are_reports_and_fixes() -> None:
    assert len(REPORTS) >= 4
    assert len(FIXES) >= 12


@pytest.mark.parametrize("case", REPORTS, ids=lambda case: case.stem)
def test_a_report_reads(case: Path) -> None:
    text, _, expected = case.read_text().partition("----\n")
    graph = graph_of(text, has_all=True)
    found = check(graph, {}, build_args={}, listing=CONTEXT)
    compare(case, text, as_text(found, graph.dockerfile.source), expected)


@pytest.mark.parametrize("case", FIXES, ids=lambda case: case.stem)
def test_a_fix_reads(case: Path) -> None:
    text, _, expected = case.read_text().partition("----\n")
    fixed = fix_text(text, findings_of)
    compare(case, text, unified_diff(text, fixed.text, "Dockerfile"), expected)


def test_the_number_of_warnings_is_told() -> None:
    assert summary(0) == "Check complete, no warnings found."
    assert summary(1) == "Check complete, 1 warning has been found!"
    assert summary(2) == "Check complete, 2 warnings have been found!"


FRAMES = [
    (1, 1, [1, 2, 3]),
    (3, 3, [1, 2, 3, 4, 5]),
    (3, 4, [2, 3, 4, 5]),
    (6, 6, [4, 5, 6, 7]),
    (5, 99, [4, 5, 6, 7]),
]


@pytest.mark.parametrize(("line", "end_line", "shown"), FRAMES)
def test_a_frame_shows_lines_around(line: int, end_line: int, shown: list[int]) -> None:
    source = Source("Dockerfile", tuple("abcdef"))
    text = source_frame(Where("Dockerfile", line, end_line), source)
    numbers = [int(row.split("|")[0]) for row in text.splitlines() if "|" in row]
    assert numbers == shown


def test_a_report_as_json_has_the_fields_that_tools_read() -> None:
    text = "FROM a as b\nENV A=$B\n"
    graph = graph_of(text)
    found = findings_of(text)
    document = json.loads(as_json(found, graph.dockerfile.source))
    assert set(document) == {"warnings", "sources"}
    first, second = document["warnings"]
    assert first["ruleName"] == "FromAsCasing"
    assert first["url"] == "https://docs.docker.com/go/dockerfile/rule/from-as-casing/"
    assert first["detail"] == "'as' and 'FROM' keywords' casing do not match"
    assert first["location"] == {"ranges": [{"start": {"line": 1}, "end": {"line": 1}}]}
    assert first["fix"] == [
        {"start": {"line": 1, "character": 7}, "end": {"line": 1, "character": 9}, "text": "AS"}
    ]
    assert "fix" not in second
    (source,) = document["sources"]
    assert source["filename"] == "Dockerfile"
    assert base64.b64decode(source["data"]).decode() == text


def test_a_mistake_is_a_part_of_the_json() -> None:
    source = graph_of("FROM a").dockerfile.source
    error = DockerfileError("no", where=Where("Dockerfile", 1, 2))
    document = json.loads(as_json((), source, error))
    assert document["buildError"] == {
        "message": "no",
        "location": {"ranges": [{"start": {"line": 1}, "end": {"line": 2}}]},
    }
