"""``run``, ``exec``, ``start``, ``attach``, ``wait``: programs, connected to this terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from dissolver.cli.build_words import named_values
from dissolver.cli.env_files import file_variables
from dissolver.cli.invocation import Invocation, current
from dissolver.cli.names import container_names, image_names
from dissolver.cli.sandbox_options import Hosts, confining_options, said
from dissolver.cli.targets import each
from dissolver.cli.words import UsageSlip
from dissolver.config import caller_environment
from dissolver.errors import NotATerminal

if TYPE_CHECKING:
    from dissolver.containers.life import RunOptions
    from dissolver.engine import Engine
    from dissolver.registry.events import OnTransfer, TransferEvent

Interactive = Annotated[
    bool, Option("-i", "--interactive", help="Connect standard input, and keep it open")
]
Terminal = Annotated[bool, Option("-t", "--tty", help="Give the program a terminal")]
Environment = Annotated[
    list[str] | None,
    Option("-e", "--env", metavar="NAME=VALUE", help="Set a variable (may be repeated)"),
]
EnvironmentFiles = Annotated[
    list[str] | None,
    Option("--env-file", metavar="FILE", help="Set the variables in this file"),
]
WorkingDirectory = Annotated[
    str | None, Option("-w", "--workdir", metavar="DIRECTORY", help="Run it in this directory")
]
User = Annotated[
    str | None, Option("-u", "--user", metavar="USER[:GROUP]", help="Run it as this user")
]


@confining_options("run")
def run(
    image: Annotated[str, Argument(metavar="IMAGE", autocompletion=image_names)],
    command: Annotated[
        list[str] | None, Argument(metavar="[COMMAND] [ARGUMENT]...", show_default=False)
    ] = None,
    detach: Annotated[
        bool, Option("-d", "--detach", help="Leave it running and print its ID")
    ] = False,
    interactive: Interactive = False,
    tty: Terminal = False,
    rm: Annotated[bool, Option("--rm", help="Remove the container when it ends")] = False,
    name: Annotated[str | None, Option("--name", metavar="NAME", help="Name the container")] = None,
    publish: Annotated[
        list[str] | None,
        Option(
            "-p", "--publish", metavar="HOST:CONTAINER", help="Publish a port (may be repeated)"
        ),
    ] = None,
    env: Environment = None,
    env_file: EnvironmentFiles = None,
    volume: Annotated[
        list[str] | None,
        Option(
            "-v",
            "--volume",
            metavar="SOURCE:TARGET[:ro]",
            help="Bind a directory (may be repeated)",
        ),
    ] = None,
    workdir: WorkingDirectory = None,
    user: User = None,
    entrypoint: Annotated[
        str | None, Option("--entrypoint", metavar="PROGRAM", help="Run this program instead")
    ] = None,
    label: Annotated[
        list[str] | None,
        Option("-l", "--label", metavar="NAME=VALUE", help="Label it (may be repeated)"),
    ] = None,
    network: Annotated[
        str | None,
        Option("--network", "--net", metavar="MODE", help="Network: bridge, host or none"),
    ] = None,
    hostname: Annotated[
        str | None, Option("-h", "--hostname", metavar="NAME", help="Host name in the container")
    ] = None,
    read_only: Annotated[
        bool, Option("--read-only", help="Make the root file system read-only")
    ] = False,
    publish_all: Annotated[
        bool, Option("-P", "--publish-all", help="Publish every exposed port on a free one")
    ] = False,
    stop_signal: Annotated[
        str | None, Option("--stop-signal", metavar="SIGNAL", help="What `stop` sends")
    ] = None,
    stop_timeout: Annotated[
        float | None,
        Option("--stop-timeout", metavar="SECONDS", help="How long `stop` waits before it kills"),
    ] = None,
    add_host: Hosts = None,
    log_driver: Annotated[
        str | None,
        Option("--log-driver", metavar="DRIVER", help="Keep what it writes: json-file, none"),
    ] = None,
    log_opt: Annotated[
        list[str] | None,
        Option(
            "--log-opt",
            metavar="NAME=VALUE",
            help="How much is kept: max-size=20m, max-file=5 (may be repeated)",
        ),
    ] = None,
    pull: Annotated[
        str,
        Option(
            "--pull",
            metavar="WHEN",
            show_default=False,
            help="Fetch the image when it is missing, always or never",
        ),
    ] = "missing",
    platform: Annotated[
        str | None,
        Option("--platform", metavar="OS/ARCHITECTURE", help="Run the image for this platform"),
    ] = None,
    quiet: Annotated[bool, Option("-q", "--quiet", help="Do not show how it is fetched")] = False,
    **confinement: Any,
) -> int:
    """Create a container from an image and run it."""
    if interactive and tty and not detach:
        require_terminal()
    from dissolver.containers.life import RunOptions

    invocation = current()
    options = RunOptions(
        detach=detach,
        interactive=interactive,
        terminal=tty,
        remove=rm,
        name=name,
        ports=tuple(publish or ()),
        env=tuple(variables(env, env_file)),
        volumes=tuple(volume or ()),
        workdir=workdir,
        user=user,
        entrypoint=entrypoint,
        network=network if network is not None else invocation.settings.network,
        hostname=hostname,
        read_only=read_only,
        publishes_all=publish_all,
        stop_signal=stop_signal,
        stop_timeout=stop_timeout,
        add_hosts=tuple(add_host or ()),
        labels=tuple(label or ()),
        log_driver=log_driver,
        log_options=tuple(log_opt or ()),
        **said("run", confinement),
    )
    if options.network == "host" and (publish or publish_all):
        from dissolver.cli.render.failures import warning

        text = "ports are not published: on `--network host` they are this machine's own"
        sys.stderr.write(warning(text, colored=invocation.colors_errors))
    words = tuple(command or ())
    _have_image(invocation, image, pull, platform, quiet=quiet)
    if detach:
        container = invocation.engine.run(image, words, options, pull="never").container
        _tell_plan(invocation, container)
        sys.stdout.write(f"{container}\n")
        return 0
    return _run_attached(invocation, image, words, options)


def _tell_plan(invocation: Invocation, container: str) -> None:
    if invocation.debug:
        from dissolver.cli.sandbox_plans import tell_plan_of_container

        tell_plan_of_container(invocation.settings.root, container)


def _have_image(
    invocation: Invocation, image: str, policy: str, platform: str | None, *, quiet: bool
) -> None:
    """Fetch the image where it is missing; standard output is the program's alone."""
    if policy not in ("missing", "always", "never"):
        raise UsageSlip(
            f"unknown value `{policy}` of `--pull`", None, "use missing, always or never"
        )

    def tell(name: str) -> None:
        sys.stderr.write(f"Unable to find image '{name}' locally\n")
        sys.stderr.flush()

    def show(event: TransferEvent) -> None:
        from dissolver.cli.render.transfers import transfer_display

        if not displays:
            is_dumb = invocation.settings.is_dumb_terminal
            displays.append(transfer_display(sys.stderr, is_dumb=is_dumb))
        displays[0](event)

    displays: list[OnTransfer] = []
    invocation.engine.ensure_image(
        image,
        pull=policy,
        platform=platform,
        on_missing=None if quiet else tell,
        on_event=None if quiet else show,
    )


def _run_attached(
    invocation: Invocation, image: str, command: tuple[str, ...], options: RunOptions
) -> int:
    engine = invocation.engine
    container = engine.create(image, command, options, pull="never")
    try:
        engine.start(container, waits_for_attach=True)
    except BaseException:
        if options.remove:
            engine.remove_container(container, force=True)
        raise
    _tell_plan(invocation, container)
    return engine.attach(container, stdin=0 if options.interactive else None, stdout=1, stderr=2)


def execute(
    container: Annotated[str, Argument(metavar="CONTAINER", autocompletion=container_names)],
    command: Annotated[list[str], Argument(metavar="COMMAND [ARGUMENT]...")],
    detach: Annotated[bool, Option("-d", "--detach", help="Do not wait for it")] = False,
    interactive: Interactive = False,
    tty: Terminal = False,
    env: Environment = None,
    env_file: EnvironmentFiles = None,
    workdir: WorkingDirectory = None,
    user: User = None,
) -> int:
    """Run a program in a running container."""
    if interactive and tty and not detach:
        require_terminal()
    result = current().engine.exec(
        container,
        command,
        environment=variables(env, env_file),
        working_directory=workdir,
        user=user,
        interactive=interactive,
        terminal=tty,
        detach=detach,
        stdin=0 if interactive and not detach else None,
        stdout=None if detach else 1,
        stderr=None if detach else 2,
    )
    return result.exit_code


def start(
    containers: Annotated[
        list[str],
        Argument(metavar="CONTAINER...", autocompletion=container_names, show_default=False),
    ],
    attach_: Annotated[
        bool, Option("-a", "--attach", help="Connect its output, and wait for its end")
    ] = False,
    interactive: Interactive = False,
) -> int:
    """Start containers again."""
    engine = current().engine
    if not (attach_ or interactive):

        def started(name: str) -> str:
            engine.start(name)
            return f"{name}\n"

        return each(containers, started)
    if len(containers) > 1:
        raise UsageSlip("only one container can be connected", None)
    _check_terminal(engine, containers[0], interactive=interactive)
    engine.start(containers[0], waits_for_attach=True)
    return engine.attach(containers[0], stdin=0 if interactive else None, stdout=1, stderr=2)


def attach(
    container: Annotated[str, Argument(metavar="CONTAINER", autocompletion=container_names)],
    no_stdin: Annotated[bool, Option("--no-stdin", help="Do not connect standard input")] = False,
) -> int:
    """Connect this terminal to a running container."""
    engine = current().engine
    _check_terminal(engine, container, interactive=not no_stdin)
    return engine.attach(container, stdin=None if no_stdin else 0, stdout=1, stderr=2)


def wait(
    containers: Annotated[
        list[str],
        Argument(metavar="CONTAINER...", autocompletion=container_names, show_default=False),
    ],
) -> int:
    """Wait until containers end and print their exit codes."""
    engine = current().engine
    return each(containers, lambda name: f"{engine.wait(name)}\n")


def _check_terminal(engine: Engine, container: str, *, interactive: bool) -> None:
    """Make sure that a container with a terminal gets this one, where it reads from it."""
    config = engine.inspect_container(container)["Config"]
    if interactive and config["Tty"] and config["OpenStdin"]:
        require_terminal()


def require_terminal() -> None:
    """Make sure that there is a terminal to connect.

    Raises:
        NotATerminal: standard input is a file, a pipe or nothing.
    """
    if not sys.stdin.isatty():
        raise NotATerminal(
            "the input device is not a TTY",
            hint="leave out `-t`, or type the command in a terminal",
        )


def variables(words: list[str] | None, files: list[str] | None) -> list[str]:
    """Collect ``NAME=value`` texts: the files' first, then the words, later ones winning.

    A word that is a name alone, which the caller has no value for, stays one: it takes the
    image's variable away. In a file such a line says nothing.
    """
    environment = caller_environment()
    values: dict[str, str | None] = {}
    for file in files or []:
        values |= file_variables(file, environment)
    for word in words or []:
        values[word.partition("=")[0]] = None
        values |= named_values([word], environment)
    return [name if value is None else f"{name}={value}" for name, value in values.items()]
