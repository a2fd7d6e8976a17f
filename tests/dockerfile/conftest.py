"""Tests of plans are about the whole language, and not about what the builder does by now."""

from __future__ import annotations

import pytest

from dissolver.plan import support


@pytest.fixture(autouse=True)
def the_whole_language(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(support, "NOT_CARRIED_OUT", ())
