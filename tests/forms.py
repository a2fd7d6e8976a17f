"""In which form the tests mount layers: as ``DISSOLVER_LAYERS`` says, as for the program."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from dissolver.store import LayerForm

FORM = cast("LayerForm", os.environ.get("DISSOLVER_LAYERS", "auto"))
"""``erofs`` is for root alone, so ordinary accounts go on choosing for themselves."""
