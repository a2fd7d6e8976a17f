"""``cp`` and ``diff``: the files of containers."""

from __future__ import annotations

import sys
from typing import Annotated

from typer import Argument, Option

from dissolver.cli.invocation import current
from dissolver.cli.names import container_names
from dissolver.cli.render.cells import printable
from dissolver.cli.words import UsageSlip

LETTERS = {"added": "A", "changed": "C", "deleted": "D"}
FORMS = "one of the two reads `CONTAINER:PATH`, the other one is a path or `-`"


def cp(
    source: Annotated[str, Argument(metavar="[CONTAINER:]PATH|-", show_default=False)],
    target: Annotated[str, Argument(metavar="[CONTAINER:]PATH|-", show_default=False)],
    archive: Annotated[
        bool, Option("-a", "--archive", help="Keep owners and all attributes")
    ] = False,
    follow_link: Annotated[
        bool, Option("-L", "--follow-link", help="Follow a symbolic link that is the source")
    ] = False,
    quiet: Annotated[bool, Option("-q", "--quiet", help="Do not tell how much was copied")] = False,
) -> None:
    """Copy files between a container and this machine."""
    from_container, from_path = split_place(source)
    to_container, to_path = split_place(target)
    if from_container is not None and to_container is not None:
        raise UsageSlip("files cannot be copied from container to container", None, FORMS)
    engine = current().engine
    if to_container is not None:
        size = engine.copy_to(
            to_container,
            to_path,
            _input() if from_path == "-" else from_path,
            keeps_owner=archive,
            follows_link=follow_link,
        )
    elif from_container is not None:
        size = engine.copy_from(
            from_container,
            from_path,
            _output() if to_path == "-" else to_path,
            keeps_owner=archive,
            follows_link=follow_link,
        )
    else:
        raise UsageSlip("neither of the two is in a container", None, FORMS)
    if not quiet and sys.stderr.isatty() and to_path != "-":
        from dissolver.cli.render.sizes import human_size

        sys.stderr.write(f"Successfully copied {human_size(size)} to {target}\n")


def split_place(text: str) -> tuple[str | None, str]:
    """Tell a path in a container from one of this machine: (container, path).

    A path with a colon is written with a slash or a dot in front: ``./file:name``.
    """
    container, colon, path = text.partition(":")
    if not text or not (path if colon else container):
        raise UsageSlip(f"`{text}` names no file", None, FORMS)
    if not colon or text.startswith((".", "/")):
        return None, text
    if not container:
        raise UsageSlip(f"`{text}` names no container", None, FORMS)
    return container, path


def _input() -> int:
    if sys.stdin.isatty():
        raise UsageSlip(
            "standard input is a terminal, not a tar", None, "pipe one in: `tar -c … | …`"
        )
    return sys.stdin.fileno()


def _output() -> int:
    if sys.stdout.isatty():
        raise UsageSlip("a tar does not belong on a terminal", None, "send it on: `… | tar -x`")
    sys.stdout.flush()
    return sys.stdout.fileno()


def diff(
    container: Annotated[str, Argument(metavar="CONTAINER", autocompletion=container_names)],
) -> None:
    """Show what a container added (A), changed (C) and deleted (D)."""
    for change in current().engine.diff(container):
        sys.stdout.write(f"{LETTERS[change.kind]} {printable(change.path)}\n")
