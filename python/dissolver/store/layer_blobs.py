"""Layers as blobs: the bytes that archives and registries carry."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dissolver.store.faults import explained

if TYPE_CHECKING:
    from collections.abc import Callable

    from dissolver._core.layer import Layers
    from dissolver.image.media_types import Compression
    from dissolver.store import Store


@dataclass(frozen=True, slots=True)
class LayerBlob:
    """A layer's tar, compressed or not: how it is called, and how many bytes it has."""

    diff_id: str
    compression: Compression
    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class Packing:
    """How layers leave the store.

    A layer whose bytes are kept as they came goes out with these where their compression is
    one of ``kept``, so that its digest stays what others know. The rest is compressed, with
    the format's own ``level`` or its default.
    """

    compression: Compression
    level: int | None = None
    kept: tuple[Compression, ...] = ("none", "gzip", "zstd")

    @property
    def is_forced(self) -> bool:
        """Whether no layer goes out in another compression."""
        return self.kept == (self.compression,)

    def forced(self) -> Packing:
        """Return what lets no layer go out in another compression."""
        return replace(self, kept=(self.compression,))


def write_layer_blob(
    layers: Layers,
    diff_id: str,
    descriptor: int,
    compression: Compression,
    *,
    level: int | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> LayerBlob:
    """Write a layer to an open file, verified on the way, and describe what was written.

    The same layer, compression, level and version of dissolver give the same bytes.

    Raises:
        CoreFailure: the layer is not stored, or damaged, or ``should_stop`` answered yes; what
            was written is of no use then.
        DiskFull: there is no room for it.
    """
    from dissolver._core.compress import compress_layer

    with explained(f"write the layer `{diff_id}`"):
        made = compress_layer(
            layers,
            diff_id,
            descriptor,
            compression=compression,
            level=level,
            should_stop=should_stop,
        )
    return LayerBlob(diff_id, compression, made.digest, made.size)


def uncompressed_blob(layers: Layers, diff_id: str) -> LayerBlob:
    """Describe the blob that a layer is without compression; nothing is read.

    Raises:
        StoreError: the layer is not stored.
    """
    from dissolver.errors import StoreError

    with explained(f"look up the layer `{diff_id}`"):
        info = layers.info(diff_id)
    if info is None:
        raise StoreError(f"the store has no layer `{diff_id}`", hint="run `dissolver system check`")
    return LayerBlob(diff_id, "none", diff_id, info.tar_bytes)


def kept_blob(store: Store, diff_id: str, packing: Packing) -> LayerBlob | None:
    """Find the bytes that a layer came in, if they are kept and may go out so.

    Of several, those of the wanted compression are taken, then those of the least digest.
    """
    known = [
        blob
        for blob in store.transfers.layer_blobs(diff_id)
        if blob.compression in packing.kept and store.blobs.has(blob.digest)
    ]
    return min(
        known,
        key=lambda blob: (blob.compression != packing.compression, blob.digest),
        default=None,
    )
