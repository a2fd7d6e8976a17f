"""FROM lines: names, arguments and platforms."""

from __future__ import annotations

from collections.abc import Iterator

from dissolver.dockerfile.ast import Arg, From, Word
from dissolver.dockerfile.expand import Expansion, expand, expand_words
from dissolver.dockerfile.suggest import nearest
from dissolver.errors import BadPlatform, BadReference, DockerfileError
from dissolver.image.platform import Platform, parse_platform
from dissolver.image.reference import parse_reference
from dissolver.plan.arguments import global_arguments, platform_arguments
from dissolver.plan.checks import rules
from dissolver.plan.checks.findings import Edit, Finding
from dissolver.plan.checks.subject import Subject
from dissolver.plan.graph import ImageBase, Stage
from dissolver.plan.origins import RESERVED, SCRATCH

TARGET_PLATFORM = "TARGETPLATFORM"


def stage_names(subject: Subject) -> Iterator[Finding]:
    """Find stage names that are taken, by another stage or by the language."""
    seen: set[str] = set()
    for stage in subject.graph.stages:
        name = stage.name
        if name is None:
            continue
        if name in RESERVED:
            yield Finding(
                rules.RESERVED_STAGE_NAME,
                f'Stage name should not use the same name as reserved stage "{name}"',
                stage.where,
            )
        if name in seen:
            yield Finding(
                rules.DUPLICATE_STAGE_NAME,
                f'Duplicate stage name "{name}", stage names should be unique',
                stage.where,
            )
        seen.add(name)


def undefined_arguments(subject: Subject) -> Iterator[Finding]:
    """Find arguments in FROM lines that no ARG before the first FROM declares."""
    declared = [
        definition.name.text
        for instruction in _before_stages(subject)
        for definition in instruction.definitions
    ]
    known = dict.fromkeys((*declared, *subject.graph.global_args))
    for stage in subject.graph.stages:
        head = stage.origin
        for word in (head.image, head.platform):
            expansion = None if word is None else _expanded(subject, word)
            for name in sorted(expansion.unset) if expansion is not None else ():
                if name in known:
                    continue
                meant = nearest(name, known)
                offer = f" (did you mean {meant}?)" if meant else ""
                yield Finding(
                    rules.UNDEFINED_ARG_IN_FROM,
                    f"FROM argument '{name}' is not declared{offer}",
                    head.where,
                )


def _before_stages(subject: Subject) -> Iterator[Arg]:
    for instruction in subject.dockerfile.instructions:
        if isinstance(instruction, From):
            return
        if isinstance(instruction, Arg):
            yield instruction


def _expanded(subject: Subject, word: Word) -> Expansion | None:
    try:
        return expand_words(word.text, subject.graph.global_args, subject.dockerfile.escape)
    except DockerfileError:
        return None


def default_arguments(subject: Subject) -> Iterator[Finding]:
    """Find FROM lines that name no image where nobody passes ``--build-arg``."""
    dockerfile, platform = subject.dockerfile, subject.graph.platform
    predefined = platform_arguments(platform, platform, "")
    try:
        values = global_arguments(dockerfile.instructions, {}, predefined, dockerfile.escape)
    except DockerfileError:
        return
    names = {stage.name for stage in subject.graph.stages}
    for stage in subject.graph.stages:
        word = stage.origin.image
        try:
            name = expand(word.text, values, dockerfile.escape)
        except DockerfileError:
            continue
        if name.lower() in names or name == SCRATCH:
            continue
        try:
            parse_reference(name)
        except BadReference:
            yield Finding(
                rules.INVALID_DEFAULT_ARG_IN_FROM,
                f"Default value for ARG {word.text} results in empty or invalid base image name",
                stage.where,
            )


def platforms(subject: Subject) -> Iterator[Finding]:
    """Find ``--platform`` flags that say what is so anyway, or the same for every machine."""
    for stage in subject.graph.stages:
        head = stage.origin
        if head.platform is None:
            continue
        expansion = _expanded(subject, head.platform)
        if expansion is None:
            continue
        if "$" not in head.platform.text:
            yield from _constant_platform(stage, expansion.text)
        elif head.platform.text in (f"${TARGET_PLATFORM}", f"${{{TARGET_PLATFORM}}}"):
            yield Finding(
                rules.REDUNDANT_TARGET_PLATFORM,
                f"Setting platform to predefined {head.platform.text} in FROM is redundant as "
                "this is the default behavior",
                head.where,
                _without_platform(head),
            )


def _constant_platform(stage: Stage, text: str) -> Iterator[Finding]:
    try:
        platform = parse_platform(text, default=stage.platform)
    except BadPlatform:
        return
    name = stage.name or ""
    if platform.os not in name and platform.architecture not in name:
        yield Finding(
            rules.FROM_PLATFORM_FLAG_CONST_DISALLOWED,
            f'FROM --platform flag should not use constant value "{text}"',
            stage.where,
        )


def _without_platform(head: From) -> tuple[Edit, ...]:
    """Take the flag out, with the white space behind it."""
    statement = head.statement
    (flag,) = statement.flags
    where = statement.where_of(flag)
    following = statement.where_of(head.image)
    if where.column is None or following.column is None or where.line != following.line:
        return ()
    return (Edit(where.line, where.column, where.line, following.column, ""),)


def base_platforms(subject: Subject) -> Iterator[Finding]:
    """Find base images that are for another kind of machine than the stage."""
    for stage in subject.graph.needed:
        config = subject.bases.get(stage.index)
        if config is None or not isinstance(stage.base, ImageBase):
            continue
        actual, expected = config.platform, stage.platform
        if _machine(actual) != _machine(expected):
            yield Finding(
                rules.INVALID_BASE_IMAGE_PLATFORM,
                f'Base image {stage.origin.image.text} was pulled with platform "{actual}", '
                f'expected "{expected}" for current build',
                stage.where,
            )


def _machine(platform: Platform) -> tuple[str, str]:
    return platform.os, platform.architecture
