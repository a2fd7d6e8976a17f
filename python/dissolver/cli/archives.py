"""``save``, ``load`` and ``export``: images and file systems on their way to elsewhere."""

from __future__ import annotations

import sys
from typing import Annotated

from typer import Argument, Option

from dissolver.cli.invocation import current
from dissolver.cli.names import container_names, image_names
from dissolver.cli.words import UsageSlip

Output = Annotated[
    str | None, Option("-o", "--output", metavar="FILE", help="Write here, not to standard output")
]


def save(
    images: Annotated[
        list[str], Argument(metavar="IMAGE...", autocompletion=image_names, show_default=False)
    ],
    output: Output = None,
    form: Annotated[
        str, Option("--format", metavar="FORM", help="docker, oci or oci-directory")
    ] = "docker",
    compression: Annotated[
        str | None,
        Option(
            "--compression",
            metavar="KIND",
            help="Of all layers: none, gzip or zstd; by default as they came, else none or gzip",
        ),
    ] = None,
) -> None:
    """Write images to an archive or a directory."""
    if output is None and form == "oci-directory":
        raise UsageSlip(
            "a directory does not fit into standard output", None, "name it: `-o DIRECTORY`"
        )
    current().engine.save(images, target_of(output), form=form, compression=compression)


def export(
    container: Annotated[str, Argument(metavar="CONTAINER", autocompletion=container_names)],
    output: Output = None,
) -> None:
    """Write a container's file system as a tar."""
    current().engine.export(container, target_of(output))


def target_of(output: str | None) -> str | int:
    """Give the file that was named, or standard output where that takes a tar."""
    if output is not None and output != "-":
        return output
    if sys.stdout.isatty():
        raise UsageSlip(
            "a tar does not belong on a terminal", None, "name a file with `-o`, or redirect"
        )
    sys.stdout.flush()
    return sys.stdout.fileno()


def load(
    source: Annotated[
        str | None, Option("-i", "--input", metavar="FILE", help="Read this, not standard input")
    ] = None,
    quiet: Annotated[  # noqa: ARG001  (there is nothing that it would leave out)
        bool, Option("-q", "--quiet", help="Print the names of the images only")
    ] = False,
) -> None:
    """Take in images from an archive or a directory."""
    place: str | int
    if source is not None and source != "-":
        place = source
    else:
        if sys.stdin.isatty():
            raise UsageSlip(
                "standard input is a terminal, not an archive",
                None,
                "name a file with `-i`, or redirect one",
            )
        place = sys.stdin.fileno()
    for loaded in current().engine.load(place):
        for reference in loaded.references:
            sys.stdout.write(f"Loaded image: {reference.familiar}\n")
        if not loaded.references:
            sys.stdout.write(f"Loaded image ID: {loaded.image.id}\n")
