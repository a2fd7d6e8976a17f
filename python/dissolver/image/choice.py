"""Which of an index's images is for a platform."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dissolver.image import media_types
from dissolver.image.manifest import platform_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dissolver.image.manifest import Descriptor
    from dissolver.image.platform import Platform

_LEVELS = {"amd64": "v1", "arm64": "v8", "arm": "v7"}
"""Architectures whose variants are levels, and the level that no variant means."""

_ALSO_RUNS = {"arm64": "arm", "amd64": "386"}
"""The older architecture whose programs a newer one runs: taken where nothing else is."""

_MOST_DIGITS = 4


def choose(entries: Iterable[Descriptor], wanted: Platform) -> Descriptor | None:
    """Choose the entry that fits ``wanted`` best; the first of several alike.

    A variant that the machine has outgrown fits, the nearest one best; one that it does
    not reach does not. What builders put beside images, such as attestations, is no image.
    """
    best: tuple[int, Descriptor] | None = None
    for entry in entries:
        if entry.media_type not in media_types.MANIFESTS | media_types.INDEXES:
            continue
        found = platform_of(entry)
        distance = None if found is None else distance_between(found, wanted)
        if distance is not None and (best is None or distance < best[0]):
            best = distance, entry
    return None if best is None else best[1]


def distance_between(found: Platform, wanted: Platform) -> int | None:
    """Tell how far what is ``found`` is from what is ``wanted``: 0 is the same, ``None`` unfit."""
    if found.os != wanted.os:
        return None
    if found.architecture == wanted.architecture:
        return _variants_apart(found.architecture, found.variant, wanted.variant)
    if _ALSO_RUNS.get(wanted.architecture) == found.architecture:
        # Any level of the older architecture, the highest one first.
        return 1000 - (_level(found.architecture, found.variant) or 0)
    return None


def is_for(found: Platform, wanted: Platform) -> bool:
    """Tell whether the two are one platform: `arm64` and `arm64/v8` are, in other words."""
    return distance_between(found, wanted) == 0


def _variants_apart(architecture: str, found: str, wanted: str) -> int | None:
    if architecture not in _LEVELS:
        if found == wanted:
            return 0
        return 1 if not (found and wanted) else None
    have, need = _level(architecture, found), _level(architecture, wanted)
    if have is None or need is None:
        return 0 if found == wanted else None
    return need - have if have <= need else None


def _level(architecture: str, variant: str) -> int | None:
    digits = (variant or _LEVELS.get(architecture, "")).removeprefix("v")
    # Python refuses to read endless numbers, which an index may well have.
    return int(digits) if digits.isdecimal() and len(digits) < _MOST_DIGITS else None
