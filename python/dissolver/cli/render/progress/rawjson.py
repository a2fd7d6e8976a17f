"""A build as one JSON object for each event, for programs."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from typing import TYPE_CHECKING

from dissolver.build.events import Vertex, VertexLog, VertexStatus
from dissolver.cli.render.times import SECOND_NS, rfc3339

if TYPE_CHECKING:
    from dissolver.build.events import Event


class RawJsonDisplay:
    """Writes each event at once, in the shape of BuildKit's solve status."""

    shows_failed_output = False

    def __init__(self, write: Callable[[str], None], clock: Callable[[], float]) -> None:
        self._write = write
        self._clock = clock

    def update(self, event: Event) -> None:
        """Write the event."""
        self._write(json.dumps(self._shape(event), separators=(",", ":")) + "\n")

    def refresh(self, now: float) -> None:
        """Do nothing: everything is written already."""

    def finish(self, now: float) -> None:
        """Do nothing: everything is written already."""

    def _shape(self, event: Event) -> dict[str, list[dict[str, object]]]:
        if isinstance(event, Vertex):
            return {"vertexes": [_vertex(event)]}
        if isinstance(event, VertexStatus):
            return {"statuses": [_status(event, self._clock())]}
        if isinstance(event, VertexLog):
            log = {
                "vertex": _digest(event.vertex),
                "stream": event.stream,
                "data": b64encode(event.data).decode(),
                "timestamp": _time(event.at),
            }
            return {"logs": [log]}
        warning: dict[str, object] = {
            "vertex": _digest(event.vertex),
            "level": 1,
            "short": b64encode(event.message.encode()).decode(),
        }
        if event.where is not None:
            lines = {"start": {"line": event.where.line}, "end": {"line": event.where.end_line}}
            warning["range"] = [lines]
        return {"warnings": [warning]}


def _vertex(event: Vertex) -> dict[str, object]:
    shape: dict[str, object] = {"digest": _digest(event.id), "name": event.name}
    if event.started is not None:
        shape["started"] = _time(event.started)
    if event.completed is not None:
        shape["completed"] = _time(event.completed)
    if event.cached:
        shape["cached"] = True
    if event.error is not None:
        shape["error"] = event.error
    return shape


def _status(event: VertexStatus, now: float) -> dict[str, object]:
    shape: dict[str, object] = {"id": event.id, "vertex": _digest(event.vertex)}
    shape["timestamp"] = _time(now)
    shape["current"] = event.current
    if event.total:
        shape["total"] = event.total
    if event.started is not None:
        shape["started"] = _time(event.started)
    if event.completed is not None:
        shape["completed"] = _time(event.completed)
    return shape


def _digest(vertex: int) -> str:
    """Name a vertex in the form readers of this format expect; unique in a build."""
    return f"sha256:{vertex:064x}"


def _time(seconds: float) -> str:
    return rfc3339(int(seconds * SECOND_NS))
