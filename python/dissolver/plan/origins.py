"""Where a step takes files from: the context, a stage, an image, or a named context."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from dissolver.errors import BadReference
from dissolver.image.reference import DEFAULT_TAG, Reference, parse_reference

SCRATCH = "scratch"
"""The name of the base that is nothing at all."""

RESERVED = (SCRATCH, "context")
"""Names that mean something of their own; no named context takes their place."""


class NamedContext(msgspec.Struct, frozen=True):
    """Files that ``--build-context NAME=…`` names: a directory, an archive or a repository.

    A name that stands for an image is none: planning puts the image's reference in
    its place. ``name`` is as the command line has it.
    """

    name: str


class EmptyOrigin(msgspec.Struct, frozen=True):
    """Nothing at all: ``from=scratch``."""


Origin: TypeAlias = int | Reference | NamedContext | EmptyOrigin | None
"""The index of a stage, an image, a named context, nothing, or ``None`` for the context."""


class NamedContexts:
    """The contexts that a build was given besides its own, by name.

    A name takes the place of an image or a stage that is called so. Names are
    compared as images are: ``node`` is ``docker.io/library/node:latest``.
    """

    def __init__(self, contexts: Mapping[str, Reference | None]) -> None:
        """Take contexts by name; a reference stands for an image, ``None`` for files."""
        self._by_key = {
            _key(name): NamedContext(name) if reference is None else reference
            for name, reference in contexts.items()
        }

    def find(self, name: str) -> Reference | NamedContext | None:
        """Return what ``name`` stands for, or nothing if it is no named context."""
        if not self._by_key or name.lower() in RESERVED:
            return None
        return self._by_key.get(_key(name))


def _key(name: str) -> str:
    try:
        return parse_reference(name).familiar.removesuffix(f":{DEFAULT_TAG}")
    except BadReference:
        # A stage may be called what no image can be.
        return name.lower()
