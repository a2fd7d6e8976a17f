"""Build container images from Dockerfiles and run containers, without a daemon.

``Engine`` is the entry; the other names are what it takes, answers and raises.
Each is imported when it is first used, so ``import dissolver`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dissolver._core import version as __version__
    from dissolver.build.events import Event, Vertex, VertexLog, VertexStatus, Warning_
    from dissolver.build.request import BuildRequest, BuildResult, Exported, StepOutcome
    from dissolver.containers.life import ContainerSummary, LogLine, RunOptions
    from dissolver.engine import Engine
    from dissolver.engine.comparison import FileChange, FileFacts, ImageDifference
    from dissolver.engine.results import (
        HistoryRow,
        Info,
        ListedVolume,
        Pruned,
        RunResult,
    )
    from dissolver.errors import (
        BuildError,
        Cancelled,
        DissolverError,
        DockerfileError,
        ImageNotFound,
        StepFailed,
        Where,
    )
    from dissolver.export.output import Output
    from dissolver.image.compare import FieldChange
    from dissolver.image.config import Image
    from dissolver.store.images import ListedImage, Removal
    from dissolver.store.usage import Usage

_HOMES = {
    "BuildError": "errors",
    "BuildRequest": "build.request",
    "BuildResult": "build.request",
    "Cancelled": "errors",
    "ContainerSummary": "containers.life",
    "DissolverError": "errors",
    "DockerfileError": "errors",
    "Engine": "engine",
    "Event": "build.events",
    "Exported": "build.request",
    "FieldChange": "image.compare",
    "FileChange": "engine.comparison",
    "FileFacts": "engine.comparison",
    "HistoryRow": "engine.results",
    "Image": "image.config",
    "ImageDifference": "engine.comparison",
    "ImageNotFound": "errors",
    "Info": "engine.results",
    "ListedImage": "store.images",
    "ListedVolume": "engine.results",
    "LogLine": "containers.life",
    "Output": "export.output",
    "Pruned": "engine.results",
    "Removal": "store.images",
    "RunOptions": "containers.life",
    "RunResult": "engine.results",
    "StepFailed": "errors",
    "StepOutcome": "build.request",
    "Usage": "store.usage",
    "Vertex": "build.events",
    "VertexLog": "build.events",
    "VertexStatus": "build.events",
    "Warning_": "build.events",
    "Where": "errors",
}

__all__ = [
    "BuildError",
    "BuildRequest",
    "BuildResult",
    "Cancelled",
    "ContainerSummary",
    "DissolverError",
    "DockerfileError",
    "Engine",
    "Event",
    "Exported",
    "FieldChange",
    "FileChange",
    "FileFacts",
    "HistoryRow",
    "Image",
    "ImageDifference",
    "ImageNotFound",
    "Info",
    "ListedImage",
    "ListedVolume",
    "LogLine",
    "Output",
    "Pruned",
    "Removal",
    "RunOptions",
    "RunResult",
    "StepFailed",
    "StepOutcome",
    "Usage",
    "Vertex",
    "VertexLog",
    "VertexStatus",
    "Warning_",
    "Where",
    "__version__",
]


def __getattr__(name: str) -> object:
    if name == "__version__":
        from dissolver import _core

        return _core.version
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module `dissolver` has no attribute `{name}`")
    value = getattr(import_module(f"dissolver.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
