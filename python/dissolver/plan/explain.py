"""A plan as text: what ``build --plan`` prints."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from dissolver.image.config import RunConfig
from dissolver.plan.credentials import redacted
from dissolver.plan.graph import Base, ContextBase, ScratchBase, StageBase, StageGraph
from dissolver.plan.lower import LoweredStage
from dissolver.plan.modes import format_mode
from dissolver.plan.mounts import (
    BindMount,
    CacheMount,
    Mount,
    SecretMount,
    SshMount,
    TmpfsMount,
)
from dissolver.plan.numbering import number_steps
from dissolver.plan.origins import EmptyOrigin, NamedContext, Origin
from dissolver.plan.sources import AddSource, LocalSource, UrlSource
from dissolver.plan.steps import AddStep, CopyStep, RunStep, Step, TransferStep, WorkdirStep

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
    if isinstance(base, ContextBase):
        return f"context {base.context.name}"
    return base.reference.canonical


def _details(graph: StageGraph, step: Step) -> Iterator[tuple[str, str]]:
    if isinstance(step, RunStep):
        yield from _run_details(graph, step)
    elif isinstance(step, CopyStep):
        yield "from", _origin(graph, step.from_)
        for index, source in enumerate(step.sources):
            pivot = f", without {step.pivots[index]}" if step.parents else ""
            yield "source", source + pivot
        yield from _transfer_details(step)
    elif isinstance(step, AddStep):
        for added in step.sources:
            yield "source", _source(added)
        yield from _transfer_details(step)
    elif isinstance(step, WorkdirStep):
        yield "directory", step.path
        yield "user", step.user or "root"


def _run_details(graph: StageGraph, step: RunStep) -> Iterator[tuple[str, str]]:
    yield "command", _json(step.argv)
    yield "directory", step.cwd
    yield "user", step.user or "root"
    yield "network", step.network
    if step.security != "sandbox":
        yield "security", step.security
    for file in step.files:
        yield "script", f"{file.path} ({len(file.content.encode())} bytes)"
    for mount in step.mounts:
        yield "mount", _mount(graph, mount)
    for name, value in step.env:
        yield "variable", f"{name}={value}"


def _transfer_details(step: TransferStep) -> Iterator[tuple[str, str]]:
    for document in step.documents:
        yield "document", f"{document.path} ({len(document.content.encode())} bytes)"
    for pattern in step.excludes:
        yield "without", pattern
    yield "to", step.destination
    if step.chown is not None:
        yield "owner", step.chown
    if step.chmod is not None:
        yield "mode", format_mode(step.chmod)
    if step.link:
        yield "linked", "without a look at what is there"


def _source(source: AddSource) -> str:
    if isinstance(source, LocalSource):
        return f"{source.path}, {'unpacked' if source.unpacks else 'as it is'}"
    checksum = f", {source.checksum}" if source.checksum else ""
    if isinstance(source, UrlSource):
        unpacked = ", unpacked" if source.unpacks else ""
        return f"{redacted(source.url)} as {source.file_name}{unpacked}{checksum}"
    reference = source.reference
    part = f", its {reference.subdirectory}" if reference.subdirectory else ""
    kept = ", with .git" if source.keeps_git_directory else ""
    remote = redacted(reference.remote)
    return f"{remote} at {reference.ref or 'its default branch'}{part}{kept}{checksum}"


def _mount(graph: StageGraph, mount: Mount) -> str:
    match mount:
        case BindMount():
            text = f"{_origin(graph, mount.origin)} {mount.source} at {mount.target}"
            return text + ("" if mount.is_read_only else ", changes thrown away")
        case CacheMount():
            seed = f", from {_origin(graph, mount.origin)}" if mount.is_seeded else ""
            return f"cache {mount.id} ({mount.sharing}) at {mount.target}{seed}"
        case TmpfsMount():
            size = "" if mount.size is None else f" of {mount.size} bytes"
            return f"memory{size} at {mount.target}"
        case SecretMount():
            places = [f"at {mount.target}"] if mount.target else []
            places += [f"as {mount.env}"] if mount.env else []
            return f"secret {mount.id} {' and '.join(places)}{_required(mount.is_required)}"
        case SshMount():
            return f"agent {mount.id} at {mount.target}{_required(mount.is_required)}"


def _required(is_required: bool) -> str:
    return ", required" if is_required else ""


def _origin(graph: StageGraph, origin: Origin) -> str:
    if origin is None:
        return "context"
    if isinstance(origin, int):
        return f"stage {graph.stages[origin].label}"
    if isinstance(origin, NamedContext):
        return f"context {origin.name}"
    if isinstance(origin, EmptyOrigin):
        return "scratch"
    return origin.canonical


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
    if run.shell:
        yield "shell", _json(run.shell)
    if run.healthcheck is not None:
        yield "health", _json(run.healthcheck.test)
    for trigger in run.on_build:
        yield "trigger", trigger.partition("\n")[0]


def _json(words: tuple[str, ...]) -> str:
    return json.dumps(words, ensure_ascii=False)
