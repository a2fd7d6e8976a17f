"""An OCI image layout as a provider: what pulls and copies read as they read registries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from dissolver.errors import ContentMismatch, IntakeError
from dissolver.image import manifest as manifests
from dissolver.image import media_types
from dissolver.image.digest import Digest, digest_of
from dissolver.image.manifest import MANIFEST_LIMIT, Descriptor, Index, checked_digest
from dissolver.intake.load import INDEX_FILE
from dissolver.registry.client import Document, settled_type

if TYPE_CHECKING:
    from dissolver.intake.archive_files import Files, Stretch
    from dissolver.registry.transport import Transport

UNNAMED = "latest"
"""What an image is called that is meant where several are and nothing is said."""


class StretchReading:
    """Bytes of a file as a ``Reading``."""

    def __init__(self, stretch: Stretch, offset: int) -> None:
        self._stretch = stretch
        self._offset = offset
        self.status = 206 if offset else 200
        self.headers: Mapping[str, str] = {"content-range": f"bytes {offset}-"}

    @property
    def length(self) -> int | None:
        """The number of bytes that come."""
        return max(0, self._stretch.size - self._offset)

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes.

        Raises:
            IntakeError: the file has been cut short meanwhile.
        """
        yield from self._stretch.behind(self._offset).chunks()

    def abort(self) -> None:
        """Do nothing: reading a file never takes long."""

    def close(self) -> None:
        """Do nothing: whoever opened the file closes it."""


class LayoutProvider:
    """The blobs of a layout, a directory or a tar, and of what else is kept like one.

    ``label`` is how messages call it. Digests are compared by whoever reads a blob, and here
    for documents.
    """

    def __init__(self, files: Files, label: str, transport: Transport) -> None:
        self._files = files
        self.label = label
        self.transport = transport

    def named(self, tag: str | None, digest: Digest | None) -> Document:
        """Give the manifest or index that a tag or a digest means.

        Without either it is the only one of the layout, or the one called `latest`. Images of
        one name for several platforms are given as an index.

        Raises:
            IntakeError: it is no layout, or has no such image, or several.
            BadManifest: its index does not say what it must.
        """
        entries = self._entries()
        fitting = {
            entry.digest: entry
            for entry in entries
            if (digest is None or entry.digest == digest) and (tag is None or _tag_of(entry) == tag)
        }
        if digest is not None and tag is None and not fitting:
            # An image of an index has no name of its own.
            return self.manifest(digest)
        chosen = list(fitting.values())
        if len(chosen) > 1 and tag is None:
            chosen = [one for one in chosen if _tag_of(one) == UNNAMED] or chosen
        if len(chosen) > 1 and all(one.platform is not None for one in chosen):
            index = Index(manifests=tuple(_bare(one) for one in chosen))
            content = manifests.encode(index)
            return Document(media_types.OCI_INDEX, content, digest_of(content))
        if len(chosen) != 1:
            raise self._unclear(tag or digest, entries)
        return self._document(chosen[0])

    def manifest(self, version: str) -> Document:
        """Give a manifest or an index by its digest, verified.

        Raises:
            IntakeError: there is none.
            ContentMismatch: it is not what its digest says.
        """
        content = self._found(version).read(limit=MANIFEST_LIMIT)
        digest = digest_of(content)
        if digest != version:
            raise self._mismatch(digest, version)
        return Document(settled_type(content, ""), content, digest)

    def blob(self, digest: str, *, offset: int = 0, size: int = 0) -> StretchReading:  # noqa: ARG002
        """Begin to give a blob, from ``offset`` on.

        Raises:
            IntakeError: there is none.
        """
        return StretchReading(self._found(digest), offset)

    def document_blob(self, digest: Digest, size: int) -> bytes:
        """Give a small blob whole, verified.

        Raises:
            IntakeError: there is none, or it is too long.
            ContentMismatch: it has another digest or size.
        """
        content = self._found(digest).read(limit=MANIFEST_LIMIT)
        if digest_of(content) != digest or len(content) != size:
            raise self._mismatch(digest_of(content), digest)
        return content

    def _document(self, entry: Descriptor) -> Document:
        found = self.manifest(checked_digest(entry))
        if len(found.content) != entry.size:
            raise ContentMismatch(
                f"`{self.label}` has {len(found.content)} bytes of the manifest `{entry.digest}`, "
                f"and its index says {entry.size}"
            )
        return found

    def _entries(self) -> tuple[Descriptor, ...]:
        index = self._files.find(INDEX_FILE)
        if index is None:
            raise IntakeError(f"`{self.label}` is no OCI image layout: it has no `{INDEX_FILE}`")
        return manifests.decode_index(index.read(limit=MANIFEST_LIMIT)).manifests

    def _found(self, digest: str) -> Stretch:
        found = self._files.find(f"blobs/{digest.replace(':', '/', 1)}")
        if found is None:
            raise IntakeError(
                f"`{self.label}` lacks the content `{digest}`",
                hint="what a layout only refers to cannot be had from it",
            )
        return found

    def _mismatch(self, found: str, expected: str) -> ContentMismatch:
        return ContentMismatch(
            f"`{self.label}` has content with the digest {found}, which should have {expected}"
        )

    def _unclear(self, wanted: str | None, entries: tuple[Descriptor, ...]) -> IntakeError:
        names = dict.fromkeys(filter(None, map(_tag_of, entries)))
        hint = "it has " + ", ".join(f"`{name}`" for name in names) if names else None
        if wanted is None and entries:
            return IntakeError(f"`{self.label}` has several images, and none is named", hint=hint)
        return IntakeError(f"`{self.label}` has no image `{wanted or UNNAMED}`", hint=hint)


def _tag_of(entry: Descriptor) -> str | None:
    """Read the tag of an image of a layout, which tools write alone or at the end of a name."""
    name = entry.annotations.get(media_types.REFERENCE_NAME) or entry.annotations.get(
        media_types.CONTAINERD_NAME, ""
    )
    return name.rpartition(":")[2] or None if "@" not in name else None


def _bare(entry: Descriptor) -> Descriptor:
    return Descriptor(entry.media_type, entry.digest, entry.size, entry.platform)
