"""What a step gets for the time that it runs, and no layer, key or image ever holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dissolver.sandbox.spec import Mount


@dataclass(slots=True)
class Lent:
    """Mounts, in the order in which they are made, and variables."""

    mounts: list[Mount] = field(default_factory=list)
    env: list[tuple[str, str]] = field(default_factory=list, repr=False)
