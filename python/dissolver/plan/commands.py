"""RUN, CMD, ENTRYPOINT and HEALTHCHECK: what is started, and how."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

from dissolver.dockerfile.ast import Command, Run, Word
from dissolver.dockerfile.heredoc import parse_marker
from dissolver.errors import DockerfileError
from dissolver.plan import history
from dissolver.plan.mount_options import lower_mounts
from dissolver.plan.mounts import Mount, SecretMount, SshMount
from dissolver.plan.origins import Origin
from dissolver.plan.scope import Scope, refuse_nul
from dissolver.plan.steps import InlineFile, NetworkMode, RunStep, SecurityMode

SCRIPT_DIRECTORY = "/dev/pipes"
"""Where a script that the Dockerfile holds is found while it runs."""

SCRIPT_MODE = 0o755

HIDDEN = "****"
"""What is shown in the place of a secret."""


def lower_run(
    run: Run,
    scope: Scope,
    proxies: tuple[tuple[str, str], ...],
    origin: Callable[[Word], Origin],
) -> RunStep:
    """Turn a RUN into its step.

    ``proxies`` are variables that only the process sees; ``origin`` tells what the
    names behind ``from`` in mounts mean.

    Raises:
        DockerfileError: an argument has a NUL character, a mount is wrong, or a device
            is asked for.
    """
    _refuse_devices(run)
    command = run.command
    files = _scripts(command)
    argv = command_line(_with_documents(command, files), scope)
    refuse_nul(run, argv)
    mounts = lower_mounts(run, scope, origin)
    text = run.statement.text
    if command.heredocs and _is_only_document(command):
        text += f" ({_summary(command.heredocs[0].body)})"
    secrets = {
        mount.env: HIDDEN for mount in mounts if isinstance(mount, SecretMount) and mount.env
    }
    return RunStep(
        where=run.where,
        display=scope.display(text, keeps_quotes=True, hidden=secrets),
        created_by=history.run_text(argv, scope.argument_values),
        config=scope.run,
        argv=argv,
        env=(*scope.environment, *_agent_variable(scope, mounts)),
        cwd=scope.directory,
        user=scope.run.user,
        network=_network(run),
        shell_form=command.is_shell,
        proxies=tuple(pair for pair in proxies if pair[0] not in scope.env),
        files=files,
        mounts=mounts,
        security=_security(run),
    )


def _refuse_devices(run: Run) -> None:
    if run.devices:
        raise DockerfileError(
            f"the device `{run.devices[0].text}` cannot be given to a step",
            where=run.where_of(run.devices[0]),
            hint="`--device` is experimental, and needs a builder that knows the machine's devices",
        )


def _agent_variable(scope: Scope, mounts: tuple[Mount, ...]) -> tuple[tuple[str, str], ...]:
    """Name the first agent's socket, unless the Dockerfile has a variable of that name."""
    sockets = [mount.target for mount in mounts if isinstance(mount, SshMount)]
    if not sockets or "SSH_AUTH_SOCK" in scope.env:
        return ()
    return (("SSH_AUTH_SOCK", sockets[0]),)


def _scripts(command: Command) -> tuple[InlineFile, ...]:
    """Return the script that the command consists of, if it names its own program."""
    if not command.heredocs or not _is_only_document(command):
        return ()
    script = command.heredocs[0]
    if not script.content.startswith("#!"):
        return ()
    return (InlineFile(f"{SCRIPT_DIRECTORY}/{script.name}", script.content, SCRIPT_MODE),)


def command_line(command: Command, scope: Scope) -> tuple[str, ...]:
    """Return the arguments of a command; in shell form, the shell comes first."""
    if not command.is_shell:
        return command.words
    return (*scope.shell, " ".join(command.words))


def _with_documents(command: Command, files: tuple[InlineFile, ...]) -> Command:
    """Put heredocs back into the command for the shell, or hand it nothing but the body."""
    if not command.heredocs:
        return command
    if files:
        return Command((files[0].path,), is_shell=True)
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


def _security(run: Run) -> SecurityMode:
    asked = "sandbox" if run.security is None else run.security.text
    modes: tuple[SecurityMode, ...] = get_args(SecurityMode)
    return next(mode for mode in modes if mode == asked)
