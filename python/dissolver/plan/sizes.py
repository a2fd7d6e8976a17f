"""Sizes as people write them: ``64m``, ``1.5g``."""

from __future__ import annotations

import re

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([kmgtp]?)i?b?", re.ASCII | re.IGNORECASE)
_UNITS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_HIGHEST = 2**63 - 1
_LONGEST = 32

FORMS = "sizes read `64m` or `1g`"
"""What to tell somebody who wrote something else."""


def parse_bytes(text: str) -> int | None:
    """Read a size in bytes, with units of 1024; ``None`` where the text is none."""
    found = _SIZE.fullmatch(text) if len(text) <= _LONGEST else None
    if found is None:
        return None
    size = int(float(found[1]) * 1024 ** _UNITS[found[2].lower()])
    return size if size <= _HIGHEST else None
