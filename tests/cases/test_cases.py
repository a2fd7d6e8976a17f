"""Dockerfiles and contexts, and what comes of them: see the `.cases` files beside this one.

With `DISSOLVER_TEST_RECORD=1` a case that BuildKit cannot be told is completed with what comes
of it, to be looked at and kept; all others are completed by `make compare-buildkit`.
"""

from __future__ import annotations

import os

import pytest

from cases.builders import Dissolver, Failed, compare
from cases.reading import Case, all_cases, record

CASES = all_cases()


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_case(dissolver: Dissolver, case: Case) -> None:
    if case.is_open and case.has("no peer") and os.environ.get("DISSOLVER_TEST_RECORD"):
        record(case, dissolver.outcome(case))
        pytest.fail("recorded; look at what came of it")
    assert not case.is_open, "nothing says what comes of it"
    if case.has("fails"):
        with pytest.raises(Failed) as caught:
            dissolver.outcome(case)
        for part in case.text("fails").splitlines():
            assert part in str(caught.value)
        return
    compare(case, dissolver.outcome(case))
