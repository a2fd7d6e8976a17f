"""What a Dockerfile offers to those who build it: targets, arguments, secrets, agents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from dissolver.dockerfile.ast import Arg, Dockerfile, From, Instruction, Word
from dissolver.dockerfile.expand import expand_words
from dissolver.errors import DissolverError
from dissolver.image.mutate import empty_image
from dissolver.plan.checks.report import dumped
from dissolver.plan.graph import Stage, StageBase, StageGraph
from dissolver.plan.lower import lower_instruction, stage_scope
from dissolver.plan.mounts import SecretMount, SshMount
from dissolver.plan.scope import Scope
from dissolver.plan.steps import RunStep


class Target(msgspec.Struct, frozen=True):
    """A stage that can be built by its name; the default one may have none."""

    name: str
    description: str
    is_default: bool
    base: str
    line: int


class Argument(msgspec.Struct, frozen=True):
    """A build argument that a target uses, with the value that it has."""

    name: str
    value: str
    description: str
    line: int


class Lent(msgspec.Struct, frozen=True):
    """A secret or an agent that a target mounts."""

    name: str
    is_required: bool
    line: int


class Outline(msgspec.Struct, frozen=True):
    """What a target takes, in the order of the file."""

    name: str
    description: str
    arguments: tuple[Argument, ...]
    secrets: tuple[Lent, ...]
    agents: tuple[Lent, ...]


def targets(dockerfile: Dockerfile) -> tuple[Target, ...]:
    """List the stages of a file."""
    heads = [item for item in dockerfile.instructions if isinstance(item, From)]
    return tuple(
        Target(
            name="" if head.alias is None else head.alias.text.lower(),
            description="" if head.alias is None else _described(head, head.alias.text),
            is_default=index == len(heads) - 1,
            base=head.image.text,
            line=head.statement.line,
        )
        for index, head in enumerate(heads)
    )


def outline(graph: StageGraph, build_args: Mapping[str, str]) -> Outline:
    """Tell what the target of ``graph`` takes, with all the stages that it needs."""
    reader = _Reader(graph, build_args)
    for stage in graph.needed:
        reader.read(stage)
    target = graph.target
    alias = target.origin.alias
    return Outline(
        name=target.name or "",
        description="" if alias is None else _described(target.origin, alias.text),
        arguments=_in_order(reader.arguments.values()),
        secrets=_in_order(reader.secrets.values()),
        agents=_in_order(reader.agents.values()),
    )


class _Reader:
    """Collects what stages take; of several mentions of a name, the first counts."""

    def __init__(self, graph: StageGraph, build_args: Mapping[str, str]) -> None:
        self._graph = graph
        self._build_args = build_args
        self._scopes: dict[int, Scope] = {}
        self._global = self._global_arguments()
        self.arguments: dict[str, Argument] = {}
        self.secrets: dict[str, Lent] = {}
        self.agents: dict[str, Lent] = {}

    def _global_arguments(self) -> dict[str, tuple[Argument, frozenset[str]]]:
        """Read the ARGs before the first FROM, and what their defaults are made of."""
        values = self._graph.global_args
        found: dict[str, tuple[Argument, frozenset[str]]] = {}
        for instruction in self._graph.dockerfile.instructions:
            if not isinstance(instruction, Arg):
                break
            for definition in instruction.definitions:
                name = definition.name.text
                argument = _argument(instruction, name, values.get(name, ""))
                found[name] = (argument, self._names_in(definition.default))
        return found

    def _names_in(self, word: Word | None) -> frozenset[str]:
        if word is None or "$" not in word.text:
            return frozenset()
        try:
            return expand_words(word.text, {}, self._graph.dockerfile.escape).unset
        except DissolverError:
            return frozenset()

    def read(self, stage: Stage) -> None:
        """Take up one stage."""
        for word in (stage.origin.image, stage.origin.platform):
            self._use(self._names_in(word))
        below = self._scopes.get(stage.base.index) if isinstance(stage.base, StageBase) else None
        config = empty_image(stage.platform)
        if below is not None:
            config = msgspec.structs.replace(config, config=below.run)
        scope = stage_scope(
            self._graph,
            config,
            build_args=self._build_args,
            inherited_args={} if below is None else below.args,
        )
        for instruction in stage.all_instructions:
            self._read(stage, instruction, scope)
        self._scopes[stage.index] = scope

    def _read(self, stage: Stage, instruction: Instruction, scope: Scope) -> None:
        try:
            step = lower_instruction(self._graph, stage, instruction, scope)
        except DissolverError:
            return
        if isinstance(instruction, Arg):
            for definition in instruction.definitions:
                name = definition.name.text
                is_global = definition.default is None and name not in self._build_args
                if is_global and name in self._graph.global_args:
                    self._use((name,))
                else:
                    value = scope.args.get(name) or ""
                    self.arguments.setdefault(name, _argument(instruction, name, value))
        elif isinstance(step, RunStep):
            self._read_mounts(instruction, step)

    def _read_mounts(self, instruction: Instruction, step: RunStep) -> None:
        line = instruction.statement.line
        for mount in step.mounts:
            if isinstance(mount, SecretMount):
                self.secrets.setdefault(mount.id, Lent(mount.id, mount.is_required, line))
            elif isinstance(mount, SshMount):
                self.agents.setdefault(mount.id, Lent(mount.id, mount.is_required, line))

    def _use(self, names: Iterable[str]) -> None:
        """Take up global arguments, and those that their defaults are made of."""
        for name in names:
            if name in self._global and name not in self.arguments:
                argument, parts = self._global[name]
                self.arguments[name] = argument
                self._use(parts)


def _argument(instruction: Arg, name: str, value: str) -> Argument:
    return Argument(name, value, _described(instruction, name), instruction.statement.line)


def _described(instruction: Instruction, name: str) -> str:
    """Return what a comment right above says behind a name."""
    for comment in instruction.statement.comments:
        if comment.lower().startswith(f"{name.lower()} "):
            return comment[len(name) :].strip()
    return ""


def _in_order(items: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(sorted(items, key=lambda item: item.line))


# Words -----------------------------------------------------------------------


def targets_text(found: Sequence[Target]) -> str:
    """Write targets as ``--call=targets`` does."""
    rows = [("TARGET", "DESCRIPTION")]
    for target in found:
        mark = "(default)" if target.is_default else ""
        rows.append((" ".join(part for part in (target.name, mark) if part), target.description))
    return _table(rows, gap=1)


def outline_text(found: Outline) -> str:
    """Write an outline as ``--call=outline`` does."""
    text = ""
    if found.name or found.description:
        rows = [("TARGET:", found.name or "(default)")]
        rows += [("DESCRIPTION:", found.description)] if found.description else []
        text += _table(rows) + "\n"
    if found.arguments:
        head = ("BUILD ARG", "VALUE", "DESCRIPTION")
        text += _table([head, *((a.name, a.value, a.description) for a in found.arguments)]) + "\n"
    for title, lent in (("SECRET", found.secrets), ("SSH", found.agents)):
        if lent:
            rows = [(item.name, "true" if item.is_required else "") for item in lent]
            text += _table([(title, "REQUIRED"), *rows]) + "\n"
    return text


def targets_json(found: Sequence[Target]) -> str:
    """Write targets as ``--call=targets,format=json`` does."""
    return dumped(
        {
            "targets": [
                _present(
                    name=target.name,
                    default=target.is_default,
                    description=target.description,
                    base=target.base,
                    location=_location(target.line),
                )
                for target in found
            ]
        }
    )


def outline_json(found: Outline) -> str:
    """Write an outline as ``--call=outline,format=json`` does."""
    arguments = [
        _present(name=a.name, value=a.value, description=a.description, location=_location(a.line))
        for a in found.arguments
    ]
    return dumped(
        _present(
            name=found.name,
            description=found.description,
            args=arguments,
            secrets=list(_lent(found.secrets)),
            ssh=list(_lent(found.agents)),
        )
    )


def _lent(items: Iterable[Lent]) -> Iterator[dict[str, Any]]:
    for item in items:
        yield _present(name=item.name, required=item.is_required, location=_location(item.line))


def _location(line: int) -> dict[str, Any]:
    return {"ranges": [{"start": {"line": line}, "end": {"line": line}}]}


def _present(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value}


def _table(rows: Sequence[tuple[str, ...]], gap: int = 3) -> str:
    """Align columns; the last one is not filled up."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    text = ""
    for row in rows:
        cells = [cell.ljust(width + gap) for cell, width in zip(row, widths, strict=True)]
        text += "".join((*cells[:-1], row[-1])).rstrip() + "\n"
    return text
