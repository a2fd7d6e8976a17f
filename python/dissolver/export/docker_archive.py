"""Images as Docker saves and loads them: an OCI layout with a ``manifest.json`` beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from dissolver.export.oci_layout import pack_layout
from dissolver.export.parcels import blob_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dissolver.export.oci_layout import Packed
    from dissolver.export.parcels import Parcel
    from dissolver.export.selection import Selected
    from dissolver.store import Store
    from dissolver.store.layer_blobs import LayerBlob, Packing

MANIFEST_FILE = "manifest.json"


def pack_archive(
    store: Store, chosen: Sequence[Selected], parcel: Parcel, packing: Packing
) -> list[Packed]:
    """Put images into ``parcel`` so that every version of ``docker load`` takes them.

    Raises:
        StoreError: a part of an image is missing or damaged, or the disk is full.
    """
    packed = pack_layout(store, chosen, parcel, packing)
    rows = [_row(one, what.layers) for one, what in zip(chosen, packed, strict=True)]
    parcel.document(MANIFEST_FILE, msgspec.json.encode(rows))
    return packed


def _row(one: Selected, layers: Sequence[LayerBlob]) -> dict[str, Any]:
    tags = [reference.familiar for reference in one.references if reference.tag is not None]
    return {
        "Config": blob_name(one.image.id),
        "RepoTags": tags or None,
        "Layers": [blob_name(layer.digest) for layer in layers],
    }
