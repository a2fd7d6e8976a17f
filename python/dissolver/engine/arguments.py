"""Lists of texts that callers give: one text alone is not the list of its letters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dissolver.errors import BadOption

if TYPE_CHECKING:
    from collections.abc import Iterable


def several(name: str, values: Iterable[str]) -> tuple[str, ...]:
    """Take the texts of the argument ``name``.

    Raises:
        BadOption: it is a single text.
    """
    if isinstance(values, str):
        raise BadOption(
            f"`{name}` is a list of texts, and not a text", hint=f"write `{name}=[{values!r}]`"
        )
    return tuple(values)
