"""How words become a call: commands that are built when asked for, and Docker's habits.

Two habits differ from click's: a switch may carry a value (``--rm=false``), and
``-t=name`` means ``-t name``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import Any

import click
import typer
from typer.core import TyperCommand

from dissolver.cli.catalog import Entry
from dissolver.cli.invocation import current

_TRUE = frozenset({"true", "1", "t"})
_FALSE = frozenset({"false", "0", "f"})


class UsageSlip(click.UsageError):
    """Words that make no call, with a hint."""

    def __init__(self, message: str, context: click.Context | None, hint: str = "") -> None:
        super().__init__(message, context)
        self.hint = hint


def _set_debug(_context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        current().debug = True


def _set_root(_context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        current().root = value


def shared_options(*, hidden: bool) -> list[click.Parameter]:
    """Make the options that every command takes, before or after its name."""
    return [
        click.Option(
            ["--root"],
            metavar="DIRECTORY",
            help="Keep everything here instead of the default place",
            expose_value=False,
            callback=_set_root,
            hidden=hidden,
        ),
        click.Option(
            ["-D", "--debug"],
            is_flag=True,
            help="Show tracebacks, and what a sandbox is made of",
            expose_value=False,
            callback=_set_debug,
            hidden=hidden,
        ),
    ]


class Command(TyperCommand):
    """A command whose help has an example and whose words may be Docker's."""

    example = ""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += shared_options(hidden=True)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the words of the command."""
        current().command_path = ctx.command_path
        return super().parse_args(ctx, list(self._plain_words(args)))

    def _plain_words(self, args: Sequence[str]) -> list[str]:
        options = {
            name: parameter
            for parameter in self.params
            if isinstance(parameter, click.Option)
            for name in (*parameter.opts, *parameter.secondary_opts)
        }
        stops_early = not self.context_settings.get("allow_interspersed_args", True)
        words: list[str] = []
        rest = list(args)
        while rest:
            word = rest.pop(0)
            if word == "--" or (stops_early and not word.startswith("-")):
                return [*words, word, *rest]
            name, equals, value = word.partition("=")
            option = options.get(name)
            if option is not None and option.is_flag and equals:
                words += _switch(name, option, value)
            elif option is not None and equals and not name.startswith("--"):
                words += [name, value]
            else:
                words.append(word)
                if rest and _wants_another(word, options):
                    words.append(rest.pop(0))
        return words

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help: usage, one sentence, an example, the options."""
        formatter.write(f"Usage:  {ctx.command_path} {' '.join(self.collect_usage_pieces(ctx))}\n")
        formatter.write(f"\n{self.help}\n\nExample:\n  {self.example}\n")
        records = [
            parameter.get_help_record(ctx)
            for parameter in self.get_params(ctx)
            if isinstance(parameter, click.Option)
        ]
        with formatter.section("Options"):
            formatter.write_dl([record for record in records if record is not None])


def _switch(name: str, option: click.Option, value: str) -> list[str]:
    if value.lower() in _TRUE:
        return [name]
    if value.lower() in _FALSE:
        return list(option.secondary_opts[:1])
    raise UsageSlip(f"`{name}` is true or false, not `{value}`", None)


def _wants_another(word: str, options: dict[str, click.Option]) -> bool:
    """Tell whether the value of the option in ``word`` is the next word."""
    if word.startswith("--"):
        return "=" not in word and word in options and not options[word].is_flag
    for index, letter in enumerate(word[1:], start=1):
        option = options.get(f"-{letter}")
        if option is None:
            return False
        if not option.is_flag:
            return index == len(word) - 1
    return False


def build_command(name: str, entry: Entry) -> click.Command:
    """Import the module of one command and make the command of its function."""
    current().entry = entry
    module = import_module(f"dissolver.cli.{entry.module}")
    function: Callable[..., int | None] = getattr(module, entry.function)
    maker = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    settings = {"allow_interspersed_args": False} if entry.runs_programs else {}
    maker.command(name, cls=Command, help=entry.help, context_settings=settings)(function)
    command = typer.main.get_command(maker)
    if isinstance(command, Command):
        command.example = entry.example
    return command


def suggestion(word: str, known: Sequence[str]) -> str:
    """Word the nearest of ``known`` as a question, or nothing when none is near."""
    near = get_close_matches(word, known, n=1, cutoff=0.6)
    return f"did you mean `{near[0]}`?" if near else ""


def explain_slip(error: click.UsageError, path: str) -> tuple[str, str]:
    """Word a slip of the command ``path``: what is wrong, and what to try."""
    path = error.ctx.command_path if error.ctx is not None else path
    see = f"see `{path} --help`"
    if isinstance(error, UsageSlip):
        return error.message, error.hint or see
    if isinstance(error, click.NoSuchOption):
        from dissolver.cli.refusals import refusal

        refused = refusal(path, error.option_name)
        if refused is not None:
            return refused
        known = [
            name
            for parameter in (error.ctx.command.params if error.ctx is not None else [])
            for name in parameter.opts
            if name.startswith("--")
        ]
        near = suggestion(error.option_name, known)
        return f"unknown flag `{error.option_name}` of `{path}`", near or see
    if error.message.startswith("Got unexpected extra argument"):
        words = error.message.partition("(")[2].removesuffix(")")
        return f"`{path}` does not take `{words}` as well", see
    if isinstance(error, click.MissingParameter) and error.param is not None:
        return f"`{path}` needs {error.param.make_metavar(error.ctx)}", see  # type: ignore[arg-type]
    if isinstance(error, click.BadOptionUsage):
        return _lower(
            error.message.replace(f"Option '{error.option_name}'", f"`{error.option_name}`")
        ), see
    if isinstance(error, click.BadParameter) and error.param is not None:
        name = (
            max(error.param.opts, key=len)
            if isinstance(error.param, click.Option)
            else (
                error.param.make_metavar(error.ctx)  # type: ignore[arg-type]
            )
        )
        return f"bad value for `{name}`: {_lower(error.message)}", see
    return _lower(error.message.replace("'", "`")), see


def _lower(message: str) -> str:
    return (message[:1].lower() + message[1:]).rstrip(".").replace("'", "`")
