"""``ps``, ``logs``, ``stop``, ``kill`` and ``rm``: containers that are there."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from dissolver.cli.invocation import current
from dissolver.cli.listing import Row, has_label, listed, read_filters
from dissolver.cli.names import container_names
from dissolver.cli.render.cells import ellipsis, printable
from dissolver.cli.render.times import age, local_time
from dissolver.cli.targets import each
from dissolver.cli.words import UsageSlip
from dissolver.errors import ContainerNotFound

if TYPE_CHECKING:
    from dissolver.containers.life import ContainerSummary, LogLine

Names = Annotated[
    list[str], Argument(metavar="CONTAINER...", autocompletion=container_names, show_default=False)
]

COLUMNS = {
    "ID": "CONTAINER ID",
    "Image": "IMAGE",
    "Command": "COMMAND",
    "RunningFor": "CREATED",
    "Status": "STATUS",
    "Ports": "PORTS",
    "Names": "NAMES",
}
TITLES = {**COLUMNS, "CreatedAt": "CREATED AT", "State": "STATE", "Labels": "LABELS"}
FILTERS = ("id", "name", "label", "status", "ancestor", "exited")
SHORT_ID = 12
COMMAND_CELLS = 20


def ps(
    all_: Annotated[bool, Option("-a", "--all", help="Show those that do not run, too")] = False,
    quiet: Annotated[bool, Option("-q", "--quiet", help="Print the IDs only")] = False,
    last: Annotated[
        int, Option("-n", "--last", metavar="N", show_default=False, help="Show the last N made")
    ] = -1,
    latest: Annotated[bool, Option("-l", "--latest", help="Show the last one made")] = False,
    no_trunc: Annotated[bool, Option("--no-trunc", help="Do not shorten anything")] = False,
    filter_: Annotated[
        list[str] | None,
        Option("-f", "--filter", metavar="KEY=VALUE", help="Show those that match"),
    ] = None,
    form: Annotated[
        str | None, Option("--format", metavar="FORM", help="table, json, or a template")
    ] = None,
) -> None:
    """List containers."""
    filters = read_filters(filter_, FILTERS)
    for text in filters.get("name", ()):
        name_pattern(text)
    count = 1 if latest else last
    shows_all = all_ or count >= 0 or bool(filters.keys() & {"status", "exited"})
    found = [
        container
        for container in current().engine.containers(all_=shows_all)
        if matches(container, filters)
    ]
    if count >= 0:
        found = found[:count]
    if quiet:
        width = None if no_trunc else SHORT_ID
        sys.stdout.write("".join(f"{container.id[:width]}\n" for container in found))
        return
    now = time.time_ns()
    rows = [row(container, now, shortens=not no_trunc) for container in found]
    sys.stdout.write(listed(rows, COLUMNS, form, TITLES))


def row(container: ContainerSummary, now_ns: int, *, shortens: bool) -> Row:
    """Word one container."""
    # Quoted as Docker does, so that no line end or escape of it reaches the terminal.
    escaped = container.command.replace("\\", "\\\\").replace('"', '\\"')
    command = f'"{printable(escaped)}"'
    return {
        "ID": container.id[:SHORT_ID] if shortens else container.id,
        "Image": container.image,
        "Command": ellipsis(command, COMMAND_CELLS) if shortens else command,
        "RunningFor": age(container.created_ns, now_ns),
        "CreatedAt": local_time(container.created_ns),
        "Status": container.status,
        "State": container.state,
        "Ports": container.ports,
        "Labels": ",".join(f"{name}={value}" for name, value in container.labels.items()),
        "Names": container.name,
    }


def matches(container: ContainerSummary, filters: dict[str, list[str]]) -> bool:
    """Tell whether a container is one of those that the filters let through."""
    tests: dict[str, Callable[[str], bool]] = {
        "id": lambda value: container.id.startswith(value),
        "name": lambda value: is_named(container, value),
        "label": lambda value: has_label(container.labels, value),
        "status": lambda value: value == container.state,
        "ancestor": lambda value: is_ancestor(container, value),
        "exited": lambda value: value == str(container.exit_code),
    }
    return all(any(tests[key](value) for value in values) for key, values in filters.items())


def name_pattern(text: str) -> re.Pattern[str]:
    """Read a regular expression for names.

    Raises:
        UsageSlip: it is none.
    """
    try:
        return re.compile(text)
    except re.error as error:
        raise UsageSlip(f"`name={text}` is no regular expression: {error}", None) from error


def is_named(container: ContainerSummary, text: str) -> bool:
    """Tell whether a regular expression is found in the name, with Docker's slash or without."""
    pattern = name_pattern(text)
    return any(pattern.search(name) for name in (container.name, f"/{container.name}"))


def is_ancestor(container: ContainerSummary, image: str) -> bool:
    """Tell whether a container was made from an image: its name, with a tag or not, or ID."""
    identity = image.removeprefix("sha256:")
    names = {container.image, container.image.rpartition(":")[0] or container.image}
    is_id = len(identity) >= SHORT_ID and container.image_id.removeprefix("sha256:").startswith(
        identity
    )
    return is_id or image in names or f"{image}:latest" in names


def logs(
    container: Annotated[str, Argument(metavar="CONTAINER", autocompletion=container_names)],
    follow: Annotated[bool, Option("-f", "--follow", help="Go on until it ends")] = False,
    tail: Annotated[
        str, Option("-n", "--tail", metavar="N", help="Show the last N lines only")
    ] = "all",
    timestamps: Annotated[
        bool, Option("-t", "--timestamps", help="Show when it was written")
    ] = False,
) -> None:
    """Show what a container wrote, each stream on its own."""
    count = _count(tail)
    lines: Iterable[LogLine] = current().engine.logs(container, follow=follow, tail=count)
    outputs = {"stdout": sys.stdout.buffer, "stderr": sys.stderr.buffer}
    last = ""
    for line in lines:
        if last not in ("", line.stream):
            # On a terminal both streams end up in one place, in the order of writing.
            outputs[last].flush()
        last = line.stream
        output = outputs[last]
        stamp = f"{line.time} ".encode() if timestamps else b""
        output.write(stamp + line.data)
        if follow:
            output.flush()


def _count(tail: str) -> int | None:
    """Read how many lines are wanted; ``None`` is all of them."""
    if tail == "all":
        return None
    if not tail.isdecimal():
        raise UsageSlip(f"`--tail` is a number or `all`, not `{tail}`", None)
    return int(tail)


def stop(
    containers: Names,
    timeout: Annotated[
        float | None,
        Option("-t", "--time", "--timeout", metavar="SECONDS", help="Kill it after this (10)"),
    ] = None,
) -> int:
    """Ask containers to stop, and kill those that do not."""
    engine = current().engine

    def stopped(name: str) -> str:
        engine.stop(name, timeout=timeout)
        return f"{name}\n"

    return each(containers, stopped)


def kill(
    containers: Names,
    signal: Annotated[
        str, Option("-s", "--signal", metavar="SIGNAL", help="Send this instead of KILL")
    ] = "KILL",
) -> int:
    """Send containers a signal."""
    engine = current().engine

    def killed(name: str) -> str:
        engine.kill(name, signal)
        return f"{name}\n"

    return each(containers, killed)


def rm(
    containers: Names,
    force: Annotated[bool, Option("-f", "--force", help="Kill running ones first")] = False,
    volumes: Annotated[
        bool, Option("-v", "--volumes", help="Their anonymous volumes, too")
    ] = False,
) -> int:
    """Remove containers."""
    engine = current().engine

    def removed(name: str) -> str:
        try:
            engine.remove_container(name, force=force, removes_volumes=volumes)
        except ContainerNotFound:
            # What was to be gone is gone: scripts rely on `rm -f` for that.
            if not force:
                raise
        return f"{name}\n"

    return each(containers, removed)
