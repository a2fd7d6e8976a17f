"""What pulls and pushes tell while they go on; words are those that people know from Docker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

LayerState = Literal[
    "Pulling fs layer",
    "Waiting",
    "Downloading",
    "Verifying Checksum",
    "Download complete",
    "Extracting",
    "Pull complete",
    "Already exists",
    "Preparing",
    "Compressing",
    "Pushing",
    "Pushed",
    "Layer already exists",
    "Mounted",
    "Retrying",
]


@dataclass(frozen=True, slots=True)
class TransferStarted:
    """A pull or push of one tag or digest begins; ``repository`` is its path."""

    kind: Literal["pull", "push", "copy"]
    version: str
    repository: str


@dataclass(frozen=True, slots=True)
class LayerProgress:
    """Where one layer stands.

    ``layer`` is the digest of its blob for pulls, and its diff ID for pushes, as Docker has it.
    ``current`` and ``total`` are bytes, ``rate`` is bytes in a second, of late; all 0 where
    nothing is counted, and ``total`` while a layer is pushed whose end is not compressed yet.
    ``detail`` says what else there is: the repository that it was mounted
    from, or why it is tried again.
    """

    layer: str
    state: LayerState
    current: int = 0
    total: int = 0
    rate: float = 0.0
    detail: str = ""


@dataclass(frozen=True, slots=True)
class TransferDone:
    """A pull or push of one tag or digest has ended well.

    ``digest`` is that of the manifest or index, ``size`` its bytes. ``is_new`` tells that
    something was transferred. ``reference`` is whole, such as ``docker.io/library/node:latest``.
    """

    kind: Literal["pull", "push", "copy"]
    version: str
    reference: str
    familiar: str
    digest: str
    size: int
    is_new: bool


TransferEvent: TypeAlias = TransferStarted | LayerProgress | TransferDone
OnTransfer: TypeAlias = Callable[[TransferEvent], None]


def short(digest: str) -> str:
    """Shorten a digest to the twelve digits that people see."""
    return digest.partition(":")[2][:12]
