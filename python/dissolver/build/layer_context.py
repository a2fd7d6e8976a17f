"""Contexts that are no directory of this machine: archives, and what was fetched.

They are layers of the store. No ignore file applies to them: whoever packed them has
decided what is in them.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeAlias

from dissolver._core import CoreError
from dissolver.build.context import BuildContext
from dissolver.errors import BuildError

if TYPE_CHECKING:
    from dissolver._core.layer import View
    from dissolver.build.events import OpenVertex
    from dissolver.build.origins import Origin
    from dissolver.plan.checks.subject import Listing
    from dissolver.store import Store


class LayerContext:
    """A context in a layer; ``None`` is an empty one. ``identity`` names it from build to build.

    Files keep their owners where ``keeps_owner``.
    """

    may_change = False

    def __init__(
        self, store: Store, layer: str | None, identity: str, title: str, *, keeps_owner: bool
    ) -> None:
        from dissolver.build.origins import layers_origin

        layers = () if layer is None else (layer,)
        self.identity = identity
        self._origin = layers_origin(store, layers, title)
        self._keeps_owner = keeps_owner
        self._view: View = store.layers.view(layers)

    @property
    def view(self) -> View:
        """The files."""
        return self._view

    def origin(self) -> Origin:
        """Take files from it."""
        from dataclasses import replace

        return replace(self._origin, keeps_owner=self._keeps_owner)

    def begin(self) -> None:
        """Do nothing: what is in a layer is listed already."""

    def load(self, vertex: OpenVertex) -> None:
        """Tell that it is there already."""
        with vertex:
            pass

    def listing(self) -> Listing:
        """Look at the names at its top, for checks."""
        from dissolver.plan.checks.subject import Listing

        names = []
        for name in self._view.list("/"):
            found = self._view.stat(b"/" + name, follow=False)
            is_directory = found is not None and found.kind == "directory"
            names.append(os.fsdecode(name) + ("/" if is_directory else ""))
        return Listing((), tuple(sorted(names)), ".dockerignore")

    def read(self, path: str, *, limit: int) -> bytes | None:
        """Read a file of it; nothing if there is none.

        Raises:
            BuildError: it is no file, or longer than ``limit``.
        """
        try:
            return self._view.read(path, limit=limit)
        except CoreError as error:
            if error.kind == "not-found":
                return None
            raise BuildError(f"cannot read `{path.lstrip('/')}`: {error.message}") from error


Context: TypeAlias = BuildContext | LayerContext
"""What a build copies from."""
