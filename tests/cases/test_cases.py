"""Dockerfiles and contexts, and what comes of them: see the `.cases` files beside this one."""

from __future__ import annotations

import pytest

from cases.builders import Dissolver, Failed, compare
from cases.reading import Case, all_cases

CASES = all_cases()


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_case(dissolver: Dissolver, case: Case) -> None:
    assert not case.is_open, "nothing says what comes of it"
    if case.has("fails"):
        with pytest.raises(Failed) as caught:
            dissolver.outcome(case)
        for part in case.text("fails").splitlines():
            assert part in str(caught.value)
        return
    compare(case, dissolver.outcome(case))
