"""Whole files as syntax trees, against files.

``syntax/NAME.txt`` holds a Dockerfile, a line ``----``, and its tree. Set
``DISSOLVER_UPDATE_GOLDEN`` to write the trees anew.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dissolver.dockerfile.parse import parse
from dockerfile.tree_text import tree_text

CASES = sorted((Path(__file__).parent / "syntax").glob("*.txt"))


def test_there_are_trees() -> None:
    assert len(CASES) >= 12


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_a_file_is_understood(case: Path) -> None:
    text, _, expected = case.read_bytes().decode().partition("----\n")
    found = tree_text(parse(text))
    if os.environ.get("DISSOLVER_UPDATE_GOLDEN"):
        case.write_bytes(f"{text}----\n{found}".encode())
    else:
        assert found == expected
