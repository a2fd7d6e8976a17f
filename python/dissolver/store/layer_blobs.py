"""Layers as blobs: the bytes that archives and registries carry."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dissolver.store.faults import explained

if TYPE_CHECKING:
    from pathlib import Path

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


def write_layer_blob(
    layers: Layers, diff_id: str, descriptor: int, compression: Compression
) -> LayerBlob:
    """Write a layer to an open file, verified on the way, and describe what was written.

    The same layer, compression and version of dissolver give the same bytes.

    Raises:
        CoreFailure: the layer is not stored, or damaged; what was written is of no use then.
        DiskFull: there is no room for it.
    """
    from dissolver._core.layer import compress_layer

    with explained(f"write the layer `{diff_id}`"):
        made = compress_layer(layers, diff_id, descriptor, compression=compression)
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


@contextmanager
def opened_layer(
    store: Store,
    diff_id: str,
    known: Sequence[LayerBlob],
    compression: Compression,
    workspace: Path,
    on_compress: Callable[[], None],
) -> Iterator[tuple[int, LayerBlob]]:
    """Open a layer as a blob: the bytes that it came in, or compressed now.

    ``known`` are the forms that will do, the best first; without any it is ``compression``.
    Which blob came out of it is remembered.

    Raises:
        CoreFailure: the layer is not stored, or damaged.
        DiskFull: there is no room for it.
    """
    kept = next((blob for blob in known if store.blobs.has(blob.digest)), None)
    if kept is not None:
        file = os.open(store.blobs.path(kept.digest), os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield file, kept
        finally:
            os.close(file)
        return
    on_compress()
    path = workspace / diff_id.removeprefix("sha256:")
    with explained("make a temporary file"):
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        path.unlink()
        wanted = known[0].compression if known else compression
        blob = write_layer_blob(store.layers, diff_id, file, wanted)
        store.transfers.remember_layer(blob)
        yield file, blob
    finally:
        os.close(file)
