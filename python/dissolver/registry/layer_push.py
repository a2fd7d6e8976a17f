"""Layers into a repository: not sent if it has them, mounted from its neighbours, or sent.

Other receivers, such as layouts, take them the same way, but for the neighbours.

A layer that came from a registry goes back with the bytes that it came in. The rest is
compressed, which gives the same bytes each time, so that its digest is remembered and
the bytes are not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dissolver.errors import RegistryError
from dissolver.image import media_types
from dissolver.image.manifest import Descriptor
from dissolver.store.outgoing import opened_layer

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

    from dissolver.image.media_types import Compression
    from dissolver.registry.ends import Receiver
    from dissolver.registry.meter import Meter, Teller
    from dissolver.store import Store
    from dissolver.store.layer_blobs import LayerBlob
    from dissolver.store.outgoing import OutgoingLayer

MOST_MOUNTS = 3
"""Repositories that a blob is tried to be mounted from before it is sent."""


class LayersSent:
    """Layers of a store on their way to one receiver; for several threads.

    ``place`` is the repository that it is, named with its registry, or empty.
    ``forces_compression`` sends no layer in another form than ``compression``; ``level`` is
    how hard layers are compressed that are compressed now. Of the layers ``anew`` no form counts
    that is known from before.
    """

    def __init__(
        self,
        store: Store,
        uploads: Receiver,
        place: str,
        compression: Compression,
        workspace: Path,
        teller: Teller,
        *,
        forces_compression: bool = False,
        level: int | None = None,
        anew: Collection[str] = (),
    ) -> None:
        self._store = store
        self._place = place
        self._registry = place.partition("/")[0]
        self._compression = compression
        self._forces = forces_compression
        self._level = level
        self._anew = frozenset(anew)
        self._workspace = workspace
        self._teller = teller
        self.uploads = uploads
        self.sent_bytes = 0

    def layer(self, diff_id: str, wanted: Descriptor | None, meter: Meter) -> LayerBlob:
        """Have a layer in the repository, in the one form that is wanted or in any; tell which.

        Raises:
            Unrepeatable: the form that is wanted cannot be made.
            RegistryError and its kinds: what the registry says.
        """
        with self._store.lock_shared():
            candidates = [
                blob
                for blob in self._store.transfers.layer_blobs(diff_id)
                if wanted is None or blob.digest == wanted.digest
            ]
            if diff_id in self._anew:
                candidates = []
            if self._forces and wanted is None:
                candidates = [one for one in candidates if one.compression == self._compression]
            for blob in self._preferred(candidates):
                if self.uploads.has(blob.digest):
                    meter.state("Layer already exists")
                    return self._done(blob)
            for blob in self._preferred(candidates):
                source = self.mounted(blob.digest)
                if source is not None:
                    meter.state("Mounted", detail=source)
                    return self._done(blob)
            preferred = self._preferred(candidates)
            return self._send(diff_id, preferred, meter, is_fixed=wanted is not None)

    def mounted(self, digest: str) -> str | None:
        """Take a blob over from a repository of the same registry; tell from which."""
        tried = 0
        for place in self._store.transfers.places(digest) if self._place else ():
            registry, _, source = place.partition("/")
            if registry != self._registry or place == self._place or tried == MOST_MOUNTS:
                continue
            tried += 1
            try:
                if self.uploads.mount(digest, source):
                    return source
            except RegistryError:
                # Not being allowed to read over there must not keep from sending.
                continue
            self._store.transfers.forget_place(digest, place)
        return None

    def document(self, content: bytes, blob: Descriptor) -> None:
        """Have a document in the repository.

        Raises:
            RegistryError and its kinds: what the registry says.
        """
        if not self.uploads.has(blob.digest):
            self.uploads.send_document(content, blob)
            self.sent_bytes += blob.size

    def _preferred(self, blobs: Sequence[LayerBlob]) -> list[LayerBlob]:
        """Order the known forms of a layer: what a registry had, then what is wanted now."""
        return sorted(
            blobs,
            key=lambda blob: (
                not self._store.blobs.has(blob.digest),
                blob.compression != self._compression,
            ),
        )

    def _send(
        self, diff_id: str, known: Sequence[LayerBlob], meter: Meter, *, is_fixed: bool
    ) -> LayerBlob:
        with opened_layer(
            self._store,
            diff_id,
            known,
            self._compression,
            self._workspace,
            level=self._level,
            is_fixed=is_fixed,
            check=self.uploads.transport.patience.check,
        ) as layer:
            meter.state("Pushing" if layer.is_whole else "Compressing")

            def on_sent(count: int) -> None:
                if layer.is_whole:
                    meter.total = layer.finished().size
                meter.state("Pushing", count)

            is_sent = self.uploads.send_layer(layer, on_sent)
            blob = layer.finished()
            if is_sent:
                self.sent_bytes += blob.size
            meter.state("Pushed" if is_sent else "Layer already exists")
            return self._done(blob)

    def _done(self, blob: LayerBlob) -> LayerBlob:
        if self._place:
            self._store.transfers.remember_place(blob.digest, self._place)
        return blob


def descriptor_of(blob: LayerBlob) -> Descriptor:
    """Describe a layer's blob as manifests do."""
    return Descriptor(media_types.layer_type(blob.compression), blob.digest, blob.size)


def send_whole(receiver: Receiver, layer: OutgoingLayer, on_sent: Callable[[int], None]) -> bool:
    """Bring a layer once all of it is there, unless the receiver has it; tell whether it had not.

    Raises:
        As ``OutgoingLayer.finished``, and what the receiver reports.
    """
    was_whole = layer.is_whole
    blob = descriptor_of(layer.finished())
    # A layer that was whole from the start was asked for before it was opened.
    if not was_whole and receiver.has(blob.digest):
        return False
    receiver.send_file(layer.file, blob, on_sent)
    return True
