"""Steps: what will be done, with nothing left to look up in the Dockerfile."""

from __future__ import annotations

from typing import Literal

import msgspec

from dissolver.errors import Where
from dissolver.image.config import HistoryEntry, RunConfig
from dissolver.image.reference import Reference

HISTORY_COMMENT = "buildkit.dockerfile.v0"
"""The comment of every history entry: tools tell by it how to read ``created_by``."""

NetworkMode = Literal["default", "none", "host"]


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to do for an image.

    ``display`` is what the build shows behind ``[2/5]``; ``created_by`` is its text
    in the history; ``config`` is what the image's containers start with after it.
    """

    where: Where
    display: str
    created_by: str
    config: RunConfig

    @property
    def makes_layer(self) -> bool:
        """Whether the step has a layer of its own, even an empty one."""
        return True

    def history(self, created: int | None) -> HistoryEntry:
        """Return the step's history entry; ``created`` is in nanoseconds since the epoch."""
        return HistoryEntry(
            created=created,
            created_by=self.created_by,
            comment=HISTORY_COMMENT,
            empty_layer=not self.makes_layer,
        )


class RunStep(Step, frozen=True, kw_only=True):
    """Run a process on top of the layers so far.

    ``env`` is the whole environment, image variables first; ``user`` is the text
    of USER (empty is root), resolved when the step runs. ``proxies`` are variables
    that the process gets as well, but that no key, history or image may hold.
    """

    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    cwd: str
    user: str
    network: NetworkMode = "default"
    shell_form: bool = False
    proxies: tuple[tuple[str, str], ...] = ()
    files: tuple[InlineFile, ...] = ()


class InlineFile(msgspec.Struct, frozen=True):
    """A file whose content the Dockerfile holds; ``path`` is absolute or a bare name."""

    path: str
    content: str
    mode: int


class CopyStep(Step, frozen=True, kw_only=True):
    """Copy files from the context, a stage or an image.

    ``destination`` is absolute and keeps a trailing slash. ``from_`` is the index
    of a stage, the reference of an image, or ``None`` for the context. ``chown``
    stays text: names mean what the destination's files say. ``documents`` are
    files written in the Dockerfile itself; they are root's and copied after
    ``sources``.
    """

    sources: tuple[str, ...]
    destination: str
    from_: int | Reference | None = None
    chown: str | None = None
    chmod: int | None = None
    documents: tuple[InlineFile, ...] = ()


class WorkdirStep(Step, frozen=True, kw_only=True):
    """Make sure that a directory exists; a new one belongs to ``user`` (text of USER)."""

    path: str
    user: str


class MetadataStep(Step, frozen=True, kw_only=True):
    """Change nothing but the configuration."""

    @property
    def makes_layer(self) -> bool:
        """No metadata step has a layer."""
        return False
