"""The numbers in front of steps: ``[2/5] ``, ``[builder  2/10] ``."""

from __future__ import annotations

import msgspec

from dissolver.plan.graph import ImageBase
from dissolver.plan.lower import LoweredStage
from dissolver.plan.steps import Step


class Numbering(msgspec.Struct, frozen=True):
    """The labels of a stage's FROM and steps; ``None`` for what is not counted or not shown.

    A label ends with a space, ready for the step's text.
    """

    base: str | None
    steps: tuple[str | None, ...]


def number_steps(lowered: LoweredStage) -> Numbering:
    """Number a stage as BuildKit does.

    An image as base, RUN, COPY, ADD and WORKDIR count. ``WORKDIR /`` and every trigger
    count in the total, and yet have no number of their own if they have nothing to do.
    """
    counted = [
        step.makes_layer or step.is_trigger or _is_idle_workdir(step) for step in lowered.steps
    ]
    has_image = isinstance(lowered.stage.base, ImageBase)
    total = sum(counted) + has_image
    prefix = f"{lowered.stage.label} " if lowered.stage.label else ""
    width = len(str(total))
    number = int(has_image)
    labels: list[str | None] = []
    for step in lowered.steps:
        if step.makes_layer:
            number += 1
            labels.append(f"[{prefix}{number:>{width}}/{total}] ")
        else:
            labels.append(None)
    base = f"[{prefix}{1:>{width}}/{total}] " if has_image else None
    return Numbering(base, tuple(labels))


def _is_idle_workdir(step: Step) -> bool:
    return not step.makes_layer and step.created_by.startswith("WORKDIR ")
