"""Variables and functions of bake files, evaluated when something needs them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from dissolver.bake.functions.table import UNSUPPORTED, standard_functions
from dissolver.bake.hcl import ast
from dissolver.bake.hcl.evaluate import Function, Scope, evaluate, told_at
from dissolver.bake.hcl.types import Type, fit, from_text, read_type
from dissolver.bake.hcl.values import (
    Value,
    ValueFault,
    from_json,
    to_boolean,
    to_json,
    to_text,
)
from dissolver.bake.target import VariableRow
from dissolver.dockerfile.suggest import did_you_mean
from dissolver.errors import BakeFileError

if TYPE_CHECKING:
    from dissolver.bake.hcl.source import Span

CONTEXT_VARIABLE = "BAKE_CMD_CONTEXT"
PLATFORM_VARIABLE = "BAKE_LOCAL_PLATFORM"
NO_ENVIRONMENT = "BUILDX_BAKE_DISABLE_VARS_ENV_LOOKUP"
"""Set to true, it keeps the environment from changing variables."""

JSON_SUFFIX = "_JSON"

_PARTS_OF_VARIABLE = ("default", "type", "description")
_PARTS_OF_FUNCTION = ("params", "variadic_params", "result")


class Variables:
    """The variables and functions of some files. ``others`` are names that are no variables."""

    def __init__(
        self,
        bodies: Sequence[ast.Body],
        *,
        environment: Mapping[str, str],
        given: Mapping[str, str],
        platform: str,
        allows_others: bool,
        others: Mapping[str, Value],
    ) -> None:
        self._blocks: dict[str, ast.Block] = {}
        self._assigned: dict[str, ast.Assignment] = {}
        self._functions: dict[str, ast.Block] = {}
        self._environment = environment
        self._given = given
        self._others = others
        self._values: dict[str, Value] = {CONTEXT_VARIABLE: "cwd://", PLATFORM_VARIABLE: platform}
        self._types: dict[str, Type] = {}
        self._made: dict[str, Function] = {}
        self._in_work: list[str] = []
        self.scope = Scope(self._look_up, self._find)
        for body in bodies:
            self._take(body)
        if not allows_others:
            self._check_given()

    def _take(self, body: ast.Body) -> None:
        self._assigned |= body.assignments
        for block in body.blocks:
            if block.kind not in ("variable", "function") or len(block.labels) != 1:
                continue
            is_variable = block.kind == "variable"
            parts = _PARTS_OF_VARIABLE if is_variable else _PARTS_OF_FUNCTION
            for name, assignment in block.body.assignments.items():
                if name not in parts:
                    fault = f"a {block.kind} has no `{name}`"
                    known = ", ".join(f"`{part}`" for part in parts)
                    raise assignment.name_span.fault(fault, hint=f"it has {known}")
            (self._blocks if is_variable else self._functions)[block.labels[0].text] = block

    def _check_given(self) -> None:
        for name in self._given:
            plain = name.removesuffix(JSON_SUFFIX)
            if name not in self._blocks and plain not in self._blocks:
                raise BakeFileError(
                    f"no file declares the variable `{name}`",
                    hint=did_you_mean(name, self._blocks),
                )

    def rows(self) -> tuple[VariableRow, ...]:
        """Evaluate all variables and functions, and list the variables.

        Raises:
            BakeFileError: one has no value, or one that its file does not allow.
        """
        for name, assignment in self._assigned.items():
            self._look_up(name, assignment.name_span)
        for name, block in self._functions.items():
            self._find(name, block.labels[0].span)
        return tuple(self._row(name, block) for name, block in self._blocks.items())

    def _row(self, name: str, block: ast.Block) -> VariableRow:
        value = self._look_up(name, block.labels[0].span)
        shown: str | None = None
        if value is not None:
            shown = to_json(value) if isinstance(value, list | dict) else to_text(value)
        described = block.body.assignments.get("description")
        description = ""
        if described is not None:
            text = evaluate(described.value, self.scope)
            with told_at(described.value.span):
                description = to_text(text)
        kind = self._types.get(name)
        return VariableRow(name, shown, "" if kind is None else str(kind), description)

    # Values ----------------------------------------------------------------------

    def _look_up(self, name: str, span: Span) -> Value:
        if name in self._values:
            return self._values[name]
        if name in self._assigned:
            return self._keep(name, span, self._assigned_value)
        if name in self._blocks:
            return self._keep(name, span, self._declared_value)
        if name in self._others:
            return self._others[name]
        known = [*self._blocks, *self._assigned, *self._values]
        declare = f'declare it: `variable "{name}" {{ default = "" }}`'
        raise span.fault(
            f"there is no variable `{name}`", hint=did_you_mean(name, known) or declare
        )

    def _keep(self, name: str, span: Span, make: Callable[[str], Value]) -> Value:
        self._begin(name, span)
        try:
            self._values[name] = make(name)
        except RecursionError:
            raise span.fault("too many variables depend on each other here") from None
        finally:
            self._in_work.pop()
        return self._values[name]

    def _begin(self, name: str, span: Span) -> None:
        if name in self._in_work:
            way = [*self._in_work[self._in_work.index(name) :], name]
            raise span.fault(f"`{name}` depends on itself: {' → '.join(way)}")
        self._in_work.append(name)

    def _assigned_value(self, name: str) -> Value:
        return evaluate(self._assigned[name].value, self.scope)

    def _declared_value(self, name: str) -> Value:
        block = self._blocks[name]
        label = block.labels[0]
        declared = block.body.assignments.get("type")
        wanted: Type | None = None
        if declared is not None:
            wanted = read_type(_as_expression(declared.value), self._constant)
            self._types[name] = wanted
        default = block.body.assignments.get("default")
        value: Value = None if default is None else evaluate(default.value, self.scope)
        if default is None and wanted is None:
            value = ""
        if wanted is not None and default is not None:
            with told_at(default.value.span):
                value = fit(value, wanted)
        try:
            value = self._overridden(name, wanted, value)
        except ValueFault as fault:
            raise label.span.fault(f"the value given for `{name}` does not fit: {fault}") from None
        self._values[name] = value
        try:
            self._validate(block)
        except BakeFileError:
            del self._values[name]
            raise
        return value

    def _constant(self, expression: ast.Expression) -> Value:
        return evaluate(expression, self.scope)

    def _overridden(self, name: str, wanted: Type | None, default: Value) -> Value:
        for values in (self._given, self._allowed_environment()):
            is_declared = name + JSON_SUFFIX in self._blocks
            if wanted is not None and not is_declared and name + JSON_SUFFIX in values:
                return fit(from_json(values[name + JSON_SUFFIX]), wanted)
            if name in values:
                return from_text(values[name], wanted, default)
        return default

    def _allowed_environment(self) -> Mapping[str, str]:
        word = self._environment.get(NO_ENVIRONMENT, "").lower()
        return {} if word in ("1", "t", "true") else self._environment

    def _validate(self, block: ast.Block) -> None:
        """Ask the conditions that a variable has to keep."""
        for inner in block.body.blocks:
            assignments = inner.body.assignments
            for name, assignment in assignments.items():
                if name not in ("condition", "error_message"):
                    raise assignment.name_span.fault(f"a validation has no `{name}`")
            if "condition" not in assignments:
                raise inner.kind_span.fault("a validation needs a `condition`")
            condition = assignments["condition"].value
            value = evaluate(condition, self.scope)
            with told_at(condition.span):
                if to_boolean(value):
                    continue
            message = f"`{block.labels[0].text}` does not keep its condition"
            if "error_message" in assignments:
                told = evaluate(assignments["error_message"].value, self.scope)
                with told_at(assignments["error_message"].value.span):
                    message = f"`{block.labels[0].text}`: {to_text(told)}"
            raise condition.span.fault(message)

    # Functions ----------------------------------------------------------------------

    def _find(self, name: str, span: Span) -> Function:
        if name in self._made:
            return self._made[name]
        standard = standard_functions()
        if name in standard:
            return standard[name]
        if name in self._functions:
            return self._define(name, span)
        if name in UNSUPPORTED:
            raise span.fault(f"the function `{name}` is not supported: {UNSUPPORTED[name]}")
        hint = did_you_mean(name, [*self._functions, *standard])
        raise span.fault(f"there is no function `{name}`", hint=hint)

    def _define(self, name: str, span: Span) -> Function:
        block = self._functions[name]
        assignments = block.body.assignments
        for part in ("params", "result"):
            if part not in assignments:
                raise block.labels[0].span.fault(f"the function `{name}` has no `{part}`")
        parameters = _names(assignments["params"].value)
        variadic = assignments.get("variadic_params")
        rest = None if variadic is None else _name(variadic.value)
        result = assignments["result"].value

        def call(arguments: Sequence[Value]) -> Value:
            count = len(arguments)
            if count < len(parameters) or (rest is None and count > len(parameters)):
                least = "" if rest is None else "at least "
                raise ValueFault(f"it takes {least}{len(parameters)} arguments, not {count}")
            names = dict(zip(parameters, arguments, strict=False))
            if rest is not None:
                names[rest] = list(arguments[len(parameters) :])
            self._begin(f"{name}()", span)
            try:
                return evaluate(result, self.scope.with_names(names))
            finally:
                self._in_work.pop()

        self._made[name] = call
        return call


def _as_expression(given: ast.Expression) -> ast.Expression:
    """Read a type that JSON says as a text."""
    if isinstance(given, ast.Literal) and isinstance(given.value, str):
        from dissolver.bake.hcl.parse import parse_expression

        return parse_expression(given.value, given.span)
    return given


def _names(given: ast.Expression) -> list[str]:
    if isinstance(given, ast.ListOf):
        return [_name(item) for item in given.items]
    raise given.span.fault("the parameters of a function are a list of names")


def _name(given: ast.Expression) -> str:
    if isinstance(given, ast.Variable):
        return given.name
    if isinstance(given, ast.Literal) and isinstance(given.value, str):
        return given.value
    raise given.span.fault("a parameter is a name")
