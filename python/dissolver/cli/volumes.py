"""``volume ls|rm``: directories that outlive containers."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from dissolver.cli.invocation import current
from dissolver.cli.listing import listed, read_filters
from dissolver.cli.names import volume_names
from dissolver.cli.targets import each

if TYPE_CHECKING:
    from dissolver.engine.results import ListedVolume

FILTERS = ("dangling", "name")
COLUMNS = {"Driver": "DRIVER", "Name": "VOLUME NAME"}
TITLES = {**COLUMNS, "Mountpoint": "MOUNTPOINT", "Links": "LINKS"}


def ls(
    quiet: Annotated[bool, Option("-q", "--quiet", help="Print the names only")] = False,
    form: Annotated[
        str | None, Option("--format", metavar="FORMAT", help="`table`, `json` or a Go template")
    ] = None,
    filter_: Annotated[
        list[str] | None,
        Option("-f", "--filter", metavar="KEY=VALUE", help="Show those that match"),
    ] = None,
) -> int:
    """List volumes."""
    filters = read_filters(filter_, FILTERS)
    volumes = [one for one in current().engine.volumes() if _fits(one, filters)]
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


def _fits(volume: ListedVolume, filters: dict[str, list[str]]) -> bool:
    """Tell whether a volume is called, and mounted or not, as filters ask for."""
    names, dangling = filters.get("name"), filters.get("dangling")
    if names is not None and not any(name in volume.name for name in names):
        return False
    is_dangling = not volume.containers
    return dangling is None or is_dangling in (text.lower() in ("true", "1") for text in dangling)


def rm(
    volumes: Annotated[list[str], Argument(metavar="VOLUME...", autocompletion=volume_names)],
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
