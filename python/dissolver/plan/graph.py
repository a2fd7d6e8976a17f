"""The stages of a Dockerfile and what they need from each other."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from dissolver.dockerfile.ast import Dockerfile, From, Instruction
from dissolver.errors import Where
from dissolver.image.platform import Platform
from dissolver.image.reference import Reference


class ScratchBase(msgspec.Struct, frozen=True):
    """Nothing at all: ``FROM scratch``."""


class StageBase(msgspec.Struct, frozen=True):
    """The result of an earlier stage."""

    index: int


class ImageBase(msgspec.Struct, frozen=True):
    """An image that is pulled or lies in the store."""

    reference: Reference


Base = ScratchBase | StageBase | ImageBase


class Stage(msgspec.Struct, frozen=True):
    """One FROM and what follows it.

    ``label`` is what the build calls the stage: its name, or ``stage-N``, or
    nothing where there is but one. ``depends_on`` are the stages that must be
    built first; ``images`` are those that COPY takes files from.
    """

    index: int
    name: str | None
    label: str
    base: Base
    platform: Platform
    depends_on: frozenset[int]
    images: tuple[Reference, ...]
    origin: From
    instructions: tuple[Instruction, ...]

    @property
    def where(self) -> Where:
        """The FROM line."""
        return self.origin.where


class StageGraph(msgspec.Struct, frozen=True):
    """All stages, the one that is wanted, and those that it needs.

    ``needed`` is in an order in which every stage comes after what it depends on.
    ``global_args`` holds the values of ARGs before the first FROM, and the
    platform arguments.
    """

    dockerfile: Dockerfile
    stages: tuple[Stage, ...]
    target: Stage
    needed: tuple[Stage, ...]
    platform: Platform
    global_args: Mapping[str, str]


def stage_graph(
    dockerfile: Dockerfile,
    *,
    build_args: Mapping[str, str],
    target: str | None,
    platform: Platform,
) -> StageGraph:
    """Find the stages of ``dockerfile`` and those that ``target`` needs.

    ``target`` is a stage's name in any case, or its index; the default is the last.

    Raises:
        DockerfileError: a FROM is wrong, or stages depend on each other in a circle.
        UnknownStage: ``target`` or the origin of a COPY is no stage.
    """
    raise NotImplementedError
