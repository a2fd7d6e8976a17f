"""Images as Docker saves and loads them: an OCI layout with a ``manifest.json`` beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from dissolver.export.oci_layout import pack_layout
from dissolver.export.parcels import blob_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dissolver.export.parcels import Parcel
    from dissolver.export.selection import Selected
    from dissolver.image.media_types import Compression
    from dissolver.store import Store
    from dissolver.store.layer_blobs import LayerBlob

MANIFEST_FILE = "manifest.json"


def pack_archive(
    store: Store, chosen: Sequence[Selected], parcel: Parcel, compression: Compression
) -> None:
    """Put images into ``parcel`` so that every version of ``docker load`` takes them.

    Raises:
        StoreError: a part of an image is missing or damaged, or the disk is full.
    """
    blobs = pack_layout(store, chosen, parcel, compression)
    rows = [_row(one, layers) for one, layers in zip(chosen, blobs, strict=True)]
    parcel.document(MANIFEST_FILE, msgspec.json.encode(rows))


def _row(one: Selected, layers: Sequence[LayerBlob]) -> dict[str, Any]:
    tags = [reference.familiar for reference in one.references if reference.tag is not None]
    return {
        "Config": blob_name(one.image.id),
        "RepoTags": tags or None,
        "Layers": [blob_name(layer.digest) for layer in layers],
    }
