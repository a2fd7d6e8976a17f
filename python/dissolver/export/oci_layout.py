"""Images as an OCI image layout (OCI image specification, ``image-layout.md``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dissolver.image import manifest as manifests
from dissolver.image import media_types
from dissolver.image.manifest import Descriptor, Index, Manifest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dissolver.export.parcels import Parcel
    from dissolver.export.selection import Selected
    from dissolver.image.media_types import Compression
    from dissolver.image.reference import Reference
    from dissolver.store import Store
    from dissolver.store.layer_blobs import LayerBlob

VERSION_FILE = "oci-layout"
VERSION = b'{"imageLayoutVersion":"1.0.0"}'
INDEX_FILE = "index.json"


def pack_layout(
    store: Store, chosen: Sequence[Selected], parcel: Parcel, compression: Compression
) -> list[tuple[LayerBlob, ...]]:
    """Put images into ``parcel`` as an OCI layout; return each one's layers as blobs.

    The index names an image once for each of its references: with its tag where the layout
    has tags, and in full where containerd and Docker look. The caller holds the store lock.

    Raises:
        StoreError: a part of an image is missing or damaged, or the disk is full.
    """
    parcel.document(VERSION_FILE, VERSION)
    entries: list[Descriptor] = []
    packed: dict[str, LayerBlob] = {}
    blobs: list[tuple[LayerBlob, ...]] = []
    for one in chosen:
        document = store.blobs.get(one.image.id)
        for diff_id in one.image.config.diff_ids:
            if diff_id not in packed:
                packed[diff_id] = parcel.layer(store.layers, diff_id, compression)
        layers = tuple(packed[diff_id] for diff_id in one.image.config.diff_ids)
        blobs.append(layers)
        parcel.blob(document)
        content = manifests.encode(_manifest(document, layers))
        parcel.blob(content)
        plain = manifests.describe(
            media_types.OCI_MANIFEST,
            content,
            platform=manifests.platform_fields(one.image.config.platform),
        )
        entries += _named(plain, one.references)
    index = Index(manifests=tuple(entries))
    parcel.document(INDEX_FILE, manifests.encode(index))
    return blobs


def _manifest(document: bytes, layers: Sequence[LayerBlob]) -> Manifest:
    return Manifest(
        config=manifests.describe(media_types.OCI_CONFIG, document),
        layers=tuple(
            Descriptor(media_types.layer_type(layer.compression), layer.digest, layer.size)
            for layer in layers
        ),
    )


def _named(plain: Descriptor, references: Sequence[Reference]) -> Iterator[Descriptor]:
    from msgspec.structs import replace

    if not references:
        yield plain
    for reference in references:
        annotations = {media_types.CONTAINERD_NAME: reference.canonical}
        if reference.tag is not None:
            annotations[media_types.REFERENCE_NAME] = reference.tag
        yield replace(plain, annotations=annotations)
