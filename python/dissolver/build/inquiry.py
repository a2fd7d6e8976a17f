"""What can be asked about a build without carrying it out: checks, an outline, targets.

No registry is asked, nothing is written, and of the context only names are looked at.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dissolver.build.definition import check_context, read_definition, read_ignore_file
from dissolver.errors import DissolverError, ImageNotFound
from dissolver.plan.graph import ImageBase, StageBase

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from dissolver.build.definition import Definition
    from dissolver.build.request import BuildRequest
    from dissolver.dockerfile.ast import Dockerfile
    from dissolver.image.config import ImageConfig
    from dissolver.image.reference import Reference
    from dissolver.plan.checks.findings import Finding
    from dissolver.plan.checks.subject import Listing
    from dissolver.plan.graph import Stage, StageGraph
    from dissolver.plan.outline import Outline, Target
    from dissolver.store import Store


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What checks found in a file: findings in the order of lines, and a mistake if there is one.

    ``text`` is the file's, called ``name`` in messages; ``path`` is absolute, and ``None``
    where the text came without a file.
    """

    name: str
    text: str
    path: str | None
    findings: tuple[Finding, ...]
    error: DissolverError | None = None


@dataclass(frozen=True, slots=True)
class FixReport:
    """A file before and after what could be rewritten, and what is left to decide.

    ``diff`` is the difference as ``diff -u`` shows it, empty if there is none.
    """

    before: str
    after: str
    diff: str
    fixed: tuple[Finding, ...]
    left: CheckReport


def check_build(store: Store, request: BuildRequest) -> CheckReport:
    """Check what ``request`` names, all stages unless it has a target.

    Rules that depend on a base image look at it if it is in the store. A file that cannot
    be read as a Dockerfile has mistakes and no findings.

    Raises:
        BuildError: there is no file.
    """
    root = check_context(request.context)
    return _check(store, request, root, read_definition(request, root))


def fix_build(store: Store, request: BuildRequest) -> FixReport:
    """Rewrite what can be rewritten safely, in a copy of the text: no file is changed.

    Raises:
        BuildError: as ``check_build``.
    """
    from dataclasses import replace

    from dissolver.plan.checks.fix import fix_text, unified_diff

    root = check_context(request.context)
    definition = read_definition(request, root)

    def check(text: str) -> CheckReport:
        return _check(store, request, root, replace(definition, text=text))

    fixed = fix_text(definition.text, lambda text: check(text).findings)
    return FixReport(
        before=definition.text,
        after=fixed.text,
        diff=unified_diff(definition.text, fixed.text, definition.name),
        fixed=fixed.fixed,
        left=check(fixed.text),
    )


def outline_of(request: BuildRequest) -> Outline:
    """Tell which arguments, secrets and agents the target takes.

    Raises:
        DockerfileError: a mistake in the file.
        BuildError: there is none.
    """
    from dissolver.plan.outline import outline

    root = check_context(request.context)
    dockerfile = _parse(read_definition(request, root))
    return outline(_graph(dockerfile, request, has_all=False), request.build_args)


def targets_of(request: BuildRequest) -> tuple[Target, ...]:
    """List the stages that can be built.

    Raises:
        DockerfileError: a mistake in the file.
        BuildError: there is none.
    """
    from dissolver.plan.outline import targets

    root = check_context(request.context)
    return targets(_parse(read_definition(request, root)))


def listing_of(root: Path, patterns: tuple[str, ...], name: str) -> Listing:
    """Look at the names at the top of a context."""
    from dissolver.plan.checks.subject import Listing

    try:
        with os.scandir(root) as entries:
            paths = [
                entry.name + ("/" if entry.is_dir(follow_symlinks=False) else "")
                for entry in entries
            ]
    except OSError:
        paths = []
    return Listing(patterns, tuple(sorted(paths)), name)


def _check(store: Store, request: BuildRequest, root: Path, definition: Definition) -> CheckReport:
    from dissolver.plan.checks.run import check

    findings: tuple[Finding, ...] = ()
    mistake: DissolverError | None = None
    try:
        graph = _graph(_parse(definition), request, has_all=request.target is None)
        bases = dict(_known_bases(store, graph))
        for index, base in bases.items():
            graph = graph.with_triggers(index, base.config.on_build)
        listing = _listing(definition, root)
        findings = check(graph, bases, build_args=request.build_args, listing=listing)
        mistake = _mistake(graph, bases, request.build_args)
    except DissolverError as error:
        mistake = error
    return CheckReport(
        name=definition.name,
        text=definition.text,
        path=None if definition.path is None else str(definition.path),
        findings=findings,
        error=mistake,
    )


def _parse(definition: Definition) -> Dockerfile:
    from dissolver.dockerfile.parse import parse

    return parse(definition.text, name=definition.name)


def _graph(dockerfile: Dockerfile, request: BuildRequest, *, has_all: bool) -> StageGraph:
    from dissolver.build.emulation import machine_platform, wanted_platform
    from dissolver.plan.graph import stage_graph

    return stage_graph(
        dockerfile,
        build_args=request.build_args,
        target=request.target,
        platform=wanted_platform(request.platform),
        build_platform=machine_platform(),
        contexts={name: _image_of(name, value) for name, value in request.contexts.items()},
        has_all=has_all,
    )


def _image_of(name: str, value: str) -> Reference | None:
    """Tell which image a named context is; files are none.

    An image of a layout is not taken in to be asked about: its name stands for it, and
    counts as an image that is not there.
    """
    from dissolver.build.preparation import IMAGE_SCHEME, LAYOUT_SCHEME
    from dissolver.image.reference import parse_reference

    if value.startswith(IMAGE_SCHEME):
        return parse_reference(value.removeprefix(IMAGE_SCHEME))
    return parse_reference(name) if value.startswith(LAYOUT_SCHEME) else None


def _known_bases(store: Store, graph: StageGraph) -> Iterator[tuple[int, ImageConfig]]:
    """Find the configurations of base images that are in the store."""
    from dissolver.build.bases import BaseImages, sought_base
    from dissolver.build.events import Progress
    from dissolver.build.scheduler import Cancellation

    with BaseImages(store, None, Progress(None), Cancellation()) as images:
        for stage in graph.needed:
            base = sought_base(stage)
            if base is None:
                continue
            try:
                image = images.find(base, is_strict=False)
            except ImageNotFound:
                continue
            yield stage.index, image.config


def _listing(definition: Definition, root: Path) -> Listing:
    from dissolver.dockerfile.ignore import read_ignore

    ignore = read_ignore_file(definition, root)
    patterns = tuple(read_ignore(ignore.text, name=ignore.name))
    return listing_of(root, patterns, ignore.name)


def _mistake(
    graph: StageGraph, bases: Mapping[int, ImageConfig], build_args: Mapping[str, str]
) -> DissolverError | None:
    """Find what planning would refuse, in the stages whose bases are known."""
    from msgspec.structs import replace

    from dissolver.image.mutate import empty_image
    from dissolver.plan.lower import lower_stages

    known: set[int] = set()
    for stage in graph.needed:
        below = stage.base.index in known if isinstance(stage.base, StageBase) else True
        if below and (stage.index in bases or not isinstance(stage.base, ImageBase)):
            known.add(stage.index)
    planned = replace(graph, needed=tuple(s for s in graph.needed if s.index in known))

    def base_of(stage: Stage) -> ImageConfig:
        return bases.get(stage.index) or empty_image(stage.platform)

    try:
        lower_stages(planned, base_of, build_args=build_args)
    except DissolverError as error:
        return error
    return None
