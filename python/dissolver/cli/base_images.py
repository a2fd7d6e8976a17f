"""``import`` and ``image bootstrap``: images that no Dockerfile made."""

from __future__ import annotations

import sys
from typing import Annotated

from typer import Argument, Option

from dissolver.cli.invocation import current
from dissolver.cli.words import UsageSlip


def import_tar(
    source: Annotated[str, Argument(metavar="FILE|URL|-")],
    reference: Annotated[str | None, Argument(metavar="[NAME[:TAG]]", show_default=False)] = None,
    change: Annotated[
        list[str] | None,
        Option(
            "-c",
            "--change",
            metavar="INSTRUCTION",
            help="Apply a Dockerfile instruction (may be repeated)",
        ),
    ] = None,
    message: Annotated[
        str, Option("-m", "--message", metavar="TEXT", help="Say this in the history")
    ] = "",
    platform: Annotated[
        str | None,
        Option("--platform", metavar="OS/ARCHITECTURE", help="The image is for this platform"),
    ] = None,
) -> None:
    """Make an image from a tar of a root file system and print its ID."""
    if source == "-" and sys.stdin.isatty():
        raise UsageSlip(
            "standard input is a terminal, not a tar", None, "pipe one in: `… | dissolver import -`"
        )
    image = current().engine.import_image(
        sys.stdin.fileno() if source == "-" else source,
        tags=() if reference is None else (reference,),
        changes=change or (),
        message=message,
        platform=platform,
    )
    sys.stdout.write(f"{image.id}\n")


def bootstrap(
    suite: Annotated[str, Argument(metavar="SUITE")],
    tag: Annotated[
        list[str] | None,
        Option("-t", "--tag", metavar="NAME:TAG", help="Name the image (may be repeated)"),
    ] = None,
    include: Annotated[
        list[str] | None,
        Option("--include", metavar="PACKAGE,...", help="Install these packages, too"),
    ] = None,
    quiet: Annotated[bool, Option("-q", "--quiet", help="Print the image ID only")] = False,
) -> None:
    """Make a base image of a Debian or Ubuntu suite and print its ID."""

    def show(_stream: int, data: bytes) -> None:
        sys.stderr.buffer.write(data)
        sys.stderr.buffer.flush()

    packages = [name for words in include or () for name in words.split(",") if name]
    image = current().engine.bootstrap(
        suite, tags=tag or (), include=packages, on_output=None if quiet else show
    )
    sys.stdout.write(f"{image.id}\n")
