"""The same cases built by BuildKit: what comes of them is what the cases say, or as listed.

Starts a daemon, so it runs only when it is asked for: `make compare-buildkit`. With
`DISSOLVER_TEST_RECORD=1` a case that does not say what comes of it is completed with what
BuildKit makes of it, to be looked at and kept.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from cases.builders import Dissolver, Failed, compare
from cases.buildkit import BuildKit, missing
from cases.reading import OTHERWISE, Case, all_cases, record
from cases.yard import Servers
from scene import Account

CASES = all_cases()


@pytest.fixture(scope="module")
def buildkit(
    tmp_path_factory: pytest.TempPathFactory,
    root_account: Account,
    busybox_tar: object,
    served: Servers,
    key: object,
) -> Iterator[BuildKit]:
    if lacking := missing():
        pytest.skip(f"not on the path: {lacking}")
    dissolver = Dissolver(root_account, busybox_tar, served, key)  # type: ignore[arg-type]
    made = BuildKit(tmp_path_factory.mktemp("buildkit"), dissolver)
    yield made
    made.close()
    dissolver.close()


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_case(buildkit: BuildKit, case: Case) -> None:
    if case.has("no peer"):
        pytest.skip(case.text("no peer").strip())
    fails = _failure(case)
    if fails is not None:
        with pytest.raises(Failed) as caught:
            buildkit.outcome(case)
        assert [part for part in fails.splitlines() if part not in str(caught.value)] == []
        return
    outcome = buildkit.outcome(case)
    if case.is_open and os.environ.get("DISSOLVER_TEST_RECORD"):
        record(case, outcome)
        pytest.fail("recorded; look at what came of it")
    compare(case, outcome, is_peer=True)


def _failure(case: Case) -> str | None:
    """Tell what the error says that BuildKit ends with, if it is to fail."""
    if any(section.name in OTHERWISE for section in case.sections):
        return case.expected("buildkit fails")
    return case.expected("fails")
