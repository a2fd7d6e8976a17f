"""Containers as ``ps`` shows them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from dissolver.containers.ages import status_text
from dissolver.containers.options import ContainerConfig
from dissolver.network.ports import Port, parse_port

if TYPE_CHECKING:
    from dissolver.containers.state import State, Status
    from dissolver.store.containers import ContainerRecord


@dataclass(frozen=True, slots=True)
class ContainerSummary:
    """One container in a list.

    ``image`` is the name it was created from, ``command`` its words joined by blanks,
    ``status`` a text such as ``Up 5 minutes`` and ``state`` one word of it, ``ports`` a text
    such as ``0.0.0.0:3000->80/tcp``. ``exit_code`` is ``None`` until it has ended. ``labels``
    are the image's and its own.
    """

    id: str
    name: str
    image: str
    image_id: str
    command: str
    created_ns: int
    status: str
    ports: str
    state: Status
    exit_code: int | None
    started_ns: int | None = None
    finished_ns: int | None = None
    labels: dict[str, str] = field(default_factory=dict)


def summarize(
    record: ContainerRecord,
    state: State,
    *,
    now_ns: int | None = None,
    published: tuple[Port, ...] | None = None,
) -> ContainerSummary:
    """Word one container; ``published`` are the ports it has right now."""
    config = msgspec.json.decode(record.config, type=ContainerConfig)
    now = time.time_ns() if now_ns is None else now_ns
    return ContainerSummary(
        id=record.id,
        name=record.name,
        image=config.image,
        image_id=record.image_id,
        command=" ".join(config.argv),
        created_ns=record.created_ns,
        status=status_text(state.status, now, state.started_at, state.finished_at, state.exit_code),
        ports=ports_text(published or ()) if state.is_running else "",
        state=state.status,
        exit_code=state.exit_code if state.status == "exited" else None,
        started_ns=state.started_at,
        finished_ns=state.finished_at,
        labels=config.labels,
    )


def ports_text(ports: tuple[Port, ...]) -> str:
    """Word published ports, sorted by the container's port."""
    return ", ".join(port.text for port in sorted(ports))


def wanted_ports(config: ContainerConfig) -> tuple[Port, ...]:
    """List what a container is to publish; host ports may still be open."""
    return tuple(port for text in config.ports for port in parse_port(text))
