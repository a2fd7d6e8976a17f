"""``push``: an image of the store into a registry.

What the registry has is not sent; what another of its repositories has is mounted.
A layer that came from a registry goes back with the bytes that it came in. The rest is
compressed, which gives the same bytes each time, so that its digest is remembered and
the bytes are not.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from msgspec import UNSET

from dissolver.errors import BadManifest, ImageNotFound, RegistryError
from dissolver.image import manifest as manifests
from dissolver.image import media_types
from dissolver.image.digest import digest_of
from dissolver.image.manifest import Descriptor, Manifest, describe
from dissolver.registry.crew import run_together
from dissolver.registry.events import TransferDone, TransferStarted
from dissolver.registry.layer_push import LayersSent, descriptor_of
from dissolver.registry.meter import Meter, Teller
from dissolver.registry.uploads import Uploads
from dissolver.store.layer_blobs import Packing
from dissolver.store.outgoing import Unrepeatable

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from dissolver.image.annotations import Annotations
    from dissolver.image.config import Image
    from dissolver.image.media_types import Compression
    from dissolver.image.reference import Reference
    from dissolver.registry.events import OnTransfer
    from dissolver.registry.resolve import Sources
    from dissolver.store import Store
    from dissolver.store.layer_blobs import LayerBlob


@dataclass(frozen=True, slots=True)
class Pushed:
    """An image that is in a registry now: under which name and digest, and what it cost.

    ``sent_bytes`` counts the bytes of blobs that had to be sent.
    """

    image: Image
    reference: Reference
    digest: str
    size: int
    sent_bytes: int


def push(
    store: Store,
    sources: Sources,
    reference: Reference,
    *,
    compression: Compression = "gzip",
    packing: Packing | None = None,
    image: Image | None = None,
    anew: Collection[str] = (),
    on_event: OnTransfer | None = None,
) -> Pushed:
    """Store the local image ``reference``, or ``image``, in the registry that it names.

    An image that was pulled whole goes back with the manifest that it came with, so that its
    digest stays the same. Others get an OCI manifest, with layers as ``packing`` says where
    ``compression`` is not all there is to say. The layers ``anew`` are compressed now, whatever
    is known of them: what is sent then depends on nothing that happened before. The manifest
    is sent last: until then nobody sees anything of the push.

    Raises:
        ImageNotFound: there is no local image of that name.
        AccessDenied: the registry allows no push.
        RegistryError and its kinds: what else the registry says.
        Cancelled: somebody asked to end.
    """
    teller = Teller(on_event)
    image = local_image(store, reference) if image is None else image
    packing = Packing(compression) if packing is None else packing
    version = reference.tag or reference.digest or ""
    teller.tell(TransferStarted("push", version, reference.name))
    uploads = Uploads(sources.repository(reference))
    with store.lock_shared(), store.workspace() as workspace:
        layers = LayersSent(
            store,
            uploads,
            reference.name,
            packing.compression,
            workspace,
            teller,
            forces_compression=packing.is_forced,
            level=packing.level,
            anew=anew,
        )
        keeps_manifest = not (packing.is_forced or anew)
        sent = send_image(
            store, layers, image, reference.tag or "", teller, keeps_manifest=keeps_manifest
        )
        digest = digest_of(sent.document)
        store.blobs.put(sent.document)
        store.transfers.remember_manifest(image.id, digest, sent.media_type)
        store.images.tag(image.id, reference.with_digest(digest))
    size = len(sent.document)
    is_new = layers.sent_bytes > 0
    teller.tell(
        TransferDone("push", version, reference.canonical, reference.familiar, digest, size, is_new)
    )
    return Pushed(image, reference, digest, size, layers.sent_bytes)


@dataclass(frozen=True, slots=True)
class Sent:
    """What an image was sent as: its manifest, and the type of that."""

    document: bytes
    media_type: str


def send_image(
    store: Store,
    layers: LayersSent,
    image: Image,
    version: str,
    teller: Teller,
    *,
    keeps_manifest: bool = True,
) -> Sent:
    """Bring an image to where ``layers`` go, its manifest last: as ``version``, or by its digest.

    An image that was pulled whole goes with the manifest that it came with, unless
    ``keeps_manifest`` is not set. The caller holds the store lock.

    Raises:
        As ``push``.
    """
    work = _Push(store, layers, version, teller)
    try:
        return Sent(*work.run(image, work.original(image) if keeps_manifest else None))
    except Unrepeatable:
        return Sent(*work.run(image, None))


def push_all(
    store: Store,
    sources: Sources,
    reference: Reference,
    *,
    compression: Compression = "gzip",
    on_event: OnTransfer | None = None,
) -> list[Pushed]:
    """Push every local tag of a repository, one after the other.

    Raises:
        ImageNotFound: there is none.
    """
    tags = sorted(
        one.tag
        for listed in store.images.list()
        for one in listed.references
        if one.name == reference.name and one.tag is not None
    )
    if not tags:
        raise ImageNotFound(f"there is no local image `{reference.name_familiar}`")
    return [
        push(store, sources, reference.with_tag(tag), compression=compression, on_event=on_event)
        for tag in tags
    ]


def local_image(store: Store, reference: Reference) -> Image:
    """Find the local image that has a name.

    Raises:
        ImageNotFound: none has.
    """
    for listed in store.images.list():
        for known in listed.references:
            if known.canonical == reference.canonical:
                return listed.image
    raise ImageNotFound(
        f"there is no local image `{reference.familiar}`",
        hint=f"name one with `dissolver tag IMAGE {reference.familiar}`",
    )


class _Push:
    """One image on its way."""

    def __init__(self, store: Store, layers: LayersSent, version: str, teller: Teller) -> None:
        self._store = store
        self._version = version
        self._teller = teller
        self._layers = layers

    def run(self, image: Image, original: tuple[bytes, str, Manifest] | None) -> tuple[bytes, str]:
        """Send what is missing, then the manifest; answer that, and its type.

        Raises:
            Unrepeatable: a layer of the ``original`` manifest cannot be sent.
        """
        diff_ids = image.config.diff_ids
        known = original[2].layers if original is not None else (None,) * len(diff_ids)
        sent: dict[str, LayerBlob] = {}
        jobs = []
        for diff_id, layer in dict(zip(diff_ids, known, strict=True)).items():
            meter = Meter(self._teller, diff_id, 0)
            meter.state("Preparing")
            jobs.append(partial(self._layer, diff_id, layer, meter, sent))
        run_together(self._layers.uploads.transport, jobs)
        config = self._store.blobs.get(image.id)
        if original is not None:
            content, media_type, manifest = original
            self._layers.document(config, manifest.config)
        else:
            said = self._store.images.annotations(image.id)
            manifest = _manifest(config, [sent[diff_id] for diff_id in diff_ids], said)
            self._layers.document(config, manifest.config)
            content, media_type = manifests.encode(manifest), media_types.OCI_MANIFEST
        version = self._version or digest_of(content)
        told = self._layers.uploads.put_manifest(content, media_type, version)
        if told.startswith("sha256:") and told != digest_of(content):
            raise RegistryError(
                f"`{self._layers.uploads.label}` stored another manifest than it was sent: {told}"
            )
        return content, media_type

    def original(self, image: Image) -> tuple[bytes, str, Manifest] | None:
        """Find a manifest that the image came with and whose blobs can all be sent."""
        for digest, media_type in self._store.transfers.manifests(image.id):
            if not self._store.blobs.has(digest):
                continue
            content = self._store.blobs.get(digest)
            try:
                manifest = manifests.decode_manifest(content)
            except BadManifest:
                continue
            if all(self._can_send(layer) for layer in manifest.layers):
                return content, media_type, manifest
        return None

    def _can_send(self, layer: Descriptor) -> bool:
        return self._store.transfers.layer_of(layer.digest) is not None

    def _layer(
        self,
        diff_id: str,
        wanted: Descriptor | None,
        meter: Meter,
        sent: dict[str, LayerBlob],
    ) -> None:
        sent[diff_id] = self._layers.layer(diff_id, wanted, meter)


def _manifest(config: bytes, layers: Sequence[LayerBlob], said: Annotations) -> Manifest:
    return Manifest(
        config=describe(media_types.OCI_CONFIG, config),
        layers=tuple(descriptor_of(layer) for layer in layers),
        annotations=said.manifest or UNSET,
    )
