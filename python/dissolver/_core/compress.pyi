"""Compression: descriptors in, descriptors out, with the same bytes on every machine.

Failures are `CoreError`, as in ``_core.layer``.
"""

from collections.abc import Callable
from typing import Literal, final

from dissolver._core.layer import Layers

@final
class Compressed:
    """What compressed bytes are called, and how many there are."""

    @property
    def digest(self) -> str:
        """SHA-256 of the compressed bytes."""

    @property
    def size(self) -> int:
        """How many bytes there are."""

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

def compress(
    source: int,
    target: int,
    *,
    compression: Literal["none", "gzip", "zstd"],
    level: int | None = None,
    threads: int | None = None,
) -> Compressed:
    """Compress what comes out of a descriptor, up to its end, into another one.

    The same bytes, format and level give the same result, whatever ``threads`` is (by default
    one for each core). gzip is a single member, which every reader takes whole. The levels are
    the formats' own: 6 of 9 for gzip by default, 3 of 22 for zstd. Memory stays flat.

    Raises:
        CoreError: ``io``, also when nobody reads any more.
    """

def compress_layer(
    layers: Layers,
    diff_id: str,
    target: int,
    *,
    compression: Literal["none", "gzip", "zstd"],
    level: int | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Compressed:
    """Compress a layer's tar into a descriptor, as `compress` does, and verify it on the way.

    The bytes arrive in their order, so that a file may be read while it grows. ``should_stop``
    is asked ten times a second whether to give up, by the thread that calls this.

    Raises:
        CoreError: ``unknown-layer``, ``digest-mismatch``, ``interrupted`` when ``should_stop``
            said so, and as for `compress`.
    """

def is_archive(source: int) -> bool:
    """Tell whether a descriptor holds a tar, compressed or not, by its first header.

    What only looks compressed, and an archive without entries, are none. Reading goes on from
    where the descriptor is, and leaves it anywhere.

    Raises:
        CoreError: ``io``.
    """

def decompress(source: int, target: int) -> int:
    """Copy what comes out of a descriptor into another one, decompressed if it is compressed.

    gzip, zstd, bzip2 and xz are told apart by content; all else is copied as it is. Returns
    how many bytes came out.

    Raises:
        CoreError: ``bad-tar`` for broken data, ``limit`` for what expands beyond reason, ``io``.
    """
