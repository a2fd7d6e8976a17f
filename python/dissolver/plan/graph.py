"""The stages of a Dockerfile and what they need from each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from dissolver.dockerfile.ast import Copy, Dockerfile, From, Instruction
from dissolver.dockerfile.faults import Faults
from dissolver.dockerfile.suggest import did_you_mean, nearest
from dissolver.errors import DissolverError, DockerfileError, UnknownStage, Where
from dissolver.image.platform import Platform
from dissolver.image.reference import Reference
from dissolver.plan.arguments import global_arguments, platform_arguments
from dissolver.plan.bases import (
    Base,
    BaseReader,
    ContextBase,
    ImageBase,
    ScratchBase,
    StageBase,
)
from dissolver.plan.dependencies import OriginFinder, Use, uses_of
from dissolver.plan.origins import NamedContext, NamedContexts, Origin
from dissolver.plan.triggers import own_triggers, read_triggers

__all__ = [
    "Base",
    "ContextBase",
    "ImageBase",
    "ScratchBase",
    "Stage",
    "StageBase",
    "StageGraph",
    "misspelt_stage",
    "stage_graph",
]


class Stage(msgspec.Struct, frozen=True):
    """One FROM and what follows it.

    ``label`` is what the build calls the stage: its name, or ``stage-N``, or
    nothing where the Dockerfile names nothing else. ``depends_on`` are the stages
    that must be built first; ``images`` and ``contexts`` are those that COPY and
    mounts take files from. ``triggers`` are instructions that the base left for this
    stage; they come before its own. A stage whose name a named context has taken is
    nothing but that context.
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
    triggers: tuple[Instruction, ...] = ()
    contexts: tuple[NamedContext, ...] = ()

    @property
    def where(self) -> Where:
        """The FROM line."""
        return self.origin.where

    @property
    def all_instructions(self) -> tuple[Instruction, ...]:
        """What is carried out: the triggers, then the stage's own instructions."""
        return (*self.triggers, *self.instructions)


class StageGraph(msgspec.Struct, frozen=True):
    """All stages, the one that is wanted, and those that it needs.

    ``needed`` is in an order in which every stage comes after what it depends on.
    ``global_args`` holds the values of ARGs before the first FROM, and the
    platform arguments. ``has_all`` says that every stage is wanted, which checks do.
    """

    dockerfile: Dockerfile
    stages: tuple[Stage, ...]
    target: Stage
    needed: tuple[Stage, ...]
    platform: Platform
    global_args: Mapping[str, str]
    named_contexts: NamedContexts = NamedContexts({})
    has_all: bool = False

    def origin(self, stage: Stage, use: Use) -> Origin:
        """Return what a name behind ``from`` in ``stage`` means.

        Raises:
            DockerfileError: a variable or an invalid reference stands there.
            UnknownStage: there is no stage with that index.
        """
        return self._finder.find(use, stage.index)

    def copy_origin(self, stage: Stage, copy: Copy) -> Origin:
        """Return where a COPY of ``stage`` takes files from; ``None`` is the context.

        Raises:
            DockerfileError, UnknownStage: as ``origin``.
        """
        if copy.origin is None:
            return None
        return self.origin(stage, Use(copy, copy.origin, True))

    def with_triggers(self, index: int, texts: Sequence[str]) -> StageGraph:
        """Return the graph once it is known what the base image of a stage left for it.

        The triggers may need further stages and images. Call this again for stages that
        came to be needed, with what their images left. Texts that are known already
        change nothing.

        Raises:
            DockerfileError: a trigger is no instruction, or names what does not exist.
        """
        stage = self.stages[index]
        base = stage.base
        if not texts or stage.triggers or not isinstance(base, ImageBase):
            return self
        triggers = read_triggers(texts, base.reference.familiar, stage.where)
        stages = list(self.stages)
        stages[index] = _with_origins(replace(stage, triggers=triggers), self._finder)
        target = stages[self.target.index]
        needed = _needed(stages, range(len(stages)) if self.has_all else (target.index,))
        return replace(self, stages=tuple(stages), target=target, needed=needed)

    @property
    def _finder(self) -> OriginFinder:
        return OriginFinder([stage.name for stage in self.stages], self.named_contexts)


def stage_graph(
    dockerfile: Dockerfile,
    *,
    build_args: Mapping[str, str],
    target: str | None,
    platform: Platform,
    build_platform: Platform | None = None,
    contexts: Mapping[str, Reference | None] | None = None,
    has_all: bool = False,
) -> StageGraph:
    """Find the stages of ``dockerfile`` and those that ``target`` needs.

    ``target`` is a stage's name in any case, or its index; the default is the
    last. ``platform`` is what the image is for, ``build_platform`` what the
    building machine is, the same by default. ``contexts`` are the named contexts:
    an image's reference, or ``None`` for files. ``has_all`` makes every stage a
    needed one.

    Raises:
        DockerfileError: a FROM is wrong, or stages depend on each other in a circle.
        DockerfileErrors: there are several mistakes.
        UnknownStage: ``target`` or the index in a ``COPY --from`` is no stage.
    """
    sections = _sections(dockerfile.instructions)
    names = [None if head.alias is None else head.alias.text.lower() for head, _ in sections]
    wanted = _target_index(dockerfile, sections, names, target)
    named = target if target else names[-1]
    predefined = platform_arguments(platform, build_platform or platform, named or "")
    values = global_arguments(dockerfile.instructions, build_args, predefined, dockerfile.escape)
    named_contexts = NamedContexts(contexts or {})
    reader = BaseReader(values, named_contexts, platform, dockerfile.escape)
    stages = _stages(sections, names, reader, OriginFinder(names, named_contexts))
    needed = _needed(stages, range(len(stages)) if has_all else (wanted,))
    return StageGraph(
        dockerfile=dockerfile,
        stages=stages,
        target=stages[wanted],
        needed=needed,
        platform=platform,
        global_args=values,
        named_contexts=named_contexts,
        has_all=has_all,
    )


def misspelt_stage(graph: StageGraph, reference: Reference) -> UnknownStage | None:
    """Explain an image that was not found as the stage that was probably meant.

    A name that is no stage is an image. Whether it was meant to be one shows only
    when there is no such image: ask this then.

    Returns:
        The error to raise instead, or nothing if no stage has a similar name.
    """
    for stage in graph.needed:
        base = stage.base
        earlier = graph.stages[: stage.index]
        if isinstance(base, ImageBase) and base.reference == reference:
            place = stage.origin.where_of(stage.origin.image)
            return _unknown_stage(stage.origin.image.text, earlier, place)
        for use in uses_of(stage.all_instructions):
            if graph.origin(stage, use) == reference:
                return _unknown_stage(use.word.text, earlier, use.instruction.where_of(use.word))
    return None


def place_of_image(graph: StageGraph, stage: Stage, reference: Reference) -> Where:
    """Tell where ``stage`` names an image: in what takes files from it, or else in its FROM."""
    for use in uses_of(stage.all_instructions):
        if graph.origin(stage, use) == reference:
            return use.instruction.where_of(use.word)
    return stage.where


def _unknown_stage(written: str, stages: Sequence[Stage], where: Where) -> UnknownStage | None:
    by_name = {stage.name: stage for stage in stages if stage.name}
    meant = nearest(written, by_name)
    if meant is None:
        return None
    line = by_name[meant].origin.statement.line
    return UnknownStage(
        f"unknown stage `{written}`",
        hint=f"did you mean `{meant}`, defined on line {line}?",
        where=where,
    )


def _sections(
    instructions: tuple[Instruction, ...],
) -> list[tuple[From, tuple[Instruction, ...]]]:
    starts = [index for index, item in enumerate(instructions) if isinstance(item, From)]
    ends = [*starts[1:], len(instructions)]
    sections: list[tuple[From, tuple[Instruction, ...]]] = []
    for start, end in zip(starts, ends, strict=True):
        head = instructions[start]
        if isinstance(head, From):
            sections.append((head, instructions[start + 1 : end]))
    return sections


def _stages(
    sections: Sequence[tuple[From, tuple[Instruction, ...]]],
    names: Sequence[str | None],
    reader: BaseReader,
    finder: OriginFinder,
) -> tuple[Stage, ...]:
    """Read every stage; mistakes in different ones are told together."""
    faults = Faults()
    stages: list[Stage] = []
    for index, (head, instructions) in enumerate(sections):
        base: Base = ScratchBase()
        platform = Platform("", "")
        replacement = reader.replacement(names[index])
        with faults:
            platform = reader.platform(head)
            base = reader.base(head, names[:index]) if replacement is None else replacement
        stage = Stage(
            index=index,
            name=names[index],
            label=names[index] or f"stage-{index}",
            base=base,
            platform=platform,
            depends_on=frozenset(),
            images=(),
            origin=head,
            instructions=instructions if replacement is None else (),
            triggers=own_triggers(stages[base.index].instructions)
            if isinstance(base, StageBase)
            else (),
        )
        with faults:
            stage = _with_origins(stage, finder)
        stages.append(stage)
    faults.raise_any()
    if len(stages) == 1 and not (stages[0].images or stages[0].contexts):
        stages = [replace(stages[0], label="")]
    return tuple(stages)


def _target_index(
    dockerfile: Dockerfile,
    sections: Sequence[tuple[From, tuple[Instruction, ...]]],
    names: Sequence[str | None],
    target: str | None,
) -> int:
    if not target:
        return len(sections) - 1
    for index in reversed(range(len(names))):
        if names[index] == target.lower():
            return index
    if target.isascii() and target.isdecimal() and int(target[:9]) < len(sections):
        return int(target[:9])
    known = [name for name in names if name]
    hint = did_you_mean(target, known)
    if hint is None and known:
        hint = f"`{dockerfile.name}` has the stages {_listed(known)}"
    raise UnknownStage(f"target stage `{target}` could not be found", hint=hint)


def _with_origins(stage: Stage, finder: OriginFinder) -> Stage:
    """Return ``stage`` with the stages, images and contexts that it needs."""
    depends_on = {stage.base.index} if isinstance(stage.base, StageBase) else set()
    images: dict[Reference, None] = {}
    contexts: dict[NamedContext, None] = {}
    faults = Faults()
    for use in _uses(stage, faults):
        with faults:
            origin = finder.find(use, stage.index)
            if isinstance(origin, int):
                depends_on.add(origin)
            elif isinstance(origin, Reference):
                images[origin] = None
            elif isinstance(origin, NamedContext):
                contexts[origin] = None
    faults.raise_any()
    if not (depends_on or images or contexts):
        return stage
    return replace(
        stage, depends_on=frozenset(depends_on), images=tuple(images), contexts=tuple(contexts)
    )


def _uses(stage: Stage, faults: Faults) -> Iterable[Use]:
    for instruction in stage.all_instructions:
        with faults:
            yield from uses_of((instruction,))


def _needed(stages: Sequence[Stage], wanted: Iterable[int]) -> tuple[Stage, ...]:
    """Find the wanted stages and what they need, in the order of the file.

    A stage can only use earlier ones, so that order is one in which things can be
    built, and there are no circles.
    """
    found = set(wanted)
    pending = list(found)
    while pending:
        stage = stages[pending.pop()]
        for index in stage.depends_on:
            if index >= stage.index:
                raise _forward(stage, stages[index])
            if index not in found:
                found.add(index)
                pending.append(index)
    return tuple(stages[index] for index in sorted(found))


def _forward(stage: Stage, later: Stage) -> DissolverError:
    where = stage.where
    verb = "copy"
    for use in uses_of(stage.all_instructions):
        if use.word.text.lower() in (later.name, str(later.index)):
            where = use.instruction.where_of(use.word)
            verb = "copy" if isinstance(use.instruction, Copy) else "mount"
            break
    name, later_name = (each.name or f"stage-{each.index}" for each in (stage, later))
    if stage.index == later.index:
        return DockerfileError(f"circular dependency detected on stage `{name}`", where=where)
    return DockerfileError(
        f"cannot {verb} from stage `{later_name}`, it needs to be defined before "
        f"current stage `{name}`",
        where=where,
        hint=f"move `{later_name}`, on line {later.origin.statement.line}, up",
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
