"""What images are packed into: a tar that is written as it goes, or a directory.

A parcel holds small documents and layers, blobs named by their digest among them.
"""

from __future__ import annotations

import os
import tarfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from dissolver.image.digest import digest_of
from dissolver.store.faults import explained
from dissolver.store.layer_blobs import LayerBlob, uncompressed_blob, write_layer_blob

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dissolver._core.layer import Layers
    from dissolver.store.layer_blobs import Packing

BLOBS = "blobs/sha256"
_CHUNK_BYTES = 1 << 20


def blob_name(digest: str) -> str:
    """Tell where a blob lies in a layout."""
    return f"{BLOBS}/{digest.removeprefix('sha256:')}"


class Parcel(Protocol):
    """Something that documents and layers are put into."""

    def document(self, name: str, content: bytes) -> None:
        """Add a file."""

    def blob(self, content: bytes) -> str:
        """Add a document under its digest, and return that."""

    def layer(self, layers: Layers, diff_id: str, packing: Packing) -> LayerBlob:
        """Add a layer as a blob."""

    def kept(self, path: Path, blob: LayerBlob) -> None:
        """Add a layer as the bytes in a file, which are verified on the way.

        Raises:
            StoreError: they are not what ``blob`` says.
        """


class TarParcel:
    """A tar on an open file, which may be a pipe.

    Entries belong to root and have the time ``mtime`` (seconds since the epoch).
    Compressed layers are made in ``workspace`` first, one at a time, because a tar
    says the size of a file before its bytes.
    """

    def __init__(self, descriptor: int, workspace: Path, *, mtime: int) -> None:
        self._descriptor = descriptor
        self._workspace = workspace
        self._mtime = mtime
        self._names: set[str] = set()
        for name in ("blobs", BLOBS):
            entry = self._entry(name, 0)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            self._header(entry)

    def document(self, name: str, content: bytes) -> None:
        """Add a file; one that is there already stays."""
        if name in self._names:
            return
        self._names.add(name)
        self._header(self._entry(name, len(content)))
        self._write(content + _padding(len(content)))

    def has(self, name: str) -> bool:
        """Tell whether a file was added."""
        return name in self._names

    def file(self, name: str, size: int, chunks: Iterable[bytes]) -> None:
        """Add a file of ``size`` bytes, which ``chunks`` yields; one that is there stays."""
        if name in self._names:
            return
        self._names.add(name)
        self._header(self._entry(name, size))
        for chunk in chunks:
            self._write(chunk)
        self._write(_padding(size))

    def blob(self, content: bytes) -> str:
        """Add a document under its digest, and return that."""
        digest = digest_of(content)
        self.document(blob_name(digest), content)
        return digest

    def layer(self, layers: Layers, diff_id: str, packing: Packing) -> LayerBlob:
        """Add a layer as a blob."""
        if packing.compression != "none":
            return self._compressed(layers, diff_id, packing)
        made = uncompressed_blob(layers, diff_id)
        self._header(self._entry(blob_name(made.digest), made.size))
        write_layer_blob(layers, diff_id, self._descriptor, "none")
        self._write(_padding(made.size))
        return made

    def kept(self, path: Path, blob: LayerBlob) -> None:
        """Add a layer as the bytes in a file, which are verified on the way."""
        self._header(self._entry(blob_name(blob.digest), blob.size))
        for chunk in _verified(path, blob):
            self._write(chunk)
        self._write(_padding(blob.size))

    def _compressed(self, layers: Layers, diff_id: str, packing: Packing) -> LayerBlob:
        path = self._workspace / "layer"
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        with explained("make a temporary file"):
            packed = os.open(path, flags, 0o600)
        try:
            made = write_layer_blob(
                layers, diff_id, packed, packing.compression, level=packing.level
            )
            os.lseek(packed, 0, os.SEEK_SET)
            self._header(self._entry(blob_name(made.digest), made.size))
            with explained("write the archive"):
                while chunk := os.read(packed, _CHUNK_BYTES):
                    self._write(chunk)
            self._write(_padding(made.size))
        finally:
            os.close(packed)
            path.unlink(missing_ok=True)
        return made

    def finish(self) -> None:
        """End the tar."""
        self._write(bytes(2 * tarfile.BLOCKSIZE))

    def _entry(self, name: str, size: int) -> tarfile.TarInfo:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mtime = size, self._mtime
        return entry

    def _header(self, entry: tarfile.TarInfo) -> None:
        # pax differs from ustar for files of 8 GiB and more, and for nothing else here.
        self._write(entry.tobuf(tarfile.PAX_FORMAT))

    def _write(self, data: bytes) -> None:
        with explained("write the archive"):
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]


class DirectoryParcel:
    """A directory that gets its name when it is complete.

    Until ``finish`` it lies beside the place where it will be; ``abandon`` removes it.
    """

    def __init__(self, target: Path) -> None:
        from dissolver.errors import ExportError
        from dissolver.export.files import part_beside

        self._target = target
        self._place = part_beside(target)
        with explained("make the directory"):
            if target.is_symlink() or (target.exists() and not target.is_dir()):
                raise ExportError(f"`{target}` exists and is no directory")
            if target.is_dir() and any(target.iterdir()):
                raise ExportError(
                    f"the directory `{target}` is not empty",
                    hint="choose one that does not exist, or remove it first",
                )
            (self._place / BLOBS).mkdir(parents=True)

    def document(self, name: str, content: bytes) -> None:
        """Add a file."""
        with explained("write the layout"):
            (self._place / name).write_bytes(content)

    def blob(self, content: bytes) -> str:
        """Add a document under its digest, and return that."""
        digest = digest_of(content)
        self.document(blob_name(digest), content)
        return digest

    def layer(self, layers: Layers, diff_id: str, packing: Packing) -> LayerBlob:
        """Add a layer as a blob."""
        part = self._place / "part"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        with explained("write the layout"):
            descriptor = os.open(part, flags, 0o666)
        try:
            made = write_layer_blob(
                layers, diff_id, descriptor, packing.compression, level=packing.level
            )
        finally:
            os.close(descriptor)
        with explained("write the layout"):
            part.rename(self._place / blob_name(made.digest))
        return made

    def kept(self, path: Path, blob: LayerBlob) -> None:
        """Add a layer as the bytes in a file, which are verified on the way."""
        part = self._place / "part"
        with explained("write the layout"):
            with part.open("wb") as file:
                for chunk in _verified(path, blob):
                    file.write(chunk)
            part.rename(self._place / blob_name(blob.digest))

    def finish(self) -> None:
        """Give the directory its name."""
        with explained("write the layout"):
            self._place.rename(self._target)

    def abandon(self) -> None:
        """Remove what was written."""
        import shutil

        with suppress(OSError):
            shutil.rmtree(self._place)


def _verified(path: Path, blob: LayerBlob) -> Iterator[bytes]:
    """Yield the bytes of a stored blob, and fail after the last if they are others."""
    import hashlib

    from dissolver.errors import StoreError

    found, size = hashlib.sha256(), 0
    with explained("read a stored blob"), path.open("rb") as file:
        while chunk := file.read(min(_CHUNK_BYTES, blob.size - size + 1)):
            found.update(chunk)
            size += len(chunk)
            if size <= blob.size:
                yield chunk
    if size != blob.size or f"sha256:{found.hexdigest()}" != blob.digest:
        raise StoreError(
            f"the stored blob `{blob.digest}` is damaged",
            hint="run `dissolver system check`, or remove the image and fetch it again",
        )


def _padding(size: int) -> bytes:
    return bytes(-size % tarfile.BLOCKSIZE)
