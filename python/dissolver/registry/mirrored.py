"""A mirror's repository, with the registry itself behind it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

from dissolver.errors import NotInRegistry, RegistryError
from dissolver.registry.client import Repository

if TYPE_CHECKING:
    from dissolver.image.digest import Digest
    from dissolver.registry.client import Document, Registry
    from dissolver.registry.transport import Answer

Had = TypeVar("Had")


class MirroredRepository(Repository):
    """What a mirror has under a name; what it fails to give comes from the next address.

    A mirror may have a manifest and none of the blobs, having been cleaned up or not being
    filled yet. Once it failed it is not asked again. For several threads.
    """

    def __init__(self, registry: Registry, name: str, places: Iterator[Registry]) -> None:
        super().__init__(registry, name)
        self._places = places
        self._lock = threading.Lock()
        self._behind: Repository | None = None

    def manifest(self, version: str) -> Document:
        """Fetch the manifest or index with a tag or a digest, verified."""
        return self._had(lambda one: one.manifest(version))

    def blob(self, digest: str, *, offset: int = 0, size: int = 0) -> Answer:
        """Begin to fetch a blob of ``size`` bytes, from ``offset`` on."""
        return self._had(lambda one: one.blob(digest, offset=offset, size=size))

    def has_blob(self, digest: str) -> bool:
        """Ask whether a blob is there, or behind it."""

        def found(one: Repository) -> bool:
            if not one.has_blob(digest):
                raise NotInRegistry(f"`{one.label}` does not have the content `{digest}`")
            return True

        try:
            return self._had(found)
        except NotInRegistry:
            return False

    def document_blob(self, digest: Digest, size: int) -> bytes:
        """Fetch a small blob whole, verified."""
        return self._had(lambda one: one.document_blob(digest, size))

    def _had(self, read: Callable[[Repository], Had]) -> Had:
        if self._behind is None:
            try:
                return read(Repository(self.registry, self.name))
            except RegistryError as error:
                self._pass_over(error)
        assert self._behind is not None  # noqa: S101 - passed over, or raised
        return read(self._behind)

    def _pass_over(self, error: RegistryError) -> None:
        """Go to the next address; the mirror's own failure counts if there is none."""
        with self._lock:
            if self._behind is not None:
                return
            registry = next(self._places, None)
            if registry is None:
                raise error
            if registry.endpoint.is_mirror:
                self._behind = MirroredRepository(registry, self.name, self._places)
            else:
                self._behind = registry.repository(self.name)
