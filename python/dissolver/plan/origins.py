"""Where a step takes files from: the context, a stage, an image, or a named context."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from dissolver.image.reference import Reference


class NamedContext(msgspec.Struct, frozen=True):
    """Files that ``--build-context NAME=…`` names: a directory, an archive or a repository.

    A name that stands for an image is none: planning puts the image's reference in
    its place. ``name`` is as the command line has it.
    """

    name: str


Origin: TypeAlias = int | Reference | NamedContext | None
"""The index of a stage, an image, a named context, or ``None`` for the build context."""
