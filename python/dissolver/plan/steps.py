"""Steps: what will be done, with nothing left to look up in the Dockerfile."""

from __future__ import annotations

from typing import Literal

import msgspec

from dissolver.errors import Where
from dissolver.image.config import HistoryEntry, RunConfig
from dissolver.plan.modes import FileMode
from dissolver.plan.mounts import Mount
from dissolver.plan.origins import Origin
from dissolver.plan.sources import AddSource

HISTORY_COMMENT = "buildkit.dockerfile.v0"
"""The comment of every history entry: tools tell by it how to read ``created_by``."""

NetworkMode = Literal["default", "none", "host"]
SecurityMode = Literal["sandbox", "insecure"]


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to do for an image.

    ``display`` is what the build shows behind ``[2/5]``; ``created_by`` is its text
    in the history; ``config`` is what the image's containers start with after it.
    ``is_trigger`` marks a step that an ``ONBUILD`` of the base asked for.
    """

    where: Where
    display: str
    created_by: str
    config: RunConfig
    is_trigger: bool = False

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


class InlineFile(msgspec.Struct, frozen=True):
    """A file whose content the Dockerfile holds; ``path`` is absolute or a bare name."""

    path: str
    content: str
    mode: int


class RunStep(Step, frozen=True, kw_only=True):
    """Run a process on top of the layers so far.

    ``env`` is the whole environment, image variables first; ``user`` is the text
    of USER (empty is root), resolved when the step runs. ``proxies`` are variables
    that the process gets as well, but that no key, history or image may hold.
    ``mounts`` are made in order and are there while the process runs; later ones may
    lie over earlier ones. ``files`` are read-only files that the process sees at
    their paths, for scripts that the Dockerfile holds. ``security`` says whether the
    process is confined (``sandbox``) or has all rights of the builder.
    """

    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    cwd: str
    user: str
    network: NetworkMode = "default"
    shell_form: bool = False
    proxies: tuple[tuple[str, str], ...] = ()
    files: tuple[InlineFile, ...] = ()
    mounts: tuple[Mount, ...] = ()
    security: SecurityMode = "sandbox"


class TransferStep(Step, frozen=True, kw_only=True):
    """What COPY and ADD have in common.

    ``destination`` is absolute and keeps a trailing slash. ``chown`` stays text: names
    mean what the destination's files say. ``chmod`` is a mode, or changes to the
    mode of each file. ``link`` puts the files into an empty root, and that on top of
    the image, without a look at what is there. ``excludes`` are patterns as in an ignore
    file, relative to each source. ``documents`` are files written in the Dockerfile
    itself, with bare names; they are root's and come after all sources.
    """

    destination: str
    chown: str | None = None
    chmod: FileMode | None = None
    link: bool = False
    excludes: tuple[str, ...] = ()
    documents: tuple[InlineFile, ...] = ()


class CopyStep(TransferStep, frozen=True, kw_only=True):
    """Copy files from the context, a stage, an image or a named context.

    ``sources`` are clean patterns rooted at the origin, ``from_``. With ``parents`` the
    destination gets their directories as well, but for the first part of each that
    ``pivots`` holds: ``/a/./b/c`` is the source ``/a/b/c`` with the pivot ``/a`` and
    becomes ``b/c``. There are as many pivots as sources then, and none otherwise.
    """

    sources: tuple[str, ...]
    from_: Origin = None
    parents: bool = False
    pivots: tuple[str, ...] = ()


class AddStep(TransferStep, frozen=True, kw_only=True):
    """Add files of the context, unpacked archives, URLs and git repositories, in order."""

    sources: tuple[AddSource, ...]


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
