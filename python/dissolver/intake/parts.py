"""The parts of an archive of images: blobs, with the digests they must have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dissolver.errors import IntakeError
from dissolver.image.digest import digest_of
from dissolver.image.manifest import MANIFEST_LIMIT, Descriptor, checked_digest

if TYPE_CHECKING:
    from dissolver.intake.archive_files import Files, Stretch


@dataclass(frozen=True, slots=True)
class Part:
    """A blob of an archive: its bytes, and their digest where a manifest says it."""

    stretch: Stretch
    digest: str | None = None

    def document(self) -> bytes:
        """Read a document and compare it with its digest.

        Raises:
            IntakeError: it is another one, or too long.
        """
        content = self.stretch.read(limit=MANIFEST_LIMIT)
        self.compare(digest_of(content))
        return content

    def compare(self, found: str) -> None:
        """Compare the digest of what was read with the one that it must have.

        Raises:
            IntakeError: it is another one.
        """
        if self.digest is not None and found != self.digest:
            raise IntakeError(f"digest mismatch: expected {self.digest}, found {found}")


def blob(files: Files, descriptor: Descriptor) -> Part:
    """Find a blob of an OCI layout.

    Raises:
        IntakeError: it is missing, or its size is not what its manifest says.
        BadManifest: its digest is none.
    """
    digest = checked_digest(descriptor)
    found = files.find(f"blobs/sha256/{digest.removeprefix('sha256:')}")
    if found is None:
        raise IntakeError(
            f"the archive lacks the blob `{digest}`",
            hint="what an archive only refers to cannot be loaded from it",
        )
    if found.size != descriptor.size:
        raise IntakeError(
            f"the blob `{digest}` has {found.size} bytes, and its manifest says {descriptor.size}"
        )
    return Part(found, digest)
