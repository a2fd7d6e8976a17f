"""Images from one place to another, byte for byte and for all platforms."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from dissolver.errors import RegistryError
from dissolver.image import manifest as manifests
from dissolver.image import media_types
from dissolver.image.manifest import checked_digest
from dissolver.registry.crew import run_together
from dissolver.registry.download import fetch_file
from dissolver.registry.events import TransferDone, TransferStarted
from dissolver.registry.meter import Meter, Teller
from dissolver.registry.resolve import DEEPEST_INDEX, entry_document, manifest_for
from dissolver.registry.uploads import Uploads

if TYPE_CHECKING:
    from pathlib import Path

    from dissolver.image.manifest import Descriptor
    from dissolver.image.platform import Platform
    from dissolver.image.reference import Reference
    from dissolver.registry.client import Document
    from dissolver.registry.ends import Provider, Receiver
    from dissolver.registry.events import OnTransfer
    from dissolver.registry.resolve import Sources
    from dissolver.store import Store


@dataclass(frozen=True, slots=True)
class Copied:
    """An image that is in a second place now: that place, its digest, the bytes sent."""

    target: str
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
    """Copy an image, or an index with all its images, from registry to registry.

    Not a byte of it changes. Within a registry its blobs are mounted; what the target has is
    not sent. With ``platform`` the one image for that is copied. The name appears when all else
    is there.

    Raises:
        NotInRegistry, AccessDenied, RegistryError: what one of the registries says.
        ContentMismatch: something is not what its digest says.
    """
    teller = Teller(on_event)
    provider, document = sources.fetch(source)
    if platform is not None:
        document = manifest_for(provider, document, source.familiar, platform)
    version = target.tag or document.digest
    teller.tell(TransferStarted("copy", version, target.name))
    receiver = Uploads(sources.repository(target))
    neighbour = source.repository if source.registry == target.registry else ""
    with store.workspace() as workspace:
        work = Copy(
            provider, receiver, workspace, teller, name=source.familiar, neighbour=neighbour
        )
        work.document(document, version)
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
    return Copied(target.canonical, document.digest, work.sent_bytes)


class Copy:
    """One image on its way from a provider to a receiver.

    ``name`` is how messages call it. ``neighbour`` is the repository that blobs may be mounted
    from, if the two are of one registry. Blobs pass through files in ``workspace``, and
    are verified there before they are sent.
    """

    def __init__(
        self,
        provider: Provider,
        receiver: Receiver,
        workspace: Path,
        teller: Teller,
        *,
        name: str,
        neighbour: str = "",
    ) -> None:
        self._provider = provider
        self._receiver = receiver
        self._workspace = workspace
        self._teller = teller
        self._name = name
        self._neighbour = neighbour
        self._copied: set[str] = set()
        self.sent_bytes = 0

    def document(self, document: Document, version: str, depth: int = DEEPEST_INDEX) -> None:
        """Copy what a document is made of, then the document itself, which is called ``version``.

        Raises:
            RegistryError: indexes lead to too many others; what either end says.
            ContentMismatch: something is not what its digest says.
        """
        if document.media_type in media_types.INDEXES:
            if depth == 0:
                raise RegistryError(f"`{self._name}` has too many indexes in a row")
            for entry in manifests.decode_index(document.content).manifests:
                # An index may list one thing thousands of times, and another such index too.
                if entry.digest not in self._copied:
                    inner = entry_document(self._provider, entry)
                    self.document(inner, inner.digest, depth - 1)
                    self._copied.add(entry.digest)
        else:
            self._blobs(document)
        self._receiver.put_manifest(document.content, document.media_type, version)

    def _blobs(self, document: Document) -> None:
        manifest = manifests.decode_manifest(document.content)
        jobs = []
        for blob in {one.digest: one for one in (*manifest.layers, manifest.config)}.values():
            if media_types.is_left_out(blob.media_type):
                continue
            checked_digest(blob)
            meter = Meter(self._teller, blob.digest, blob.size)
            meter.state("Preparing")
            jobs.append(partial(self._blob, blob, meter))
        run_together(self._provider.transport, jobs)

    def _blob(self, blob: Descriptor, meter: Meter) -> None:
        if self._receiver.has(blob.digest):
            meter.state("Layer already exists")
            return
        if self._neighbour and self._receiver.mount(blob.digest, self._neighbour):
            meter.state("Mounted", detail=self._neighbour)
            return
        path = self._workspace / blob.digest.removeprefix("sha256:")
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            path.unlink()
            fetch_file(self._provider, blob, file, meter.state)
            meter.state("Pushing", 0)
            self._receiver.send_file(file, blob, partial(meter.state, "Pushing"))
        finally:
            os.close(file)
        self.sent_bytes += blob.size
        meter.state("Pushed")
