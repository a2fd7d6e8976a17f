"""What `system check` says, and when it fails."""

from __future__ import annotations

from typing import Any

import pytest

from dissolver.store.fsck import Finding


@pytest.mark.parametrize(
    ("findings", "code", "out"),
    [
        ([], 0, "no problems found\n"),
        (["damaged x", "missing y"], 1, "damaged x\nmissing y\n"),
        (["leftover x", "missing y"], 1, "leftover x\nmissing y\n"),
        # What was killed leaves something, and that harms nothing.
        (["leftover x"], 0, "leftover x\nno problems found\n"),
    ],
)
def test_a_check_fails_for_what_is_wrong(
    line: Any, findings: list[str], code: int, out: str
) -> None:
    line.engine.answers["check"] = [Finding(text.split()[0], "it", text) for text in findings]
    done = line("system", "check")
    assert (done.code, done.out) == (code, out)
