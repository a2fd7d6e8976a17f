"""``save``: images of the store as one archive, or as a directory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dissolver.errors import ExportError
from dissolver.export.files import opened
from dissolver.export.selection import Selected, select
from dissolver.image.media_types import COMPRESSIONS, Compression

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dissolver.export.parcels import Parcel
    from dissolver.store import Store

Format = Literal["docker", "oci", "oci-directory"]
FORMATS: tuple[Format, ...] = ("docker", "oci", "oci-directory")

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
    ``oci-directory`` one as a directory. Layers are ``none`` (for ``docker``) or ``gzip``
    compressed where nothing is said. A path appears when everything is written, or not at all.

    Raises:
        ImageNotFound: nothing answers to one of ``images``.
        ExportError: the form or the compression is unknown, or the target does not fit.
    """
    kind, packing = _settled(form, compression)
    if not images:
        raise ExportError("no image to save", hint="name one or more images")
    with store.lock_shared():
        chosen = select(store.images, images)
        if kind == "oci-directory":
            _save_directory(store, chosen, target, packing)
        else:
            with opened(target) as descriptor:
                _save_tar(store, chosen, descriptor, kind, packing)
    return chosen


def _settled(form: str, compression: str | None) -> tuple[Format, Compression]:
    kind = next((known for known in FORMATS if known == form), None)
    if kind is None:
        raise ExportError(f"unknown format `{form}`", hint=f"the formats are {', '.join(FORMATS)}")
    if compression is None:
        return kind, "none" if kind == "docker" else "gzip"
    packing = next((known for known in COMPRESSIONS if known == compression), None)
    if packing is None:
        raise ExportError(
            f"unknown compression `{compression}`", hint=f"use one of {', '.join(COMPRESSIONS)}"
        )
    return kind, packing


def _save_tar(
    store: Store,
    chosen: Sequence[Selected],
    descriptor: int,
    kind: Format,
    compression: Compression,
) -> None:
    from dissolver.export.parcels import TarParcel

    newest = max((one.image.created or 0 for one in chosen), default=0)
    with store.workspace() as workspace:
        parcel = TarParcel(descriptor, workspace, mtime=max(newest, 0) // _NANOSECONDS)
        _pack(store, chosen, parcel, kind, compression)
        parcel.finish()


def _save_directory(
    store: Store, chosen: Sequence[Selected], target: str | int, compression: Compression
) -> None:
    from dissolver.export.parcels import DirectoryParcel

    if isinstance(target, int):
        raise ExportError("a directory needs a name", hint="name it with `-o DIRECTORY`")
    parcel = DirectoryParcel(Path(target))
    try:
        _pack(store, chosen, parcel, "oci-directory", compression)
        parcel.finish()
    except BaseException:
        parcel.abandon()
        raise


def _pack(
    store: Store,
    chosen: Sequence[Selected],
    parcel: Parcel,
    kind: Format,
    compression: Compression,
) -> None:
    from dissolver.export.docker_archive import pack_archive
    from dissolver.export.oci_layout import pack_layout

    if kind == "docker":
        pack_archive(store, chosen, parcel, compression)
    else:
        pack_layout(store, chosen, parcel, compression)
