"""The stages of a Dockerfile and what they need from each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from dissolver.dockerfile.ast import Copy, Dockerfile, From, Instruction, Word
from dissolver.dockerfile.expand import expand, expand_words
from dissolver.dockerfile.suggest import did_you_mean, nearest
from dissolver.errors import BadPlatform, BadReference, DockerfileError, UnknownStage, Where
from dissolver.image.platform import Platform, parse_platform
from dissolver.image.reference import Reference, parse_reference
from dissolver.plan.arguments import global_arguments, platform_arguments
from dissolver.plan.support import check_supported

SCRATCH = "scratch"
"""The name of the base that is nothing at all."""


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
    nothing where the Dockerfile names nothing else. ``depends_on`` are the stages
    that must be built first; ``images`` are those that COPY takes files from.
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

    def copy_origin(self, stage: Stage, copy: Copy) -> int | Reference | None:
        """Return where a COPY of ``stage`` takes files from: a stage, an image, or the context.

        Raises:
            DockerfileError: a variable or an invalid reference stands there.
            UnknownStage: there is no stage with that index.
        """
        if copy.origin is None:
            return None
        return _origin(copy, copy.origin, self.stages, stage.index)


def stage_graph(
    dockerfile: Dockerfile,
    *,
    build_args: Mapping[str, str],
    target: str | None,
    platform: Platform,
    build_platform: Platform | None = None,
) -> StageGraph:
    """Find the stages of ``dockerfile`` and those that ``target`` needs.

    ``target`` is a stage's name in any case, or its index; the default is the
    last. ``platform`` is what the image is for, ``build_platform`` what the
    building machine is, the same by default. Stages that are not needed are read
    but may use what this version does not build.

    Raises:
        DockerfileError: a FROM is wrong, or stages depend on each other in a circle.
        UnknownStage: ``target`` or the index in a ``COPY --from`` is no stage.
        NotSupportedYet: a needed stage uses what this version does not build.
    """
    sections = _sections(dockerfile.instructions)
    names = [None if head.alias is None else head.alias.text.lower() for head, _ in sections]
    wanted = _target_index(dockerfile, sections, names, target)
    named = target if target else names[-1]
    predefined = platform_arguments(platform, build_platform or platform, named or "")
    values = global_arguments(dockerfile.instructions, build_args, predefined, dockerfile.escape)
    stages = _stages(sections, names, values, platform, dockerfile.escape)
    needed = _needed(stages, wanted)
    for stage in needed:
        for instruction in stage.instructions:
            check_supported(instruction)
    return StageGraph(dockerfile, stages, stages[wanted], needed, platform, values)


def misspelt_stage(graph: StageGraph, reference: Reference) -> UnknownStage | None:
    """Explain an image that was not found as the stage that was probably meant.

    A name that is no stage is an image. Whether it was meant to be one shows only
    when there is no such image: ask this then.

    Returns:
        The error to raise instead, or nothing if no stage has a similar name.
    """
    for stage in graph.needed:
        base = stage.base
        if isinstance(base, ImageBase) and base.reference == reference:
            place = stage.origin.where_of(stage.origin.image)
            earlier = graph.stages[: stage.index]
            return _unknown_stage(stage.origin.image.text, earlier, place)
        for copy in _copies(stage):
            if graph.copy_origin(stage, copy) == reference and copy.origin is not None:
                place = copy.where_of(copy.origin)
                return _unknown_stage(copy.origin.text, graph.stages[: stage.index], place)
    return None


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
    values: Mapping[str, str],
    platform: Platform,
    escape: str,
) -> tuple[Stage, ...]:
    stages: list[Stage] = []
    for index, (head, instructions) in enumerate(sections):
        stage = Stage(
            index=index,
            name=names[index],
            label=names[index] or f"stage-{index}",
            base=_base(head, stages, values, escape),
            platform=_platform(head, values, platform, escape),
            depends_on=frozenset(),
            images=(),
            origin=head,
            instructions=instructions,
        )
        stages.append(stage)
    linked = [_with_origins(stage, stages) for stage in stages]
    if len(linked) == 1 and not linked[0].images:
        linked = [msgspec.structs.replace(linked[0], label="")]
    return tuple(linked)


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


def _base(head: From, earlier: Sequence[Stage], values: Mapping[str, str], escape: str) -> Base:
    name = _expanded(head, head.image, values, escape)
    if not name:
        raise DockerfileError(
            f"base name `{head.image.text}` should not be blank",
            where=head.where_of(head.image),
            hint=_blank_hint(head.image, values, escape),
        )
    for stage in reversed(earlier):
        if stage.name == name.lower():
            return StageBase(stage.index)
    if name == SCRATCH:
        return ScratchBase()
    return ImageBase(_reference(name, head, head.image))


def _blank_hint(word: Word, values: Mapping[str, str], escape: str) -> str | None:
    unset = sorted(expand_words(word.text, values, escape).unset)
    if not unset:
        return None
    offered = did_you_mean(unset[0], values)
    return offered or f"declare `ARG {unset[0]}=…` before the first `FROM`"


def _platform(head: From, values: Mapping[str, str], default: Platform, escape: str) -> Platform:
    if head.platform is None:
        return default
    text = _expanded(head, head.platform, values, escape)
    where = head.where_of(head.platform)
    if not text:
        raise DockerfileError(
            f"the platform `{head.platform.text}` is blank",
            where=where,
            hint=_blank_hint(head.platform, values, escape),
        )
    try:
        return parse_platform(text, default=default)
    except BadPlatform as error:
        error.where = where
        raise


def _expanded(head: From, word: Word, values: Mapping[str, str], escape: str) -> str:
    try:
        return expand(word.text, values, escape)
    except DockerfileError as error:
        error.where = error.where or head.where_of(word)
        raise


def _reference(name: str, instruction: Instruction, word: Word) -> Reference:
    try:
        return parse_reference(name)
    except BadReference as error:
        error.where = instruction.where_of(word)
        raise


def _with_origins(stage: Stage, stages: Sequence[Stage]) -> Stage:
    """Return ``stage`` with the stages and images that it needs."""
    depends_on = {stage.base.index} if isinstance(stage.base, StageBase) else set()
    images: dict[Reference, None] = {}
    for copy in _copies(stage):
        if copy.origin is None:
            continue
        origin = _origin(copy, copy.origin, stages, stage.index)
        if isinstance(origin, int):
            depends_on.add(origin)
        else:
            images[origin] = None
    if not depends_on and not images:
        return stage
    return msgspec.structs.replace(stage, depends_on=frozenset(depends_on), images=tuple(images))


def _copies(stage: Stage) -> Iterable[Copy]:
    return (item for item in stage.instructions if isinstance(item, Copy))


def _origin(copy: Copy, origin: Word, stages: Sequence[Stage], current: int) -> int | Reference:
    text = origin.text
    if "$" in text:
        raise DockerfileError(
            "variables are not expanded in `--from`",
            where=copy.where_of(origin),
            hint=f"name a stage with `FROM {text} AS NAME`, and copy from that",
        )
    # Of several stages with one name, the nearest earlier one is meant; a later one is
    # found as well, to be refused by name.
    for stage in (*reversed(stages[:current]), *reversed(stages[current:])):
        if stage.name == text.lower():
            return stage.index
    if text.isascii() and text.isdecimal():
        index = int(text[:9])
        if index >= len(stages):
            raise UnknownStage(
                f"invalid stage index `{text}`",
                where=copy.where_of(origin),
                hint=f"the stages are numbered from 0 to {len(stages) - 1}",
            )
        return index
    return _reference(text, copy, origin)


def _needed(stages: Sequence[Stage], target: int) -> tuple[Stage, ...]:
    """Find what the target needs, itself included, in the order of the file.

    A stage can only use earlier ones, so that order is one in which things can be
    built, and there are no circles.
    """
    found = {target}
    pending = [target]
    while pending:
        stage = stages[pending.pop()]
        for index in stage.depends_on:
            if index >= stage.index:
                raise _forward(stage, stages[index])
            if index not in found:
                found.add(index)
                pending.append(index)
    return tuple(stages[index] for index in sorted(found))


def _forward(stage: Stage, later: Stage) -> DockerfileError:
    where = stage.where
    for copy in _copies(stage):
        if copy.origin is not None and copy.origin.text.lower() in (later.name, str(later.index)):
            where = copy.where_of(copy.origin)
            break
    name, later_name = (each.name or f"stage-{each.index}" for each in (stage, later))
    if stage.index == later.index:
        return DockerfileError(f"circular dependency detected on stage `{name}`", where=where)
    return DockerfileError(
        f"cannot copy from stage `{later_name}`, it needs to be defined before "
        f"current stage `{name}`",
        where=where,
        hint=f"move `{later_name}`, on line {later.origin.statement.line}, up",
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
