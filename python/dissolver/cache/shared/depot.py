"""A depot: where a shared cache lies. A registry, a directory and a bucket look alike from here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from dissolver.registry.layer_push import descriptor_of
from dissolver.store.outgoing import opened_layer

if TYPE_CHECKING:
    from pathlib import Path

    from dissolver.cache.shared.options import Place
    from dissolver.image.manifest import Descriptor, Manifest
    from dissolver.image.media_types import Compression
    from dissolver.image.platform import Platform
    from dissolver.registry.resolve import Sources
    from dissolver.store import Store

OnBytes = Callable[[int], None]
"""Told how many bytes of a layer have arrived, or were sent."""

Open = Callable[[], "Sources"]
"""Opens the way to registries, when one has to be asked."""


class Depot(Protocol):
    """What a shared cache is read from and written to; for several threads.

    ``name`` is what messages call it, and what records keep that came from it: equal names
    mean the same place. Every method may raise any kind of ``DissolverError``.
    """

    @property
    def name(self) -> str:
        """How it is called."""

    @property
    def kind(self) -> str:
        """What an export says that it goes to."""

    def manifest(self, platform: Platform) -> Manifest:
        """Read the manifest of the cache, or of the image for ``platform`` that holds one."""

    def document(self, blob: Descriptor) -> bytes:
        """Read a small blob, verified."""

    def has(self, blob: Descriptor) -> bool:
        """Tell whether a blob is there."""

    def fetch(self, store: Store, layer: Descriptor, diff_id: str, on_bytes: OnBytes) -> None:
        """Have a layer in the store, verified by both its digests while it arrives."""

    def send_layer(self, work: Sending, diff_id: str, on_bytes: OnBytes) -> Descriptor:
        """Have a layer of the store in the depot; say as which blob."""

    def take_over(self, work: Sending, blob: Descriptor) -> bool:
        """Tell whether a blob that is not in the store is there, or could be brought there."""

    def send_document(self, content: bytes, blob: Descriptor) -> None:
        """Have a document in the depot."""

    def publish(self, manifest: bytes) -> None:
        """Make ``manifest`` the one that the cache's name means; all it names is there."""

    def close(self) -> None:
        """Let go of connections."""


class Sending:
    """What layers are sent from and how: a store, room for temporary files, a compression."""

    def __init__(
        self,
        store: Store,
        workspace: Path,
        compression: Compression,
        *,
        forces_compression: bool,
    ) -> None:
        self.store = store
        self.workspace = workspace
        self.compression = compression
        self.forces_compression = forces_compression

    def send_once(
        self,
        diff_id: str,
        has: Callable[[Descriptor], bool],
        put: Callable[[int, Descriptor], None],
    ) -> Descriptor:
        """Have ``put`` write a layer, unless the depot ``has`` a blob of it; say as which blob.

        ``put`` gets an open file, to be read from its beginning.
        """
        known = [
            blob
            for blob in self.store.transfers.layer_blobs(diff_id)
            if not self.forces_compression or blob.compression == self.compression
        ]
        for blob in known:
            if has(descriptor_of(blob)):
                return descriptor_of(blob)
        known.sort(key=lambda blob: blob.compression != self.compression)
        with opened_layer(self.store, diff_id, known, self.compression, self.workspace) as layer:
            described = descriptor_of(layer.finished())
            if not has(described):
                put(layer.file, described)
        return described


def open_depot(place: Place, open_sources: Open) -> Depot:
    """Open what ``place`` names; nothing is asked yet.

    Raises:
        BadReference: the name of an image is none.
        BadCacheOption: it is a bucket, and the client for buckets is not installed.
    """
    match place.kind:
        case "local":
            from dissolver.cache.shared.directory_depot import DirectoryDepot

            return DirectoryDepot(place)
        case "s3":
            from dissolver.cache.shared.bucket_depot import BucketDepot

            return BucketDepot(place)
    from dissolver.cache.shared.registry_depot import RegistryDepot

    return RegistryDepot(place, open_sources)
