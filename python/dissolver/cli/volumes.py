"""``volume ls|rm``: directories that outlive containers."""

from __future__ import annotations

import sys
from typing import Annotated

from typer import Argument, Option

from dissolver.cli.invocation import current
from dissolver.cli.listing import listed
from dissolver.cli.targets import each

COLUMNS = {"Driver": "DRIVER", "Name": "VOLUME NAME"}
TITLES = {**COLUMNS, "Mountpoint": "MOUNTPOINT", "Links": "LINKS"}


def ls(
    quiet: Annotated[bool, Option("-q", "--quiet", help="Print the names only")] = False,
    form: Annotated[
        str | None, Option("--format", metavar="FORMAT", help="`table`, `json` or a Go template")
    ] = None,
) -> int:
    """List volumes."""
    volumes = current().engine.volumes()
    if quiet:
        sys.stdout.write("".join(f"{volume.name}\n" for volume in volumes))
        return 0
    rows = [
        {
            "Driver": "local",
            "Name": volume.name,
            "Mountpoint": volume.directory,
            "Links": str(len(volume.containers)),
        }
        for volume in volumes
    ]
    sys.stdout.write(listed(rows, COLUMNS, form, TITLES))
    return 0


def rm(
    volumes: Annotated[list[str], Argument(metavar="VOLUME...")],
    force: Annotated[bool, Option("-f", "--force", help="Do not mind those that are gone")] = False,
) -> int:
    """Remove volumes."""
    from dissolver.cli.tidy import waits
    from dissolver.errors import VolumeNotFound

    engine = current().engine

    def removed(name: str) -> str:
        try:
            engine.remove_volume(name, on_wait=waits)
        except VolumeNotFound:
            if not force:
                raise
        return f"{name}\n"

    return each(volumes, removed)
