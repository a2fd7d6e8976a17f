"""``load``: images from an archive that Docker or an OCI tool wrote."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import msgspec

from dissolver.errors import BadManifest, BadReference, IntakeError
from dissolver.image.manifest import MANIFEST_LIMIT
from dissolver.intake.archive_files import Files, Stream, Stretch, opened_files
from dissolver.intake.parts import Part, blob
from dissolver.store.faults import explained
from dissolver.store.layer_blobs import LayerBlob

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dissolver.image.annotations import Annotations
    from dissolver.image.config import Image
    from dissolver.image.media_types import Compression
    from dissolver.image.reference import Reference
    from dissolver.intake.layout import LayoutImage
    from dissolver.store import Store

INDEX_FILE, MANIFEST_FILE, LAYOUT_FILE = "index.json", "manifest.json", "oci-layout"


_MAGICS: dict[Compression, bytes] = {"gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd"}


@dataclass(frozen=True, slots=True)
class Loaded:
    """An image that was loaded, and the names that it was given."""

    image: Image
    references: tuple[Reference, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """An image in an archive, with its manifest and the type of that, where it has one."""

    config: Part
    layers: tuple[Part, ...]
    names: tuple[str, ...]
    annotations: Annotations | None = None
    manifest: tuple[bytes, str] | None = None


class Row(msgspec.Struct, rename="pascal"):
    """One image in Docker's ``manifest.json``."""

    config: str
    layers: tuple[str, ...] | None = None
    repo_tags: tuple[str, ...] | None = None


def load(store: Store, source: str | os.PathLike[str] | int) -> list[Loaded]:
    """Store the images of an archive, and give them the names they have in it.

    ``source`` is a path or an open file: an archive of ``docker save`` or an OCI image layout
    in a tar, compressed or not; or an OCI image layout as a directory. Every digest is
    verified while the bytes are read, and layers that come compressed are kept so as well, with
    the manifest that names them. Of images for several platforms, the machine's is taken.
    An image is stored whole or not at all; those before a broken one stay.

    Raises:
        IntakeError: it cannot be read, is no archive of images, or lacks a part.
        CoreFailure: a layer is no proper tar, or has another digest.
        BadImageConfig, BadManifest: a document does not say what it must.
    """
    place = source if isinstance(source, int) else os.fspath(source)
    with opened_files(store, place) as files, store.lock_shared():
        return [_stored(store, found) for found in _list(files)]


def _list(files: Files) -> list[Found]:
    from dissolver.intake import layout

    table = files.find(MANIFEST_FILE)
    if table is not None:
        return _docker_images(files, table)
    index = files.find(INDEX_FILE)
    if index is not None and files.find(LAYOUT_FILE) is not None:
        return [found_image(files, one) for one in layout.images(files, index)]
    raise IntakeError(
        f"this is no archive of images: it has neither `{MANIFEST_FILE}` nor `{LAYOUT_FILE}`",
        hint="`dissolver import` makes an image of a root file system",
    )


def found_image(files: Files, one: LayoutImage) -> Found:
    """Find the parts of an image of a layout."""
    config = blob(files, one.manifest.config)
    layers = tuple(blob(files, layer) for layer in one.manifest.layers)
    return Found(config, layers, one.names, one.said, (one.document, one.media_type))


def store_image(store: Store, found: Found) -> Image:
    """Store an image without the names that it has."""
    return _stored(store, replace(found, names=())).image


def read_table(table: Stretch) -> list[Row]:
    """Read the images that Docker's ``manifest.json`` lists.

    Raises:
        IntakeError: it does not say what it must.
    """
    try:
        return msgspec.json.decode(table.read(limit=MANIFEST_LIMIT), type=list[Row])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise IntakeError(f"`{MANIFEST_FILE}` is not valid: {error}") from None


def _docker_images(files: Files, table: Stretch) -> list[Found]:
    rows = read_table(table)

    def part(name: str) -> Part:
        found = files.find(name)
        if found is None:
            raise IntakeError(f"the archive has no `{name}`, which `{MANIFEST_FILE}` names")
        return Part(found)

    said = _said(files)
    return [
        Found(
            part(row.config),
            tuple(part(name) for name in row.layers or ()),
            tuple(row.repo_tags or ()),
            said.get(PurePosixPath(row.config).name.removesuffix(".json")),
        )
        for row in rows
    ]


def _said(files: Files) -> dict[str, Annotations]:
    """Read what the layout beside Docker's table says of images, by the digits of their IDs.

    The table is enough to load them: a layout that cannot be read says nothing.
    """
    from dissolver.intake import layout

    index = files.find(INDEX_FILE)
    if index is None or files.find(LAYOUT_FILE) is None:
        return {}
    try:
        found = layout.images(files, index)
    except (IntakeError, BadManifest):
        return {}
    return {one.manifest.config.digest.removeprefix("sha256:"): one.said for one in found}


def _stored(store: Store, found: Found) -> Loaded:
    from dissolver.image.config import decode_config
    from dissolver.image.validate import check_config

    document = found.config.document()
    config = check_config(decode_config(document))
    if len(config.diff_ids) != len(found.layers):
        raise IntakeError(
            f"the image has {len(found.layers)} layers, and its configuration names "
            f"{len(config.diff_ids)}"
        )
    references = _references(found.names, is_pinned=found.manifest is not None)
    for diff_id, part in zip(config.diff_ids, found.layers, strict=True):
        _store_layer(store, diff_id, part)
    image = store.images.put(
        config, tags=references, document=document, annotations=found.annotations
    )
    if found.manifest is not None:
        content, media_type = found.manifest
        store.transfers.remember_manifest(image.id, store.blobs.put(content), media_type)
    return Loaded(image, tuple(references))


def _store_layer(store: Store, diff_id: str, part: Part) -> None:
    compression = _compression(part)
    with explained("store the layer"):
        if store.layers.info(diff_id) is not None:
            return
        if compression is None:
            _ingest(store, diff_id, part, None)
            return
        with store.workspace() as workspace:
            path = workspace / "layer"
            copy = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                digest = _ingest(store, diff_id, part, copy)
            finally:
                os.close(copy)
            if digest is not None:
                store.blobs.adopt(path, digest)
                blob = LayerBlob(diff_id, compression, digest, part.stretch.size)
                store.transfers.remember_layer(blob)


def _ingest(store: Store, diff_id: str, part: Part, copy: int | None) -> str | None:
    """Store a layer; tell the digest of its bytes if they were copied as well."""
    stream = Stream(part.stretch, copy=copy)
    try:
        store.layers.ingest(stream.descriptor, expect=diff_id)
    finally:
        stream.close()
    digest = stream.digest()
    part.compare(digest)
    return digest if stream.has_copied else None


def _compression(part: Part) -> Compression | None:
    """Tell how a layer is compressed, if it is so in a way that layers go out in."""
    return next((one for one, magic in _MAGICS.items() if part.stretch.begins_with(magic)), None)


def _references(names: Sequence[str], *, is_pinned: bool) -> list[Reference]:
    """Read names; those with a digest only where the manifest was compared with that."""
    from dissolver.image.reference import parse_new_name, parse_reference

    read = parse_reference if is_pinned else parse_new_name
    references = []
    for name in names:
        try:
            references.append(read(name))
        except BadReference as error:
            raise IntakeError(f"the archive names an image `{name}`: {error.message}") from None
    return references
