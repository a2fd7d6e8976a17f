"""Small immutable files, named by their digest."""

from __future__ import annotations

import os
import re
from pathlib import Path

from dissolver.errors import StoreError
from dissolver.store.faults import explained

_NAME = re.compile(r"[0-9a-f]{64}", re.ASCII)
Digests = list[str]


class BlobStore:
    """Files under ``<root>/blobs/sha256/``, each named by its own SHA-256.

    A blob gets its name only when it is complete, so a reader needs no lock and
    never sees half a file. Writers hold the store lock shared.
    """

    def __init__(self, directory: Path, scratch: Path, *, fsync: bool = False) -> None:
        self._directory = directory / "sha256"
        self._scratch = scratch
        self._fsync = fsync

    def put(self, content: bytes) -> str:
        """Store ``content`` and answer its digest; storing it again is cheap.

        Raises:
            StoreError: it could not be written; nothing is kept.
        """
        hexadecimal = _digits(content)
        final = self._directory / hexadecimal
        with explained("write to the store"):
            if not final.exists():
                self._write(final, content)
        return f"sha256:{hexadecimal}"

    def _write(self, final: Path, content: bytes) -> None:
        from tempfile import mkstemp

        descriptor, name = mkstemp(prefix="blob-", dir=self._scratch)
        part = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                if self._fsync:
                    os.fsync(descriptor)
            part.rename(final)
        except BaseException:
            part.unlink(missing_ok=True)
            raise

    def adopt(self, part: Path, digest: str) -> None:
        """Make a finished file on the store's file system the blob ``digest``.

        The caller has computed the digest from the bytes that are in it.

        Raises:
            StoreError: it could not be moved; the file stays where it is.
        """
        final = self.path(digest)
        with explained("write to the store"):
            if self._fsync:
                with part.open("rb") as file:
                    os.fsync(file.fileno())
            part.rename(final)

    def get(self, digest: str) -> bytes:
        """Read a blob whole and verify it.

        Raises:
            StoreError: there is none, or its content does not match its name.
        """
        path = self.path(digest)
        with explained(f"read the blob `{digest}`"):
            try:
                content = path.read_bytes()
            except FileNotFoundError as error:
                raise StoreError(
                    f"the blob `{digest}` is missing", hint="run `dissolver system check`"
                ) from error
        actual = f"sha256:{_digits(content)}"
        if actual != digest:
            raise StoreError(
                f"the blob `{digest}` is damaged: its content has the digest `{actual}`",
                hint="run `dissolver system check`",
            )
        return content

    def actual_digest(self, digest: str) -> str:
        """Compute what the digest of a stored blob is, whatever its name says."""
        import hashlib

        with explained(f"read the blob `{digest}`"), self.path(digest).open("rb") as file:
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"

    def path(self, digest: str) -> Path:
        """Tell where the blob lies, or would."""
        algorithm, _, hexadecimal = digest.partition(":")
        if algorithm != "sha256" or _NAME.fullmatch(hexadecimal) is None:
            raise StoreError(f"`{digest}` is not the digest of a blob")
        return self._directory / hexadecimal

    def has(self, digest: str) -> bool:
        """Tell whether the blob is stored."""
        return self.path(digest).exists()

    def list(self) -> Digests:
        """List the digests of all blobs; files with other names are not ours to touch."""
        with explained("list the blobs"):
            names = [path.name for path in self._directory.iterdir()]
        return sorted(f"sha256:{name}" for name in names if _NAME.fullmatch(name))

    def remove(self, digest: str) -> int:
        """Remove a blob and answer the bytes of disk that gives back, 0 if there is none."""
        path = self.path(digest)
        with explained(f"remove the blob `{digest}`"):
            try:
                size = path.stat().st_blocks * 512
                path.unlink()
            except FileNotFoundError:
                return 0
        return size


def _digits(content: bytes) -> str:
    import hashlib

    return hashlib.sha256(content).hexdigest()
