"""Where mistakes are shown, and what is said about them, against files.

``errors/NAME.txt`` holds a Dockerfile, a line ``----``, and the frame. Set
``DISSOLVER_UPDATE_GOLDEN`` to write the frames anew.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dissolver.errors import DissolverError, DockerfileErrors
from plan.planning import failure_of, graph_of, lower_all

CASES = sorted((Path(__file__).parent / "errors").glob("*.txt"))


def frame(error: DissolverError) -> str:
    if isinstance(error, DockerfileErrors):
        return "".join(frame(each) for each in error.errors)
    lines = [f"error: {error.message}"]
    where = error.where
    if where is not None:
        lines.append(f"  {where.file}:{where.line}")
        width = len(str(where.end_line))
        for number, text in enumerate(where.source, where.line):
            lines.append(f"  {number:>{width}} │ {text}")
        if where.column is not None and where.length is not None:
            lines.append(f"  {'':>{width}} │ {' ' * where.column}{'^' * where.length}")
    if error.hint is not None:
        lines.append(f"hint: {error.hint}")
    return "\n".join(lines) + "\n"


def test_there_are_frames() -> None:
    assert len(CASES) >= 50


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_a_mistake_looks_like_this(case: Path) -> None:
    text, _, expected = case.read_text().partition("----\n")
    error = failure_of(lambda: lower_all(graph_of(text)))
    assert error is not None
    found = frame(error)
    if os.environ.get("DISSOLVER_UPDATE_GOLDEN"):
        case.write_text(f"{text}----\n{found}")
    else:
        assert found == expected
