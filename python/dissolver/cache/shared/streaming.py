"""A layer from a stream of bytes into the store: verified and indexed while it arrives."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from dissolver.errors import BadCache
from dissolver.image.manifest import checked_digest
from dissolver.image.media_types import layer_compression
from dissolver.store.faults import explained
from dissolver.store.layer_blobs import LayerBlob

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dissolver.cache.shared.depot import OnBytes
    from dissolver.image.manifest import Descriptor
    from dissolver.store import Store

CHUNK_BYTES = 1 << 20


def take_layer(
    store: Store, chunks: Iterable[bytes], layer: Descriptor, diff_id: str, on_bytes: OnBytes
) -> None:
    """Store the layer whose blob ``chunks`` yield, once both its digests are right.

    The compressed bytes are not kept: the same layer gives the same ones again.

    Raises:
        BadCache: the bytes are not what the cache's manifest says.
        CoreFailure: they hold no proper layer, or another one.
        DiskFull: there was no room for it.
    """
    from dissolver.registry.download import Unpacking

    digest = checked_digest(layer)
    compression = layer_compression(layer.media_type)
    state = hashlib.sha256()
    done = 0
    with store.lock_shared(), Unpacking(store, diff_id) as unpacking:
        for chunk in chunks:
            done += len(chunk)
            if done > layer.size:
                raise BadCache(f"the blob `{digest}` is longer than the cache says")
            state.update(chunk)
            unpacking.feed(chunk)
            on_bytes(done)
        if done != layer.size or f"sha256:{state.hexdigest()}" != digest:
            raise BadCache(f"the blob `{digest}` is damaged")
        unpacking.finish()
        store.transfers.remember_layer(LayerBlob(diff_id, compression, digest, layer.size))


def is_verified(store: Store, diff_id: str, blob: str) -> bool:
    """Tell whether a layer is in the store, and is known to be the one that ``blob`` holds.

    A record that names a layer of this machine's is no proof that its cache has that layer:
    what is private here must not get into an image because somebody knows its digest.
    """
    return store.transfers.layer_of(blob) == diff_id and is_stored(store, diff_id)


def is_stored(store: Store, diff_id: str) -> bool:
    """Tell whether a layer is in the store."""
    with explained("look up the layer"):
        return store.layers.info(diff_id) is not None
