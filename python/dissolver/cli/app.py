"""From the words of a command line to an exit code."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import click

from dissolver.cli import exits
from dissolver.cli.catalog import ALIASES, COMMANDS, GROUPS, HIDDEN, Entry
from dissolver.cli.invocation import Invocation, OpenEngine, begin, end, open_engine
from dissolver.cli.words import UsageSlip, build_command, shared_options, suggestion


def _help_alone() -> None:
    """Show the help where no command was named."""
    context = click.get_current_context()
    if context.invoked_subcommand is None:
        sys.stdout.write(context.get_help() + "\n")


class LazyGroup(click.Group):
    """Commands that are imported when one of them is asked for."""

    def __init__(
        self,
        name: str,
        help: str,  # noqa: A002  (click calls it so)
        entries: dict[str, Entry],
        groups: dict[str, LazyGroup],
        aliases: dict[str, str],
        params: list[click.Parameter],
    ) -> None:
        super().__init__(
            name, help=help, params=params, invoke_without_command=True, callback=_help_alone
        )
        self._entries, self._groups, self._aliases = entries, groups, aliases

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Name the commands of this group."""
        return sorted([*self._entries, *self._groups])

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002  (click asks with a context)
        cmd_name: str,
    ) -> click.Command | None:
        """Make one command."""
        name = self._aliases.get(cmd_name, cmd_name)
        if name in self._groups:
            return self._groups[name]
        entry = self._entries.get(name) or HIDDEN.get(f"{self.name} {name}")
        return None if entry is None else build_command(name, entry)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the first word names."""
        command = self.get_command(ctx, args[0])
        if command is None:
            from dissolver.cli.refusals import command_refusal

            refused = command_refusal(ctx.command_path, args[0])
            if refused is not None:
                raise UsageSlip(refused[0], ctx, refused[1])
            near = suggestion(args[0], self.list_commands(ctx))
            raise UsageSlip(f"unknown command `{args[0]}` of `{ctx.command_path}`", ctx, near)
        return command.name, command, args[1:]

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help: what there is, from the list alone."""
        formatter.write(f"Usage:  {ctx.command_path} [OPTIONS] COMMAND\n\n{self.help}\n")
        for title, rows in (
            ("Commands", [(name, entry.help) for name, entry in self._entries.items()]),
            ("Groups", [(name, group.help or "") for name, group in self._groups.items()]),
        ):
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)
        self.format_options(ctx, formatter)
        formatter.write(f"\nRun '{ctx.command_path} COMMAND --help' for more about a command.\n")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, without the list of commands that click would add."""
        click.Command.format_options(self, ctx, formatter)


def _print_version(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        from dissolver.cli.system import version_line

        sys.stdout.write(version_line())
        ctx.exit()


def command_tree() -> LazyGroup:
    """Make the whole tree of commands, without importing any of them."""
    groups = {
        name: LazyGroup(name, group.help, group.commands, {}, ALIASES.get(name, {}), [])
        for name, group in GROUPS.items()
    }
    version = click.Option(
        ["--version"],
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_print_version,
        help="Show the version",
    )
    params = [*shared_options(hidden=False), version]
    summary = "Build container images and run containers, without a daemon"
    return LazyGroup("dissolver", summary, COMMANDS, groups, {}, params)


class Terminated(KeyboardInterrupt):
    """Another process asked this one to end; cleaned up after like Ctrl-C."""

    def __init__(self, signal_number: int) -> None:
        super().__init__()
        self.signal_number = signal_number


def _terminate(signal_number: int, _frame: FrameType | None) -> None:
    raise Terminated(signal_number)


def _open_closed_streams() -> None:
    """Connect streams that the caller closed to nothing.

    Otherwise the next file to be opened, such as the store's database, would take
    a closed stream's number and receive what is written to it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if sys.stdout.isatty():
        from dissolver.cli.render.streams import shown_on

        sys.stdout = shown_on(sys.stdout)


def main(arguments: Sequence[str] | None = None, *, open_engine: OpenEngine = open_engine) -> int:
    """Carry out one command and answer the exit code; errors become text on stderr.

    ``open_engine`` stands in for the real engine in tests.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    _open_closed_streams()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, _terminate)
    invocation = Invocation(open_engine)
    begin(invocation)
    try:
        try:
            with command_tree().make_context("dissolver", words) as context:
                status = context.command.invoke(context)
            sys.stdout.flush()
            return int(status or 0)
        finally:
            end()
    except BaseException as error:  # noqa: BLE001  (whatever happens, no traceback)
        return exits.report(error, invocation)
