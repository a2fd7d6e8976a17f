"""How much the expressions of files may ask for.

A file may come from anywhere, and a few lines of it can describe more than a machine has: these
limits are far above what files that people write come to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dissolver.bake.hcl.values import Value, ValueFault

if TYPE_CHECKING:
    from dissolver.bake.hcl.source import Span

LARGEST_VALUE = 1_000_000
"""Elements and characters of one value."""

_MOST_STEPS = 5_000_000
"""Expressions that get a value: some 10 seconds. A file of 1,000 targets takes 100,000."""

_STEP_SIZE = 4
"""Elements and characters whose handling counts as a step."""


@dataclass(slots=True)
class Work:
    """What the expressions of some files have taken so far."""

    steps: int = 0

    def add(self, steps: int, span: Span) -> None:
        """Count some steps.

        Raises:
            BakeFileError: they are too many.
        """
        self.steps += steps
        if self.steps > _MOST_STEPS:
            hint = "lists in lists and texts of texts grow fast: make them shorter"
            raise span.fault("the expressions of this file take too many steps", hint=hint)

    def add_value(self, value: Value, span: Span) -> None:
        """Count what the handling of a value takes.

        Raises:
            BakeFileError: it is too large.
        """
        size = size_of(value)
        if size > LARGEST_VALUE:
            what = "text becomes too long" if isinstance(value, str) else "becomes too large"
            raise span.fault(f"this {what}")
        self.add(size // _STEP_SIZE, span)


def size_of(value: Value) -> int:
    """Count elements and characters, what is shared each time; more than are allowed at most."""
    size = 0
    waiting = [value]
    while waiting and size <= LARGEST_VALUE:
        one = waiting.pop()
        if isinstance(one, str):
            size += len(one)
        elif isinstance(one, list):
            size += len(one)
            waiting.extend(one)
        elif isinstance(one, dict):
            size += len(one) + sum(map(len, one))
            waiting.extend(one.values())
    return size


def refuse_larger(size: int) -> None:
    """Refuse to make a value of a size.

    Raises:
        ValueFault: it is too large.
    """
    if size > LARGEST_VALUE:
        raise ValueFault("this becomes too large")
