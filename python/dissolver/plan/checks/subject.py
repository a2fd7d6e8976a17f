"""What checks look at: a file, its stages, and each instruction with what is in effect there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

import msgspec

from dissolver.dockerfile.ast import Dockerfile, Instruction, Workdir
from dissolver.errors import DissolverError
from dissolver.image.config import ImageConfig
from dissolver.image.mutate import empty_image
from dissolver.plan.graph import ImageBase, Stage, StageBase, StageGraph
from dissolver.plan.lower import lower_instruction, stage_scope
from dissolver.plan.scope import Scope

if TYPE_CHECKING:
    from dissolver._core.tree import IgnoreRules


class Listing(msgspec.Struct, frozen=True, dict=True):
    """What is known of the build context: its ignore patterns, and paths in it.

    ``patterns`` are those of ``dockerfile.ignore.read_ignore``. ``paths`` are relative,
    and those of directories end with a slash; all that rules ask for lies at the top.
    ``name`` is what the ignore file is called.
    """

    patterns: tuple[str, ...]
    paths: tuple[str, ...]
    name: str = ".dockerignore"

    @cached_property
    def _rules(self) -> IgnoreRules:
        from dissolver._core.tree import IgnoreRules

        return IgnoreRules(self.patterns)

    def excludes(self, path: str) -> bool:
        """Tell whether the ignore file keeps ``path`` out of the context."""
        if not self.patterns:
            return False
        return self._rules.excludes(path.rstrip("/").encode(), path.endswith("/"))

    @cached_property
    def visible(self) -> frozenset[str]:
        """The paths that the build sees."""
        return frozenset(path for path in self.paths if not self.excludes(path))

    @property
    def has_exceptions(self) -> bool:
        """Whether a pattern takes something back in."""
        return any(pattern.startswith("!") for pattern in self.patterns)


class Subject(msgspec.Struct, frozen=True):
    """A planned file and what is known of what it is built on.

    ``bases`` has configurations of base images by the index of the stage; a stage that
    is missing there is built on an image that nobody has looked at.
    """

    graph: StageGraph
    bases: Mapping[int, ImageConfig]
    build_args: Mapping[str, str]
    listing: Listing | None = None

    @property
    def dockerfile(self) -> Dockerfile:
        """The file."""
        return self.graph.dockerfile


class Point(msgspec.Struct, frozen=True):
    """An instruction of a stage's own, and what is in effect in front of it.

    ``scope`` changes when the walk goes on. ``knows_base`` says that the variables and
    start values of the base image are among it. ``has_workdir`` says that a WORKDIR came
    before it in this file.
    """

    subject: Subject
    stage: Stage
    instruction: Instruction
    scope: Scope
    knows_base: bool
    has_workdir: bool


class _Left(msgspec.Struct, frozen=True):
    """What a stage leaves to those that are built on it."""

    config: ImageConfig
    args: Mapping[str, str | None]
    knows_base: bool
    has_workdir: bool


def walk(subject: Subject) -> Iterator[Point]:
    """Yield every instruction of the needed stages, in order.

    Mistakes are not looked for: an instruction that makes one changes nothing.
    """
    left: dict[int, _Left] = {}
    for stage in subject.graph.needed:
        start = _start(subject, stage, left)
        scope = stage_scope(
            subject.graph,
            start.config,
            build_args=subject.build_args,
            inherited_args=start.args,
        )
        has_workdir = start.has_workdir
        for index, instruction in enumerate(stage.all_instructions):
            if index >= len(stage.triggers):
                yield Point(subject, stage, instruction, scope, start.knows_base, has_workdir)
            has_workdir = has_workdir or isinstance(instruction, Workdir)
            _advance(subject.graph, stage, instruction, scope)
        config = msgspec.structs.replace(start.config, config=scope.run)
        left[stage.index] = _Left(config, scope.args, start.knows_base, has_workdir)


def _start(subject: Subject, stage: Stage, left: Mapping[int, _Left]) -> _Left:
    if isinstance(stage.base, StageBase):
        return left[stage.base.index]
    config = subject.bases.get(stage.index)
    knows_base = config is not None or not isinstance(stage.base, ImageBase)
    return _Left(config or empty_image(stage.platform), {}, knows_base, False)


def _advance(graph: StageGraph, stage: Stage, instruction: Instruction, scope: Scope) -> None:
    try:
        lower_instruction(graph, stage, instruction, scope)
    except DissolverError:
        return
