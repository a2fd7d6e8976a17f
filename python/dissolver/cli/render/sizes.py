"""Numbers of bytes in words, with decimal (SI) units."""

from __future__ import annotations

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
_STEP = 1000


def human_size(size: int) -> str:
    """Word a number of bytes with three significant digits, as in ``7.8MB``.

    What would round up to 1000 of a unit is worded in the next one.
    """
    value, unit = float(size), 0
    while _rounded(value) >= _STEP and unit < len(_UNITS) - 1:
        value /= _STEP
        unit += 1
    return f"{_rounded(value):.3g}{_UNITS[unit]}"


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")


def transfer_size(size: int) -> str:
    """Word a number of bytes as progress lines do: ``152B``, ``1.14kB``."""
    if size < _STEP:
        return f"{size}B"
    value, unit = float(size), 0
    while round(value, 2) >= _STEP and unit < len(_UNITS) - 1:
        value /= _STEP
        unit += 1
    return f"{value:.2f}{_UNITS[unit]}"
