"""In which form the tests mount layers: as ``DISSOLVER_LAYERS`` says, as for the program."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, cast

import pytest

if TYPE_CHECKING:
    from dissolver.store import LayerForm

FORM = cast("LayerForm", os.environ.get("DISSOLVER_LAYERS", "auto"))
"""``erofs`` is for root alone, so ordinary accounts go on choosing for themselves."""

EVERY = bool(os.environ.get("DISSOLVER_TEST_FORMS"))
"""Everything that runs as root and as a user runs as root with extracted layers too."""

BOTH_FORMS = ["root", "extracted", "user"]

in_both_forms = pytest.mark.parametrize("who", BOTH_FORMS, indirect=True)
"""For scenarios that can tell how layers are mounted: once more as root, with extracted ones."""
