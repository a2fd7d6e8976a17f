"""All rules on one file."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping

from dissolver.errors import DissolverError
from dissolver.image.config import ImageConfig
from dissolver.plan.checks import behaviour, caching, context, spelling, stages
from dissolver.plan.checks.findings import Finding
from dissolver.plan.checks.options import BUILD_ARGUMENT, CheckOptions, read_options
from dissolver.plan.checks.rules import ORDER
from dissolver.plan.checks.subject import Listing, Point, Subject, walk
from dissolver.plan.graph import StageGraph

FILE_RULES: tuple[Callable[[Subject], Iterator[Finding]], ...] = (
    spelling.stage_names,
    spelling.keyword_casing,
    spelling.empty_continuations,
    spelling.descriptions,
    stages.stage_names,
    stages.undefined_arguments,
    stages.default_arguments,
    stages.platforms,
    stages.base_platforms,
    behaviour.repeated_instructions,
    caching.changing_arguments,
    caching.apart_updates,
)
"""Rules that look at a whole file."""

POINT_RULES: tuple[Callable[[Point], Iterator[Finding]], ...] = (
    spelling.legacy_pairs,
    spelling.maintainers,
    spelling.exposed_ports,
    behaviour.undefined_variables,
    behaviour.shell_commands,
    behaviour.relative_directories,
    behaviour.secret_names,
    context.ignored_sources,
    context.copied_secrets,
    context.repository_history,
    context.installed_packages,
)
"""Rules that look at one instruction, with what is in effect there."""


def check(
    graph: StageGraph,
    bases: Mapping[int, ImageConfig],
    *,
    build_args: Mapping[str, str],
    listing: Listing | None = None,
) -> tuple[Finding, ...]:
    """Find what violates a rule, in the order of lines.

    Rules about instructions look at the stages that ``graph`` says are needed. ``bases``
    holds configurations of base images by stage; what depends on one that is missing is
    not told. ``listing`` is what is known of the context. The file's ``check`` directive,
    the build argument that replaces it, and ``check=`` comments above instructions say
    which rules count.

    Raises:
        DockerfileError: the directive makes no sense.
    """
    options = read_options(graph.dockerfile, build_args.get(BUILD_ARGUMENT))
    subject = Subject(graph, bases, build_args, listing)
    instructions = graph.dockerfile.instructions
    lines = [instruction.statement.line for instruction in instructions]
    found: dict[Finding, None] = {}
    for finding in _all(subject):
        above = instructions[bisect_right(lines, finding.where.line) - 1].statement.comments
        if options.with_comments(above).allows(finding.rule):
            found[finding] = None
    return tuple(sorted(found, key=lambda finding: (finding.where.line, ORDER[finding.rule.name])))


def failing(graph: StageGraph, findings: tuple[Finding, ...], argument: str | None) -> list[str]:
    """Name the violated rules that make a build fail, because the file says so.

    Rules that only this project has advise: a file that another builder accepts is
    accepted here.
    """
    options: CheckOptions = read_options(graph.dockerfile, argument)
    if not options.fails:
        return []
    return sorted({finding.rule.name for finding in findings if not finding.rule.is_own})


def _all(subject: Subject) -> Iterator[Finding]:
    for file_rule in FILE_RULES:
        yield from file_rule(subject)
    watch = caching.InstallWatch()
    for point in walk(subject):
        for point_rule in (*POINT_RULES, watch.see):
            try:
                yield from point_rule(point)
            except DissolverError:
                # A word that cannot be expanded is a mistake, which planning tells.
                continue
