"""Checking in tests: from a text to findings, without a store or a context."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dissolver.image.config import ImageConfig
from dissolver.image.platform import Platform
from dissolver.plan.checks.findings import Finding
from dissolver.plan.checks.run import check
from dissolver.plan.checks.subject import Listing
from dissolver.plan.graph import ImageBase
from plan.planning import EMPTY, MACHINE, graph_of

NO_CONTEXT: Listing | None = None


def findings_of(
    text: str,
    *,
    base: ImageConfig | None = EMPTY,
    listing: Listing | None = NO_CONTEXT,
    build_args: Mapping[str, str] | None = None,
    target: str | None = None,
    platform: Platform = MACHINE,
) -> tuple[Finding, ...]:
    """Check a Dockerfile; ``base`` stands for all images, ``None`` for unknown ones."""
    graph = graph_of(
        text,
        target=target,
        build_args=build_args,
        platform=platform,
        has_all=target is None,
    )
    bases = {
        stage.index: base
        for stage in graph.stages
        if base is not None and isinstance(stage.base, ImageBase)
    }
    return check(graph, bases, build_args=build_args or {}, listing=listing)


def listing(*paths: str, ignore: Sequence[str] = ()) -> Listing:
    return Listing(tuple(ignore), paths)


def told(findings: Sequence[Finding], rule: str) -> list[tuple[int, str]]:
    """Return lines and messages of one rule's findings."""
    return [(f.where.line, f.message) for f in findings if f.rule.name == rule]
