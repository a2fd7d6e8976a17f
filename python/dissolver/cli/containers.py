"""``ps``, ``logs``, ``stop``, ``kill`` and ``rm``: containers that are there."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from dissolver.cli.invocation import current
from dissolver.cli.listing import Row, listed, read_filters
from dissolver.cli.render.cells import ellipsis
from dissolver.cli.render.times import age, local_time
from dissolver.cli.targets import each
from dissolver.cli.words import UsageSlip
from dissolver.errors import ContainerNotFound

if TYPE_CHECKING:
    from dissolver.runtime.container import ContainerSummary, LogLine

Names = Annotated[list[str], Argument(metavar="CONTAINER...", show_default=False)]

COLUMNS = {
    "ID": "CONTAINER ID",
    "Image": "IMAGE",
    "Command": "COMMAND",
    "RunningFor": "CREATED",
    "Status": "STATUS",
    "Ports": "PORTS",
    "Names": "NAMES",
}
TITLES = {**COLUMNS, "CreatedAt": "CREATED AT", "State": "STATE"}
FILTERS = ("id", "name", "status", "ancestor", "exited")
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
    command = f'"{container.command}"'
    return {
        "ID": container.id[:SHORT_ID] if shortens else container.id,
        "Image": container.image,
        "Command": ellipsis(command, COMMAND_CELLS) if shortens else command,
        "RunningFor": age(container.created_ns, now_ns),
        "CreatedAt": local_time(container.created_ns),
        "Status": container.status,
        "State": container.state,
        "Ports": container.ports,
        "Names": container.name,
    }


def matches(container: ContainerSummary, filters: dict[str, list[str]]) -> bool:
    """Tell whether a container is one of those that the filters let through."""
    tests: dict[str, Callable[[str], bool]] = {
        "id": lambda value: container.id.startswith(value),
        "name": lambda value: value in container.name,
        "status": lambda value: value == container.state,
        "ancestor": lambda value: is_ancestor(container, value),
        "exited": lambda value: value == str(container.exit_code),
    }
    return all(any(tests[key](value) for value in values) for key, values in filters.items())


def is_ancestor(container: ContainerSummary, image: str) -> bool:
    """Tell whether a container was made from an image: its name, with a tag or not, or ID."""
    identity = image.removeprefix("sha256:")
    names = {container.image, container.image.rpartition(":")[0] or container.image}
    is_id = len(identity) >= SHORT_ID and container.image_id.removeprefix("sha256:").startswith(
        identity
    )
    return is_id or image in names or f"{image}:latest" in names


def logs(
    container: Annotated[str, Argument(metavar="CONTAINER")],
    follow: Annotated[bool, Option("-f", "--follow", help="Go on until it ends")] = False,
    tail: Annotated[
        str, Option("-n", "--tail", metavar="N", help="Show the last N lines only")
    ] = "all",
    timestamps: Annotated[
        bool, Option("-t", "--timestamps", help="Show when it was written")
    ] = False,
) -> None:
    """Show what a container wrote, each stream on its own."""
    lines: Iterable[LogLine] = current().engine.logs(container, follow=follow)
    if tail != "all":
        lines = _last(lines, tail)
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


def _last(lines: Iterable[LogLine], tail: str) -> Iterable[LogLine]:
    """Leave out all but the last lines."""
    from collections import deque

    if not tail.isdecimal():
        raise UsageSlip(f"`--tail` is a number or `all`, not `{tail}`", None)
    return deque(lines, maxlen=int(tail))


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
