"""Targets and groups of HCL and JSON files, with all their values."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from dissolver.bake.attributes import RULES, UNSUPPORTED, Content, read_content
from dissolver.bake.hcl import ast
from dissolver.bake.hcl.evaluate import Scope, evaluate, told_at
from dissolver.bake.hcl.values import Lazy, Value, ValueFault, kind_of, to_list, to_text
from dissolver.bake.target import Definition, Group, Setting, Target, check_name
from dissolver.bake.variables import Variables
from dissolver.dockerfile.suggest import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dissolver.bake.hcl.source import Span

BLOCKS = ("variable", "function", "target", "group")
"""The kinds of blocks there are."""

_OWN = ("name", "matrix")
_LARGEST_MATRIX = 10_000


@dataclass(frozen=True, slots=True)
class _Instance:
    """A block of a target under one name: one of several where it has a matrix."""

    name: str
    block: ast.Block
    scope: Scope


class Evaluation:
    """Gives values to what some files say, as they are asked for.

    ``environment`` has the variables of the caller, and ``given`` what was said explicitly;
    ``allows_others`` lets that have variables which the files do not declare.
    """

    def __init__(
        self,
        bodies: Sequence[ast.Body],
        *,
        environment: Mapping[str, str],
        given: Mapping[str, str],
        platform: str,
        allows_others: bool = False,
    ) -> None:
        self._targets: list[ast.Block] = []
        self._groups: list[ast.Block] = []
        self._variables = Variables(
            bodies,
            environment=environment,
            given=given,
            platform=platform,
            allows_others=allows_others,
            others={
                "target": Lazy("all targets", self._target_member),
                "group": Lazy("all groups", self._group_member),
            },
        )
        for body in bodies:
            for block in body.blocks:
                self._take(block)
        self._made: dict[int, list[_Instance]] = {}
        self._in_work: set[tuple[str, str]] = set()
        self._contents: dict[tuple[int, str], Content | None] = {}

    def _take(self, block: ast.Block) -> None:
        if block.kind not in BLOCKS:
            raise block.kind_span.fault(
                f"there are no blocks called `{block.kind}`",
                hint=did_you_mean(block.kind, BLOCKS) or "a file has targets, groups and variables",
            )
        if len(block.labels) != 1:
            raise block.kind_span.fault(
                f"`{block.kind}` has one name behind it, not {len(block.labels)}",
                hint=f'write `{block.kind} "name" {{ … }}`',
            )
        inner = block.body.blocks[0] if block.body.blocks else None
        if inner is not None and (block.kind, inner.kind) != ("variable", "validation"):
            raise inner.kind_span.fault(
                f"there are no blocks in a `{block.kind}`",
                hint=f"write `{inner.kind} = {{ … }}`",
            )
        if block.kind == "target":
            self._targets.append(block)
        elif block.kind == "group":
            self._groups.append(block)

    def definition(self, before: Definition) -> Definition:
        """Evaluate everything, on top of what other files described before.

        Raises:
            BakeFileError: something has no value.
        """
        variables = self._variables.rows()
        targets = dict(before.targets)
        groups = dict(before.groups)
        for block in self._groups:
            group = self._group(block)
            groups[group.name] = group
        said = set(groups) - set(before.groups)
        for block in self._targets:
            names: list[str] = []
            for instance in self._instances(block):
                made = self._target(instance)
                earlier = targets.get(made.name)
                targets[made.name] = made if earlier is None else earlier.merged(made)
                names.append(made.name)
            label = block.labels[0].text
            if names != [label] and label not in said:
                where = block.labels[0].span.where()
                groups[label] = Group(label, tuple(names), where=where)
        return Definition(targets, groups, variables)

    # Groups --------------------------------------------------------------------

    def _group(self, block: ast.Block) -> Group:
        label = block.labels[0]
        known = ("targets", "description")
        for name, assignment in block.body.assignments.items():
            if name not in known:
                raise _unknown(assignment, "a group", known)
        if "targets" not in block.body.assignments:
            raise label.span.fault(f"the group `{label.text}` has no `targets`")
        names = self._value(block.body.assignments["targets"].value, self._variables.scope)
        with told_at(block.body.assignments["targets"].value.span):
            targets = [to_text(name) for name in to_list(names)]
        description = ""
        if "description" in block.body.assignments:
            expression = block.body.assignments["description"].value
            value = self._value(expression, self._variables.scope)
            with told_at(expression.span):
                description = to_text(value)
        check_name(label.text, label.span.where())
        unique = tuple(dict.fromkeys(targets))
        return Group(label.text, unique, description, label.span.where())

    # Targets -------------------------------------------------------------------

    def _target(self, instance: _Instance) -> Target:
        check_name(instance.name, instance.block.labels[0].span.where())
        settings: dict[str, Setting] = {}
        for name, assignment in instance.block.body.assignments.items():
            if name in _OWN:
                continue
            if name in UNSUPPORTED:
                raise assignment.name_span.fault(f"`{name}` is not supported")
            if name not in RULES:
                raise _unknown(assignment, "a target", (*RULES, *_OWN))
            content = self._content(instance, assignment)
            if content is not None:
                settings[name] = Setting(content, assignment.name_span.where())
        where = instance.block.labels[0].span.where()
        return Target(instance.name, settings, where)

    def _content(self, instance: _Instance, assignment: ast.Assignment) -> Content | None:
        """Give what an attribute says; once, so that `timestamp()` says one thing alone."""
        known = (id(assignment), instance.name)
        if known not in self._contents:
            self._contents[known] = self._new_content(instance, assignment)
        return self._contents[known]

    def _new_content(self, instance: _Instance, assignment: ast.Assignment) -> Content | None:
        key = (instance.name, assignment.name)
        if key in self._in_work:
            fault = f"the value of `{assignment.name}` depends on itself"
            raise assignment.name_span.fault(fault)
        self._in_work.add(key)
        try:
            value = self._value(assignment.value, instance.scope)
        finally:
            self._in_work.discard(key)
        if value is None:
            return None
        with told_at(assignment.value.span):
            return read_content(assignment.name, value)

    def _value(self, expression: ast.Expression, scope: Scope) -> Value:
        try:
            return evaluate(expression, scope)
        except RecursionError:
            raise expression.span.fault("this is nested too deeply") from None

    def _instances(self, block: ast.Block) -> list[_Instance]:
        """Give the targets that a block makes, each with the names of its matrix."""
        known = self._made.get(id(block))
        if known is not None:
            return known
        assignments = block.body.assignments
        label = block.labels[0]
        if "matrix" not in assignments:
            if "name" in assignments:
                fault = "`name` is for targets with a `matrix`"
                raise assignments["name"].name_span.fault(fault)
            made = [_Instance(label.text, block, self._variables.scope)]
        else:
            made = list(self._matrix(block))
        self._made[id(block)] = made
        return made

    def _matrix(self, block: ast.Block) -> Iterator[_Instance]:
        given = block.body.assignments["matrix"].value
        matrix = self._value(given, self._variables.scope)
        if not isinstance(matrix, dict):
            raise given.span.fault(f"a matrix is an object, not {kind_of(matrix)}")
        axes: list[list[Value]] = []
        count = 1
        for name, values in matrix.items():
            if not isinstance(values, list):
                raise given.span.fault(f"`{name}` of a matrix is a list, not {kind_of(values)}")
            axes.append(values)
            count *= len(values)
        if count > _LARGEST_MATRIX:
            raise given.span.fault(f"a matrix of {count} targets is too large")
        naming = block.body.assignments.get("name")
        seen: set[str] = set()
        for choice in product(*axes):
            scope = self._variables.scope.with_names(dict(zip(matrix, choice, strict=True)))
            name = block.labels[0].text
            if naming is not None:
                value = self._value(naming.value, scope)
                with told_at(naming.value.span):
                    name = to_text(value)
            if name in seen:
                span = block.labels[0].span if naming is None else naming.value.span
                raise span.fault(
                    f"two targets of the matrix are called `{name}`",
                    hint='give them names of their own: `name = "app-${version}"`',
                )
            seen.add(name)
            yield _Instance(name, block, scope)

    # References -----------------------------------------------------------------

    def _target_member(self, name: str) -> Value:
        found = [one for block in self._targets for one in self._named(block, name)]
        if not found:
            raise ValueFault(f"there is no target `{name}`")
        return Lazy(f"the target `{name}`", lambda attribute: self._attribute(found, attribute))

    def _named(self, block: ast.Block, name: str) -> list[_Instance]:
        if "matrix" not in block.body.assignments and block.labels[0].text != name:
            return []
        return [one for one in self._instances(block) if one.name == name]

    def _attribute(self, found: Sequence[_Instance], attribute: str) -> Value:
        """Give what a target says itself; what it inherits is none of it."""
        if attribute not in RULES:
            raise ValueFault(f"a target has no attribute `{attribute}`")
        result = Target("")
        for instance in found:
            assignment = instance.block.body.assignments.get(attribute)
            content = None if assignment is None else self._content(instance, assignment)
            if content is not None:
                result = result.merged(Target("", {attribute: Setting(content)}))
        setting = result.settings.get(attribute)
        return None if setting is None else setting.content  # type: ignore[return-value]

    def _group_member(self, name: str) -> Value:
        found = [block for block in self._groups if block.labels[0].text == name]
        if not found:
            raise ValueFault(f"there is no group `{name}`")
        return {"targets": list(self._group(found[-1]).targets)}


def _unknown(assignment: ast.Assignment, what: str, known: Sequence[str]) -> Exception:
    span: Span = assignment.name_span
    hint = did_you_mean(assignment.name, known)
    return span.fault(f"{what} has no attribute `{assignment.name}`", hint=hint)
