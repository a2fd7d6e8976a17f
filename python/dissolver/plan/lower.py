"""From the instructions of a stage to its steps."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from dissolver.image.config import ImageConfig
from dissolver.plan.graph import Stage, StageGraph
from dissolver.plan.steps import Step


class LoweredStage(msgspec.Struct, frozen=True):
    """The steps of a stage and what comes out.

    ``config`` is the base's configuration with the stage's start values and
    author; layers and history are added as the steps are carried out. ``args`` are
    the build arguments that a stage built on this one inherits, in order; a value
    is ``None`` where an argument was declared and never given one.
    """

    stage: Stage
    steps: tuple[Step, ...]
    config: ImageConfig
    args: Mapping[str, str | None]


def lower_stage(
    graph: StageGraph,
    stage: Stage,
    base: ImageConfig,
    *,
    build_args: Mapping[str, str],
    inherited_args: Mapping[str, str | None],
) -> LoweredStage:
    """Turn the instructions of ``stage`` into steps on top of ``base``.

    ``inherited_args`` are the ``args`` of the stage it is built on, or empty.

    Raises:
        DockerfileError: an instruction makes no sense; the error says where.
        NotSupportedYet: an instruction or flag that this version does not build.
    """
    raise NotImplementedError
