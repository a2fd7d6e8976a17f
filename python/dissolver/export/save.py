"""``save``: images of the store as one archive, or as a directory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dissolver.errors import ExportError
from dissolver.export.files import opened
from dissolver.export.selection import Selected, select
from dissolver.image.media_types import COMPRESSIONS, Compression
from dissolver.store.layer_blobs import Packing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dissolver.export.oci_layout import Packed
    from dissolver.export.parcels import Parcel
    from dissolver.store import Store

Format = Literal["docker", "oci", "oci-directory", "docker-directory"]
SAVED: tuple[Format, ...] = ("docker", "oci", "oci-directory")
"""What ``save`` writes; builds write the other one as well."""

_NANOSECONDS = 1_000_000_000


def save(
    store: Store,
    images: Sequence[str],
    target: str | int,
    *,
    form: str = "docker",
    compression: str | None = None,
) -> list[Selected]:
    """Write ``images`` to a path or an open file, and answer what was written.

    ``docker`` is what ``docker load`` takes, ``oci`` an OCI image layout in a tar, and
    ``oci-directory`` one as a directory. Where nothing is said, layers go out with the bytes
    that they came in, and others are ``none`` (for ``docker``) or ``gzip`` compressed; with
    ``compression`` all are compressed so. A path appears when everything is written, or not
    at all.

    Raises:
        ImageNotFound: nothing answers to one of ``images``.
        ExportError: the form or the compression is unknown, or the target does not fit.
    """
    kind, packing = _settled(form, compression)
    if not images:
        raise ExportError("no image to save", hint="name one or more images")
    with store.lock_shared():
        chosen = select(store.images, images)
        write_images(store, chosen, target, kind, packing)
    return chosen


def write_images(
    store: Store,
    chosen: Sequence[Selected],
    target: str | int,
    kind: Format,
    packing: Packing,
) -> list[Packed]:
    """Write images to a path or an open file, and tell what each became; as ``save``.

    The caller holds the store lock.

    Raises:
        ExportError: the target does not fit.
        StoreError: a part of an image is missing or damaged, or the disk is full.
    """
    if kind.endswith("-directory"):
        return _save_directory(store, chosen, target, kind, packing)
    with opened(target) as descriptor:
        return _save_tar(store, chosen, descriptor, kind, packing)


def parse_compression(text: str) -> Compression:
    """Read how layers are to be compressed; ``uncompressed`` is BuildKit's word for ``none``.

    Raises:
        ExportError: it is no compression that layers can have here.
    """
    found = next((known for known in COMPRESSIONS if known == text), None)
    if text == "uncompressed":
        return "none"
    if found is None:
        raise ExportError(
            f"unknown compression `{text}`", hint=f"use one of {', '.join(COMPRESSIONS)}"
        )
    return found


def _settled(form: str, compression: str | None) -> tuple[Format, Packing]:
    kind = next((known for known in SAVED if known == form), None)
    if kind is None:
        raise ExportError(f"unknown format `{form}`", hint=f"the formats are {', '.join(SAVED)}")
    if compression is not None:
        return kind, Packing(parse_compression(compression)).forced()
    if kind == "docker":
        # Older versions of `docker load` know no zstd.
        return kind, Packing("none", kept=("none", "gzip"))
    return kind, Packing("gzip")


def _save_tar(
    store: Store,
    chosen: Sequence[Selected],
    descriptor: int,
    kind: Format,
    packing: Packing,
) -> list[Packed]:
    from dissolver.export.parcels import TarParcel

    newest = max((one.image.created or 0 for one in chosen), default=0)
    with store.workspace() as workspace:
        parcel = TarParcel(descriptor, workspace, mtime=max(newest, 0) // _NANOSECONDS)
        packed = _pack(store, chosen, parcel, kind, packing)
        parcel.finish()
    return packed


def _save_directory(
    store: Store,
    chosen: Sequence[Selected],
    target: str | int,
    kind: Format,
    packing: Packing,
) -> list[Packed]:
    from dissolver.export.parcels import DirectoryParcel

    if isinstance(target, int):
        raise ExportError("a directory needs a name", hint="name it with `-o DIRECTORY`")
    parcel = DirectoryParcel(Path(target))
    try:
        packed = _pack(store, chosen, parcel, kind, packing)
        parcel.finish()
    except BaseException:
        parcel.abandon()
        raise
    return packed


def _pack(
    store: Store,
    chosen: Sequence[Selected],
    parcel: Parcel,
    kind: Format,
    packing: Packing,
) -> list[Packed]:
    from dissolver.export.docker_archive import pack_archive
    from dissolver.export.oci_layout import pack_layout

    if kind.startswith("docker"):
        return pack_archive(store, chosen, parcel, packing)
    return pack_layout(store, chosen, parcel, packing)
