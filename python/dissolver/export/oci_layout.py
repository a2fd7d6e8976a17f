"""Images as an OCI image layout (OCI image specification, ``image-layout.md``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec import UNSET

from dissolver.errors import BadManifest
from dissolver.image import manifest as manifests
from dissolver.image import media_types
from dissolver.image.annotations import NOTHING
from dissolver.image.manifest import Descriptor, Index, Manifest
from dissolver.store.layer_blobs import LayerBlob, kept_blob

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dissolver.export.parcels import Parcel
    from dissolver.export.selection import Selected
    from dissolver.image.annotations import Annotations
    from dissolver.image.reference import Reference
    from dissolver.store import Store
    from dissolver.store.layer_blobs import Packing

VERSION_FILE = "oci-layout"
VERSION = b'{"imageLayoutVersion":"1.0.0"}'
INDEX_FILE = "index.json"


@dataclass(frozen=True, slots=True)
class Packed:
    """An image in a layout: the descriptor of its manifest, and its layers as blobs."""

    manifest: Descriptor
    layers: tuple[LayerBlob, ...]


def pack_layout(
    store: Store, chosen: Sequence[Selected], parcel: Parcel, packing: Packing
) -> list[Packed]:
    """Put images into ``parcel`` as an OCI layout; tell what each one became.

    An image that came whole, with bytes that are kept and may go out so, gets the manifest that
    it came with. The index names an image once for each of its references: with its tag where
    the layout has tags, and in full where containerd and Docker look. The caller holds the
    store lock.

    Raises:
        StoreError: a part of an image is missing or damaged, or the disk is full.
    """
    parcel.document(VERSION_FILE, VERSION)
    entries: list[Descriptor] = []
    layers = _Layers(store, parcel, packing)
    packed: list[Packed] = []
    for one in chosen:
        if one.document is None:
            document = store.blobs.get(one.image.id)
            said = store.images.annotations(one.image.id)
            original = original_manifest(store, one, packing)
        else:
            # What was just built is the same whatever this store knows of such an image.
            document, said, original = one.document, one.annotations or NOTHING, None
        if original is None:
            blobs = tuple(
                layers.any(diff_id, is_new=diff_id in one.anew)
                for diff_id in one.image.config.diff_ids
            )
            media_type = media_types.OCI_MANIFEST
            content = manifests.encode(_manifest(document, blobs, said))
        else:
            media_type, content, blobs = original
            for blob in blobs:
                layers.exactly(blob)
        parcel.blob(document)
        parcel.blob(content)
        plain = manifests.describe(
            media_type,
            content,
            platform=manifests.platform_fields(one.image.config.platform),
            annotations=said.descriptor,
        )
        packed.append(Packed(plain, blobs))
        entries += _named(plain, one.references)
    index = Index(manifests=tuple(entries))
    parcel.document(INDEX_FILE, manifests.encode(index))
    return packed


def original_manifest(
    store: Store, one: Selected, packing: Packing
) -> tuple[str, bytes, tuple[LayerBlob, ...]] | None:
    """Find a manifest that an image came with and whose blobs are all kept: its type, itself,
    and its layers.
    """
    for digest, media_type in store.transfers.manifests(one.image.id):
        if not store.blobs.has(digest):
            continue
        content = store.blobs.get(digest)
        try:
            layers = manifests.decode_manifest(content).layers
        except BadManifest:
            continue
        if len(layers) != len(one.image.config.diff_ids):
            continue
        known = [
            _known(store, diff_id, layer.digest, packing)
            for diff_id, layer in zip(one.image.config.diff_ids, layers, strict=True)
        ]
        blobs = tuple(blob for blob in known if blob is not None)
        if len(blobs) == len(layers):
            return media_type, content, blobs
    return None


def _known(store: Store, diff_id: str, digest: str, packing: Packing) -> LayerBlob | None:
    """Find a layer in the one form that a manifest names."""
    for blob in store.transfers.layer_blobs(diff_id):
        if blob.digest == digest and blob.compression in packing.kept and store.blobs.has(digest):
            return blob
    return None


class _Layers:
    """The layers of a parcel, each blob put in once."""

    def __init__(self, store: Store, parcel: Parcel, packing: Packing) -> None:
        self._store = store
        self._parcel = parcel
        self._packing = packing
        self._chosen: dict[str, LayerBlob] = {}
        self._digests: set[str] = set()

    def any(self, diff_id: str, *, is_new: bool) -> LayerBlob:
        """Have a layer in the parcel, as the bytes that it came in or compressed now."""
        if diff_id not in self._chosen:
            blob = None if is_new else kept_blob(self._store, diff_id, self._packing)
            if blob is not None:
                self.exactly(blob)
            else:
                blob = self._parcel.layer(self._store.layers, diff_id, self._packing)
                self._digests.add(blob.digest)
            self._chosen[diff_id] = blob
        return self._chosen[diff_id]

    def exactly(self, blob: LayerBlob) -> None:
        """Have the kept bytes of a layer in the parcel."""
        if blob.digest not in self._digests:
            self._digests.add(blob.digest)
            self._parcel.kept(self._store.blobs.path(blob.digest), blob)


def _manifest(document: bytes, layers: Sequence[LayerBlob], said: Annotations) -> Manifest:
    return Manifest(
        config=manifests.describe(media_types.OCI_CONFIG, document),
        layers=tuple(
            Descriptor(media_types.layer_type(layer.compression), layer.digest, layer.size)
            for layer in layers
        ),
        annotations=said.manifest or UNSET,
    )


def _named(plain: Descriptor, references: Sequence[Reference]) -> Iterator[Descriptor]:
    from msgspec.structs import replace

    # Packed in another way, it has another manifest than the one that it was pinned by.
    true = [one for one in references if one.digest in (None, plain.digest)]
    if not true:
        yield plain
    for reference in true:
        annotations = {**plain.annotations, media_types.CONTAINERD_NAME: reference.canonical}
        if reference.tag is not None:
            annotations[media_types.REFERENCE_NAME] = reference.tag
        yield replace(plain, annotations=annotations)
