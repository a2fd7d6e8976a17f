"""Images from one registry to another, byte for byte and for all platforms."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from dissolver.errors import NotInRegistry, RegistryError
from dissolver.image import manifest as manifests
from dissolver.image import media_types
from dissolver.image.choice import choose
from dissolver.image.manifest import checked_digest
from dissolver.registry.crew import run_together
from dissolver.registry.download import fetch_file
from dissolver.registry.events import TransferDone, TransferStarted
from dissolver.registry.meter import Meter, Teller
from dissolver.registry.resolve import DEEPEST_INDEX
from dissolver.registry.uploads import Uploads

if TYPE_CHECKING:
    from pathlib import Path

    from dissolver.image.manifest import Descriptor
    from dissolver.image.platform import Platform
    from dissolver.image.reference import Reference
    from dissolver.registry.client import Document, Repository
    from dissolver.registry.events import OnTransfer
    from dissolver.registry.resolve import Sources
    from dissolver.store import Store


@dataclass(frozen=True, slots=True)
class Copied:
    """An image that is in a second place now: its name there, its digest, the bytes sent."""

    reference: Reference
    digest: str
    sent_bytes: int


def copy_image(
    store: Store,
    sources: Sources,
    source: Reference,
    target: Reference,
    *,
    platform: Platform | None = None,
    on_event: OnTransfer | None = None,
) -> Copied:
    """Copy an image, or an index with all its images, without changing a byte of it.

    Within a registry its blobs are mounted; what the target has is not sent. With ``platform``
    the one image for that is copied. The name appears when all else is there.

    Raises:
        NotInRegistry, AccessDenied, RegistryError: what one of the registries says.
        ContentMismatch: something is not what its digest says.
    """
    teller = Teller(on_event)
    repository, document = sources.fetch(source)
    if platform is not None and document.media_type in media_types.INDEXES:
        entries = manifests.decode_index(document.content).manifests
        chosen = choose(entries, platform)
        if chosen is None:
            raise NotInRegistry(f"`{source.familiar}` has no image for `{platform}`")
        document = repository.manifest(checked_digest(chosen))
    version = target.tag or document.digest
    teller.tell(TransferStarted("copy", version, target.name))
    with store.workspace() as workspace:
        work = _Copy(store, sources, (source, repository), target, workspace, teller)
        work.document(document, version, DEEPEST_INDEX)
    size = len(document.content)
    teller.tell(
        TransferDone(
            "copy",
            version,
            target.canonical,
            target.familiar,
            document.digest,
            size,
            work.sent_bytes > 0,
        )
    )
    return Copied(target, document.digest, work.sent_bytes)


class _Copy:
    """One image on its way from repository to repository."""

    def __init__(
        self,
        store: Store,
        sources: Sources,
        source: tuple[Reference, Repository],
        target: Reference,
        workspace: Path,
        teller: Teller,
    ) -> None:
        self._store = store
        self._reference, self._repository = source
        self._target = target
        self._workspace = workspace
        self._teller = teller
        self._transport = sources.transport
        settings = sources.transport.settings.host(target.registry)
        self._uploads = Uploads(sources.repository(target), chunk_bytes=settings.upload_chunk_bytes)
        self.sent_bytes = 0

    def document(self, document: Document, version: str, depth: int) -> None:
        """Copy what a document is made of, then the document itself."""
        if document.media_type in media_types.INDEXES:
            if depth == 0:
                raise RegistryError(f"`{self._reference.familiar}` has too many indexes in a row")
            for entry in manifests.decode_index(document.content).manifests:
                inner = self._repository.manifest(checked_digest(entry))
                self.document(inner, inner.digest, depth - 1)
        else:
            self._blobs(document)
        self._uploads.put_manifest(document.content, document.media_type, version)

    def _blobs(self, document: Document) -> None:
        manifest = manifests.decode_manifest(document.content)
        jobs = []
        for blob in {one.digest: one for one in (*manifest.layers, manifest.config)}.values():
            if "nondistributable" in blob.media_type or ".foreign." in blob.media_type:
                continue  # Registries do not keep these.
            checked_digest(blob)
            meter = Meter(self._teller, blob.digest, blob.size)
            meter.state("Preparing")
            jobs.append(partial(self._blob, blob, meter))
        run_together(self._transport, jobs)

    def _blob(self, blob: Descriptor, meter: Meter) -> None:
        if self._uploads.has(blob.digest):
            meter.state("Layer already exists")
            return
        source = self._reference.repository
        is_near = self._reference.registry == self._target.registry
        if is_near and self._uploads.mount(blob.digest, source):
            meter.state("Mounted", detail=source)
            return
        path = self._workspace / blob.digest.removeprefix("sha256:")
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            path.unlink()
            fetch_file(self._repository, blob, file, meter.state)
            meter.state("Pushing", 0)
            self._uploads.send_file(file, blob, partial(meter.state, "Pushing"))
        finally:
            os.close(file)
        self.sent_bytes += blob.size
        meter.state("Pushed")
