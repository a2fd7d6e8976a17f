"""A plan as text: what ``build --plan`` prints."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from dissolver.image.config import RunConfig
from dissolver.plan.graph import Base, ScratchBase, StageBase, StageGraph
from dissolver.plan.lower import LoweredStage
from dissolver.plan.modes import format_mode
from dissolver.plan.numbering import number_steps
from dissolver.plan.origins import NamedContext
from dissolver.plan.steps import CopyStep, RunStep, Step, WorkdirStep

_INDENT = " " * 6
_KEY_WIDTH = 11


def explain(graph: StageGraph, lowered: Mapping[int, LoweredStage]) -> str:
    """Describe every needed stage: its base, its steps with all they depend on, its result.

    ``lowered`` holds the needed stages by index. The text ends with a line end.
    """
    skipped = [stage.label for stage in graph.stages if stage not in graph.needed]
    head = f"plan of {graph.dockerfile.name} for {graph.platform}"
    lines = [head]
    if skipped:
        lines.append(f"not needed: {', '.join(skipped)}")
    for stage in graph.needed:
        lines += ["", *_explain_stage(graph, lowered[stage.index])]
    return "\n".join(lines) + "\n"


def _explain_stage(graph: StageGraph, lowered: LoweredStage) -> Iterator[str]:
    stage = lowered.stage
    needs = [graph.stages[index].label for index in sorted(stage.depends_on)]
    title = f"stage {stage.name or stage.index} (line {stage.where.line})"
    yield title + (f", after {', '.join(needs)}" if needs else "")
    numbering = number_steps(lowered)
    yield f"  {numbering.base or ''}FROM {_base_name(graph, stage.base)}"
    for label, step in zip(numbering.steps, lowered.steps, strict=True):
        yield f"  {label or ''}{step.display}"
        for key, value in _details(graph, step):
            yield f"{_INDENT}{key:<{_KEY_WIDTH}} {value}"
    yield "  result"
    for key, value in _result(lowered.config.config):
        yield f"{_INDENT}{key:<{_KEY_WIDTH}} {value}"


def _base_name(graph: StageGraph, base: Base) -> str:
    if isinstance(base, ScratchBase):
        return "scratch"
    if isinstance(base, StageBase):
        return graph.stages[base.index].label
    return base.reference.canonical


def _details(graph: StageGraph, step: Step) -> Iterator[tuple[str, str]]:
    if isinstance(step, RunStep):
        yield "command", _json(step.argv)
        yield "directory", step.cwd
        yield "user", step.user or "root"
        yield "network", step.network
        for name, value in step.env:
            yield "variable", f"{name}={value}"
    elif isinstance(step, CopyStep):
        yield "from", _origin(graph, step)
        for source in step.sources:
            yield "source", source
        yield "to", step.destination
        if step.chown is not None:
            yield "owner", step.chown
        if step.chmod is not None:
            yield "mode", format_mode(step.chmod)
    elif isinstance(step, WorkdirStep):
        yield "directory", step.path
        yield "user", step.user or "root"


def _origin(graph: StageGraph, step: CopyStep) -> str:
    if step.from_ is None:
        return "context"
    if isinstance(step.from_, int):
        return f"stage {graph.stages[step.from_].label}"
    if isinstance(step.from_, NamedContext):
        return f"context {step.from_.name}"
    return step.from_.canonical


def _result(run: RunConfig) -> Iterator[tuple[str, str]]:
    if run.entrypoint:
        yield "entrypoint", _json(run.entrypoint)
    if run.cmd:
        yield "command", _json(run.cmd)
    yield "directory", run.working_dir or "/"
    yield "user", run.user or "root"
    for variable in run.env:
        yield "variable", variable
    for port in run.exposed_ports:
        yield "port", port
    for volume in run.volumes:
        yield "volume", volume
    for name, value in sorted(run.labels.items()):
        yield "label", f"{name}={value}"
    if run.stop_signal:
        yield "stop signal", run.stop_signal


def _json(words: tuple[str, ...]) -> str:
    return json.dumps(words, ensure_ascii=False)
