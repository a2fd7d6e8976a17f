"""Options of what a process sees of the machine and may do: the same for ``run`` and ``build``."""

from __future__ import annotations

import inspect
from inspect import Parameter
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from typer import Option

from dissolver.sandbox.confining_options import OPTIONS, ConfiningOption, options_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

F = TypeVar("F", bound="Callable[..., Any]")

Hosts = Annotated[
    list[str] | None,
    Option(
        "--add-host",
        metavar="NAME:ADDRESS",
        help="Add a name to /etc/hosts; host-gateway is this machine (may be repeated)",
    ),
]


def confining_options(command: str) -> Callable[[F], F]:
    """Give the function of ``command`` the options of the table that it has, for typer to see.

    The function takes them as ``**confinement``, each by its keyword.
    """

    def extend(function: F) -> F:
        # Typer evaluates annotations that are texts, unless there is a signature already.
        signature = inspect.signature(function, eval_str=True)
        parameters = [
            one for one in signature.parameters.values() if one.kind is not Parameter.VAR_KEYWORD
        ]
        for option in OPTIONS:
            if command in option.commands or command in option.ignored_by:
                names = [one.name for one in parameters]
                is_placed = option.listed_after in names
                place = names.index(option.listed_after) + 1 if is_placed else len(names)
                parameters.insert(place, _parameter(option, hidden=command in option.ignored_by))
        function.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        function.__annotations__ = {one.name: one.annotation for one in parameters} | {
            "return": signature.return_annotation
        }
        return function

    return extend


def _parameter(option: ConfiningOption, *, hidden: bool) -> Parameter:
    kind: Any = list[str] if option.is_repeatable else str
    flag = Option(option.flag, metavar=option.metavar, help=option.help, hidden=hidden)
    return Parameter(
        option.keyword,
        Parameter.POSITIONAL_OR_KEYWORD,
        default=None,
        annotation=Annotated[kind | None, flag],
    )


def said(command: str, confinement: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was said of the options of ``command``: texts, and tuples of texts."""
    values = {one.keyword: confinement.get(one.keyword) for one in options_of(command)}
    return {
        keyword: tuple(value) if isinstance(value, list) else value
        for keyword, value in values.items()
        if value
    }


def ignored(command: str, confinement: Mapping[str, Any]) -> list[str]:
    """List the flags that were given and that ``command`` ignores."""
    return [
        option.flag
        for option in OPTIONS
        if command in option.ignored_by and confinement.get(option.keyword)
    ]
