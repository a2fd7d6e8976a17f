"""An archive of ``docker save`` as a provider.

Archives of today hold an OCI layout as well: then the image keeps its manifest and its
digest. Those of before have no manifest, and one is made for the image.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from dissolver.errors import BadManifest, IntakeError
from dissolver.exchange.layouts import LayoutProvider
from dissolver.image import manifest as manifests
from dissolver.image import media_types
from dissolver.image.config import decode_config
from dissolver.image.digest import digest_of
from dissolver.image.manifest import (
    MANIFEST_LIMIT,
    Descriptor,
    Manifest,
    checked_digest,
    describe,
)
from dissolver.image.reference import parse_reference
from dissolver.intake.archive_files import Stream, Stretch
from dissolver.intake.load import INDEX_FILE, MANIFEST_FILE, Row, read_table
from dissolver.registry.client import Document
from dissolver.store.faults import explained

if TYPE_CHECKING:
    from pathlib import Path

    from dissolver.image.config import ImageConfig
    from dissolver.image.media_types import Compression
    from dissolver.image.reference import Reference
    from dissolver.intake.archive_files import Files
    from dissolver.registry.transport import Transport

_MAGIC: tuple[tuple[bytes, Compression], ...] = (
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
)


class Scratch:
    """Temporary files without names in a directory, closed at the end of the block."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._open: list[int] = []

    def __enter__(self) -> Scratch:
        return self

    def __exit__(self, *_: object) -> None:
        while self._open:
            os.close(self._open.pop())

    def file(self) -> int:
        """Make a file.

        Raises:
            DiskFull: there is no room for it.
        """
        path = self.directory / f"scratch-{len(self._open)}"
        with explained("make a temporary file"):
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            self._open.append(file)
            path.unlink()
        return file

    def stretch(self, content: bytes) -> Stretch:
        """Keep a document in a file."""
        file = self.file()
        with explained("make a temporary file"):
            os.pwrite(file, content, 0)
        return Stretch.of(file, len(content))


def archived_image(
    files: Files,
    reference: Reference | None,
    label: str,
    transport: Transport,
    scratch: Scratch,
    *,
    compresses: bool,
) -> tuple[LayoutProvider, Document, tuple[str, ...]]:
    """Find an image in an archive: what provides its parts, its manifest, and its names.

    Where a manifest is made, ``compresses`` says that uncompressed layers are to be gzip, which
    lie in ``scratch`` then.

    Raises:
        IntakeError: it is no such archive, has no such image, or lacks a part.
        BadManifest, BadImageConfig: a document does not say what it must.
        CoreFailure: a layer is no proper tar, or has another diff ID.
    """
    table = files.find(MANIFEST_FILE)
    if table is None:
        raise IntakeError(f"`{label}` is no archive of images: it has no `{MANIFEST_FILE}`")
    row = _chosen(read_table(table), reference, label)
    config = _part(files, row.config).read(limit=MANIFEST_LIMIT)
    names = tuple(row.repo_tags or ())
    plain = LayoutProvider(files, label, transport)
    known = _known(files, plain, digest_of(config))
    if known is not None:
        return plain, known, names
    layers = [_part(files, name) for name in row.layers or ()]
    blobs, manifest = _Making(scratch, compresses).manifest(config, layers)
    blobs.put(manifest.config.digest, scratch.stretch(config))
    content = manifests.encode(manifest)
    document = Document(media_types.OCI_MANIFEST, content, digest_of(content))
    return LayoutProvider(blobs, label, transport), document, names


def _chosen(rows: list[Row], reference: Reference | None, label: str) -> Row:
    """Pick the image that is called ``reference``, or the only one."""
    names = [name for row in rows for name in row.repo_tags or ()]
    hint = "it has " + ", ".join(f"`{name}`" for name in names) if names else None
    if reference is None:
        if len(rows) != 1:
            raise IntakeError(f"`{label}` has {len(rows)} images, and none is named", hint=hint)
        return rows[0]
    for row in rows:
        if any(parse_reference(name) == reference for name in row.repo_tags or ()):
            return row
    raise IntakeError(f"`{label}` has no image `{reference.familiar}`", hint=hint)


def _part(files: Files, name: str) -> Stretch:
    found = files.find(name)
    if found is None:
        raise IntakeError(f"the archive has no `{name}`, which `{MANIFEST_FILE}` names")
    return found


def _known(files: Files, provider: LayoutProvider, config: str) -> Document | None:
    """Find the manifest of the image with a configuration in the layout that goes with it."""
    index = files.find(INDEX_FILE)
    if index is None:
        return None
    for entry in manifests.decode_index(index.read(limit=MANIFEST_LIMIT)).manifests:
        if entry.media_type not in media_types.MANIFESTS:
            continue
        document = provider.manifest(checked_digest(entry))
        if manifests.decode_manifest(document.content).config.digest == config:
            return document
    return None


class _Blobs:
    """Contents by their digests, where a layout would have them."""

    def __init__(self) -> None:
        self._stretches: dict[str, Stretch] = {}

    def find(self, name: str) -> Stretch | None:
        """Look up a file of the layout that there might have been."""
        return self._stretches.get(name)

    def put(self, digest: str, stretch: Stretch) -> None:
        """Say where a content lies."""
        self._stretches[f"blobs/{digest.replace(':', '/', 1)}"] = stretch


class _Making:
    """A manifest being made for an image that has none."""

    def __init__(self, scratch: Scratch, compresses: bool) -> None:
        self._scratch = scratch
        self._compresses = compresses

    def manifest(self, config: bytes, layers: list[Stretch]) -> tuple[_Blobs, Manifest]:
        """Describe the layers, compressed if they are to be, and say where they lie."""
        decoded: ImageConfig = decode_config(config)
        if len(decoded.diff_ids) != len(layers):
            raise BadManifest(
                f"the image has {len(layers)} layers, and its configuration names "
                f"{len(decoded.diff_ids)}"
            )
        blobs = _Blobs()
        descriptors = []
        for diff_id, stretch in zip(decoded.diff_ids, layers, strict=True):
            descriptor, place = self._layer(diff_id, stretch)
            blobs.put(descriptor.digest, place)
            descriptors.append(descriptor)
        made = Manifest(config=describe(media_types.OCI_CONFIG, config), layers=tuple(descriptors))
        return blobs, made

    def _layer(self, diff_id: str, stretch: Stretch) -> tuple[Descriptor, Stretch]:
        found = next((kind for magic, kind in _MAGIC if stretch.begins_with(magic)), None)
        if found is not None:
            hasher = hashlib.sha256()
            for chunk in stretch.chunks():
                hasher.update(chunk)
            digest = f"sha256:{hasher.hexdigest()}"
            return Descriptor(media_types.layer_type(found), digest, stretch.size), stretch
        if not self._compresses:
            return Descriptor(media_types.layer_type("none"), diff_id, stretch.size), stretch
        return self._compressed(diff_id, stretch)

    def _compressed(self, diff_id: str, stretch: Stretch) -> tuple[Descriptor, Stretch]:
        """Compress a layer as a push of it would, so that both have the same digest."""
        from dissolver._core.layer import Layers
        from dissolver.store.layer_blobs import write_layer_blob

        place = self._scratch.directory / "layers"
        place.mkdir(exist_ok=True)
        with explained("read a layer of the archive"):
            layers = Layers(place, userxattr=False, form="directory")
            stream = Stream(stretch)
            try:
                layers.ingest(stream.descriptor, expect=diff_id)
            finally:
                stream.close()
        file = self._scratch.file()
        made = write_layer_blob(layers, diff_id, file, "gzip")
        layers.remove(diff_id)
        descriptor = Descriptor(media_types.layer_type("gzip"), made.digest, made.size)
        return descriptor, Stretch.of(file, made.size)
