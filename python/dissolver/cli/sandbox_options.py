"""Options of what a process sees of the machine: the same for ``run`` and for ``build``."""

from __future__ import annotations

from typing import Annotated

from typer import Option

Hosts = Annotated[
    list[str] | None,
    Option(
        "--add-host",
        metavar="NAME:ADDRESS",
        help="Add a name to /etc/hosts; host-gateway is this machine (may be repeated)",
    ),
]
ShmSize = Annotated[
    str | None, Option("--shm-size", metavar="SIZE", help="Size of /dev/shm, such as 1g")
]
Limits = Annotated[
    list[str] | None,
    Option(
        "--ulimit",
        metavar="NAME=SOFT[:HARD]",
        help="Limit a resource, such as nofile=1024:2048 (may be repeated)",
    ),
]
