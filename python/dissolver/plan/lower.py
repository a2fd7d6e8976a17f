"""From the instructions of a stage to its steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec
from msgspec.structs import replace

from dissolver.dockerfile import ast
from dissolver.dockerfile.ast import Instruction, Word
from dissolver.dockerfile.faults import Faults
from dissolver.dockerfile.ignore import clean_path
from dissolver.errors import DockerfileError
from dissolver.image.config import Healthcheck, ImageConfig
from dissolver.image.mutate import (
    with_author,
    with_labels,
    with_ports,
    with_run_config,
    with_volumes,
)
from dissolver.plan import history
from dissolver.plan.arguments import proxy_variables
from dissolver.plan.commands import command_line, lower_run
from dissolver.plan.copies import lower_add, lower_copy
from dissolver.plan.dependencies import Use
from dissolver.plan.graph import Stage, StageBase, StageGraph
from dissolver.plan.origins import Origin
from dissolver.plan.ports import parse_port
from dissolver.plan.scope import Scope, joined_path
from dissolver.plan.signals import is_signal
from dissolver.plan.steps import MetadataStep, Step, WorkdirStep
from dissolver.plan.triggers import check_triggers


class LoweredStage(msgspec.Struct, frozen=True):
    """The steps of a stage and what comes out.

    ``config`` is the base's configuration with the stage's start values and
    author; layers and history are added as the steps are carried out. ``args`` are
    the build arguments that a stage built on this one inherits, in order; a value
    is ``None`` where an argument was declared and never given one.
    """

    stage: Stage
    steps: tuple[Step, ...]
    config: ImageConfig
    args: Mapping[str, str | None]


def lower_stage(
    graph: StageGraph,
    stage: Stage,
    base: ImageConfig,
    *,
    build_args: Mapping[str, str],
    inherited_args: Mapping[str, str | None],
) -> LoweredStage:
    """Turn the instructions of ``stage`` into steps on top of ``base``.

    ``inherited_args`` are the ``args`` of the stage it is built on, or empty.

    Raises:
        DockerfileError: an instruction makes no sense; the error says where.
        DockerfileErrors: there are several mistakes.
        NotSupportedYet: something that this version does not build.
    """
    is_fired = bool(stage.triggers) or isinstance(stage.base, StageBase)
    check_triggers(base.config.on_build, is_fired, stage.origin.where_of(stage.origin.image))
    scope = stage_scope(graph, base, build_args=build_args, inherited_args=inherited_args)
    proxies = proxy_variables(build_args)
    steps: list[Step] = []
    faults = Faults()
    for index, instruction in enumerate(stage.all_instructions):
        with faults:
            step = lower_instruction(graph, stage, instruction, scope, proxies)
            if step is not None:
                is_trigger = index < len(stage.triggers)
                steps.append(_as_trigger(step) if is_trigger else step)
            continue
        if isinstance(instruction, ast.Arg | ast.Env):
            # What follows may fail for nothing but the variables that are missing now.
            break
    faults.raise_any()
    config = with_author(with_run_config(base, scope.run), scope.author)
    return LoweredStage(stage, tuple(steps), config, scope.args)


def lower_stages(
    graph: StageGraph,
    base_of: Callable[[Stage], ImageConfig],
    *,
    build_args: Mapping[str, str],
) -> dict[int, LoweredStage]:
    """Lower every needed stage, by its index; mistakes in different ones are told together.

    ``base_of`` gives the configuration of what a stage is built on, for those that are
    built on no other stage.

    Raises:
        DockerfileError, DockerfileErrors, NotSupportedYet: as ``lower_stage``.
    """
    lowered: dict[int, LoweredStage] = {}
    faults = Faults()
    for stage in graph.needed:
        below = lowered.get(stage.base.index) if isinstance(stage.base, StageBase) else None
        if below is None and isinstance(stage.base, StageBase):
            # The stage below has a mistake; whether this one has any shows without it.
            continue
        with faults:
            lowered[stage.index] = lower_stage(
                graph,
                stage,
                base_of(stage) if below is None else below.config,
                build_args=build_args,
                inherited_args={} if below is None else below.args,
            )
    faults.raise_any()
    return lowered


def stage_scope(
    graph: StageGraph,
    base: ImageConfig,
    *,
    build_args: Mapping[str, str],
    inherited_args: Mapping[str, str | None],
) -> Scope:
    """Return what is in effect right behind the FROM of a stage."""
    return Scope(
        base,
        escape=graph.dockerfile.escape,
        global_args=graph.global_args,
        build_args=build_args,
        inherited_args=inherited_args,
    )


def lower_instruction(
    graph: StageGraph,
    stage: Stage,
    instruction: Instruction,
    scope: Scope,
    proxies: tuple[tuple[str, str], ...] = (),
) -> Step | None:
    """Turn one instruction into its step, and change ``scope`` to what is in effect behind it.

    Returns:
        The step; nothing for ONBUILD, which leaves no trace but in the configuration.

    Raises:
        DockerfileError: the instruction makes no sense.
    """
    match instruction:
        case ast.Run():

            def origin(word: Word) -> Origin:
                return graph.origin(stage, Use(instruction, word, False))

            return lower_run(instruction, scope, proxies, origin)
        case ast.Copy():
            return lower_copy(instruction, scope, graph.copy_origin(stage, instruction))
        case ast.Add():
            return lower_add(instruction, scope)
        case ast.Workdir():
            return _workdir(instruction, scope)
        case ast.Onbuild():
            triggers = (*scope.run.on_build, instruction.expression)
            scope.run = replace(scope.run, on_build=triggers)
            return None
        case _:
            return _metadata(instruction, scope)


def _as_trigger(step: Step) -> Step:
    return replace(step, display=f"ONBUILD {step.display}", is_trigger=True)


def _workdir(instruction: ast.Workdir, scope: Scope) -> Step:
    """Lower WORKDIR: a directory that is made sure of, unless it is the root."""
    written = scope.expand(instruction, instruction.path)
    display = scope.display(instruction.statement.text)
    path = joined_path(scope.directory, written)
    scope.run = replace(scope.run, working_dir=path)
    created_by = f"WORKDIR {path}"
    if clean_path(path) == "/":
        return MetadataStep(
            where=instruction.where, display=display, created_by=created_by, config=scope.run
        )
    return WorkdirStep(
        where=instruction.where,
        display=display,
        created_by=created_by,
        config=scope.run,
        path=clean_path(path),
        user=scope.run.user,
    )


def _metadata(instruction: Instruction, scope: Scope) -> MetadataStep:
    """Lower an instruction that changes nothing but the configuration."""
    display = scope.display(instruction.statement.text, keeps_quotes=True)
    created_by = _change(instruction, scope)
    return MetadataStep(
        where=instruction.where, display=display, created_by=created_by, config=scope.run
    )


def _change(instruction: Instruction, scope: Scope) -> str:
    """Change ``scope`` as the instruction says, and return its text in the history."""
    match instruction:
        case ast.Env():
            return _env(instruction, scope)
        case ast.Arg():
            return _arg(instruction, scope)
        case ast.Label():
            pairs = _expanded_pairs(instruction, scope)
            scope.run = with_labels(scope.run, dict(pairs))
            return history.pairs_text("LABEL", pairs)
        case ast.Cmd():
            words = command_line(instruction.command, scope)
            scope.has_own_cmd = True
            scope.run = replace(scope.run, cmd=words, args_escaped=True)
            return f"CMD {history.quoted_list(words)}"
        case ast.Entrypoint():
            return _entrypoint(instruction, scope)
        case ast.Expose():
            return _expose(instruction, scope)
        case ast.User():
            user = scope.expand(instruction, instruction.user)
            scope.run = replace(scope.run, user=user)
            return f"USER {user}"
        case ast.Volume():
            return _volume(instruction, scope)
        case ast.StopSignal():
            return _stop_signal(instruction, scope)
        case ast.Shell():
            scope.run = replace(scope.run, shell=instruction.words)
            return f"SHELL {history.plain_list(instruction.words)}"
        case ast.Maintainer():
            scope.author = instruction.author.text
            return f"MAINTAINER {scope.author}"
        case ast.Healthcheck():
            check = _healthcheck(instruction)
            scope.run = replace(scope.run, healthcheck=check)
            return history.healthcheck_text(check)
        case _:
            raise DockerfileError(
                f"`{instruction.name}` has no place in a stage", where=instruction.where
            )


def _expanded_pairs(instruction: ast.Env | ast.Label, scope: Scope) -> list[tuple[str, str]]:
    """Expand all names and values first: none of them sees the others."""
    return [
        (scope.expand(instruction, pair.name), scope.expand(instruction, pair.value))
        for pair in instruction.pairs
    ]


def _env(instruction: ast.Env, scope: Scope) -> str:
    pairs = _expanded_pairs(instruction, scope)
    if not all(name for name, _ in pairs):
        raise DockerfileError("`ENV` names can not be blank", where=instruction.where)
    scope.set_variables(pairs)
    return history.pairs_text("ENV", pairs)


def _arg(instruction: ast.Arg, scope: Scope) -> str:
    texts: list[str] = []
    for definition in instruction.definitions:
        value = scope.declare(instruction, definition)
        name = definition.name.text
        texts.append(name if value is None else f"{name}={value}")
    return " ".join(("ARG", *texts))


def _entrypoint(instruction: ast.Entrypoint, scope: Scope) -> str:
    words = command_line(instruction.command, scope)
    scope.run = replace(scope.run, entrypoint=words)
    # A command of the base was meant for the base's entrypoint.
    if not scope.has_own_cmd:
        scope.run = replace(scope.run, cmd=())
    return f"ENTRYPOINT {history.quoted_list(words)}"


def _expose(instruction: ast.Expose, scope: Scope) -> str:
    written = [
        (text, word) for word in instruction.ports for text in scope.expand_words(instruction, word)
    ]
    ports: list[str] = []
    # As for BuildKit, words are sorted before ranges are counted out, and each tells its ports.
    for text, word in sorted(written, key=lambda pair: pair[0]):
        try:
            ports += parse_port(text)
        except DockerfileError as error:
            error.where = instruction.where_of(word)
            raise
    scope.run = with_ports(scope.run, ports)
    return f"EXPOSE {history.plain_list(ports)}"


def _volume(instruction: ast.Volume, scope: Scope) -> str:
    paths = [scope.expand(instruction, word) for word in instruction.paths]
    for word, path in zip(instruction.paths, paths, strict=True):
        if not path:
            raise DockerfileError(
                "`VOLUME` specified can not be an empty string", where=instruction.where_of(word)
            )
    scope.run = with_volumes(scope.run, paths)
    return f"VOLUME {history.plain_list(paths)}"


def _stop_signal(instruction: ast.StopSignal, scope: Scope) -> str:
    signal = scope.expand(instruction, instruction.signal)
    if not is_signal(signal):
        raise DockerfileError(
            f"invalid signal `{signal}`",
            where=instruction.where_of(instruction.signal),
            hint="name a signal, such as `SIGTERM`, or its number",
        )
    scope.run = replace(scope.run, stop_signal=signal)
    return f"STOPSIGNAL {signal}"


def _healthcheck(instruction: ast.Healthcheck) -> Healthcheck:
    command = instruction.command
    if command is None:
        return Healthcheck(test=("NONE",))
    # The shell of a health check is the engine's to add, so that SHELL applies when it runs.
    kind = "CMD-SHELL" if command.is_shell else "CMD"
    return Healthcheck(
        test=(kind, *command.words),
        interval=instruction.interval,
        timeout=instruction.timeout,
        start_period=instruction.start_period,
        start_interval=instruction.start_interval,
        retries=instruction.retries,
    )
