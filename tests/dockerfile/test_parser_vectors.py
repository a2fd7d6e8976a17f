"""The vectors that other Dockerfile parsers are tested with."""

from __future__ import annotations

from pathlib import Path

import pytest

from dissolver.dockerfile.parse import parse
from dissolver.dockerfile.source import decode_source
from dissolver.errors import DockerfileError
from dockerfile.dump import dump_file

CORPUS = Path(__file__).parents[2].parent / "shared" / "corpus" / "dockerfile-parser"


def cases(kind: str) -> list[object]:
    folder = CORPUS / kind
    if not folder.is_dir():
        reason = f"the vectors are not beside the checkout, in {folder}"
        return [pytest.param(None, marks=pytest.mark.skip(reason=reason))]
    return [pytest.param(case, id=case.name) for case in sorted(folder.iterdir())]


@pytest.mark.parametrize("case", cases("testfiles"))
def test_statements_are_cut_as_everywhere(case: Path) -> None:
    text = decode_source((case / "Dockerfile").read_bytes())
    assert dump_file(text).strip() == (case / "result").read_text().strip()


@pytest.mark.parametrize("case", cases("testfiles-negative"))
def test_what_others_refuse_is_refused(case: Path) -> None:
    with pytest.raises(DockerfileError):
        parse(decode_source((case / "Dockerfile").read_bytes()))
