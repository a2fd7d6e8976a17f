"""A shared cache in a registry, beside images and addressed like one."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from dissolver.errors import NotInRegistry, RegistryError
from dissolver.image import manifest as manifests
from dissolver.image import media_types
from dissolver.image.digest import digest_of
from dissolver.image.manifest import checked_digest
from dissolver.image.reference import parse_reference
from dissolver.registry.layer_push import LayersSent, descriptor_of
from dissolver.registry.meter import Meter, Teller

if TYPE_CHECKING:
    from dissolver.cache.shared.depot import OnBytes, Open, Sending
    from dissolver.cache.shared.options import Place
    from dissolver.image.manifest import Descriptor, Manifest
    from dissolver.image.platform import Platform
    from dissolver.registry.client import Repository
    from dissolver.registry.events import LayerState, TransferEvent
    from dissolver.registry.uploads import Uploads
    from dissolver.store import Store


class RegistryDepot:
    """The cache that an image's name means in its registry.

    An image that holds records of its own steps is one as well.
    """

    kind = "registry"

    def __init__(self, place: Place, open_sources: Open) -> None:
        self.reference = parse_reference(place.ref)
        self._open = open_sources
        self._read: Repository | None = None
        self._uploads: Uploads | None = None
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """The whole name of the image."""
        return self.reference.canonical

    def manifest(self, platform: Platform) -> Manifest:
        """Read the manifest of the cache, or of the image for ``platform`` that holds one."""
        sources = self._open()
        repository, document = sources.fetch(self.reference)
        self._read = repository
        if document.media_type in media_types.INDEXES:
            resolved = sources.resolve_from(
                self.reference, repository, document, platform, is_strict=False
            )
            return resolved.manifest
        return manifests.decode_manifest(document.content)

    def document(self, blob: Descriptor) -> bytes:
        """Read a small blob, verified."""
        return self._repository().document_blob(checked_digest(blob), blob.size)

    def has(self, blob: Descriptor) -> bool:
        """Tell whether a blob is there."""
        return self._repository().has_blob(checked_digest(blob))

    def fetch(self, store: Store, layer: Descriptor, diff_id: str, on_bytes: OnBytes) -> None:
        """Have a layer in the store, verified by both its digests while it arrives."""
        from dissolver.registry.download import fetch_layer

        def hear(_: LayerState, done: int) -> None:
            on_bytes(done)

        with store.lock_shared():
            repository = self._repository()
            # The same layer gives the same bytes again, should anybody ask for them.
            if fetch_layer(
                store, repository, layer, diff_id, hear, keeps_blob=False, is_proven=True
            ):
                store.transfers.remember_place(layer.digest, self.reference.name)

    def send_layer(self, work: Sending, diff_id: str, on_bytes: OnBytes) -> Descriptor:
        """Have a layer of the store in the depot; say as which blob."""

        def hear(event: TransferEvent) -> None:
            on_bytes(getattr(event, "current", 0))

        teller = Teller(hear)
        pushing = LayersSent(
            work.store,
            self._writer(),
            self.reference.name,
            work.compression,
            work.workspace,
            teller,
            forces_compression=work.forces_compression,
        )
        return descriptor_of(pushing.layer(diff_id, None, Meter(teller, diff_id, 0)))

    def take_over(self, work: Sending, blob: Descriptor) -> bool:
        """Try to have a blob that is not in the store, from this registry itself."""
        writer, place = self._writer(), self.reference.name
        pushing = LayersSent(work.store, writer, place, "gzip", work.workspace, Teller(None))
        return pushing.uploads.has(blob.digest) or pushing.mounted(blob.digest) is not None

    def send_document(self, content: bytes, blob: Descriptor) -> None:
        """Have a document in the depot."""
        uploads = self._writer()
        if not uploads.has(blob.digest):
            uploads.send_document(content, blob)

    def publish(self, manifest: bytes) -> None:
        """Make ``manifest`` the one that the cache's name means; all it names is there."""
        version = self.reference.tag or digest_of(manifest)
        told = self._writer().put_manifest(manifest, media_types.OCI_MANIFEST, version)
        if told.startswith("sha256:") and told != digest_of(manifest):
            raise RegistryError(f"`{self.name}` stored another manifest than it was sent: {told}")

    def close(self) -> None:
        """Connections belong to whoever opened the way to registries."""

    def _repository(self) -> Repository:
        if self._read is None:
            raise NotInRegistry(f"`{self.name}` was not found")
        return self._read

    def _writer(self) -> Uploads:
        from dissolver.registry.uploads import Uploads

        with self._lock:
            if self._uploads is None:
                self._uploads = Uploads(self._open().repository(self.reference))
            return self._uploads
