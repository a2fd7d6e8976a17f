"""Stores of a test's own, with small layers and images in them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dissolver.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store", tmp_path / "run") as made:
        yield made
