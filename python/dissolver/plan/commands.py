"""RUN, CMD, ENTRYPOINT and HEALTHCHECK: what is started, and how."""

from __future__ import annotations

from typing import get_args

from dissolver.dockerfile.ast import Command, Run
from dissolver.dockerfile.heredoc import parse_marker
from dissolver.plan import history
from dissolver.plan.scope import Scope, refuse_nul
from dissolver.plan.steps import NetworkMode, RunStep


def lower_run(run: Run, scope: Scope, proxies: tuple[tuple[str, str], ...]) -> RunStep:
    """Turn a RUN into its step; ``proxies`` are variables that only the process sees.

    Raises:
        DockerfileError: an argument has a NUL character.
    """
    command = run.command
    argv = command_line(_with_documents(command), scope)
    refuse_nul(run, argv)
    text = run.statement.text
    if command.heredocs and _is_only_document(command):
        text += f" ({_summary(command.heredocs[0].body)})"
    return RunStep(
        where=run.where,
        display=scope.display(text, keeps_quotes=True),
        created_by=history.run_text(argv, scope.argument_values),
        config=scope.run,
        argv=argv,
        env=scope.environment,
        cwd=scope.directory,
        user=scope.run.user,
        network=_network(run),
        shell_form=command.is_shell,
        proxies=tuple(pair for pair in proxies if pair[0] not in scope.env),
    )


def command_line(command: Command, scope: Scope) -> tuple[str, ...]:
    """Return the arguments of a command; in shell form, the shell comes first."""
    if not command.is_shell:
        return command.words
    return (*scope.shell, " ".join(command.words))


def _with_documents(command: Command) -> Command:
    """Put heredocs back into the command for the shell, or hand it nothing but the body."""
    if not command.heredocs:
        return command
    if _is_only_document(command):
        return Command((command.heredocs[0].content,), is_shell=True)
    bodies = "".join(f"\n{heredoc.body}{heredoc.name}" for heredoc in command.heredocs)
    return Command((" ".join(command.words) + bodies,), is_shell=True)


def _is_only_document(command: Command) -> bool:
    return parse_marker(" ".join(command.words)) is not None


def _summary(body: str) -> str:
    first, *more = body.strip().replace("\r\n", "\n").split("\n")
    return first + ("..." if more else "")


def _network(run: Run) -> NetworkMode:
    asked = "default" if run.network is None else run.network.text
    modes: tuple[NetworkMode, ...] = get_args(NetworkMode)
    return next(mode for mode in modes if mode == asked)
