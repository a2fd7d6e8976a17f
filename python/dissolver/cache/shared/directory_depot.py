"""A shared cache in a directory: an OCI image layout (OCI image specification, `image-layout.md`).

The directory may come from somebody else, and may be written by root. Nothing in it is
followed to another place: each part of a path is opened within the one before.
"""

from __future__ import annotations

import fcntl
import os
import stat
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from dissolver.cache.shared.streaming import CHUNK_BYTES, is_verified, take_layer
from dissolver.errors import BadCache
from dissolver.image import manifest as manifests
from dissolver.image import media_types
from dissolver.image.digest import digest_of
from dissolver.image.manifest import MANIFEST_LIMIT, Index, checked_digest, describe
from dissolver.store.faults import explained

if TYPE_CHECKING:
    from dissolver.cache.shared.depot import OnBytes, Sending
    from dissolver.cache.shared.options import Place
    from dissolver.image.manifest import Descriptor, Manifest
    from dissolver.image.platform import Platform
    from dissolver.store import Store

_VERSION = b'{"imageLayoutVersion":"1.0.0"}'
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_ENTER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class DirectoryDepot:
    """The cache that a layout has under a tag."""

    kind = "client directory"

    def __init__(self, place: Place) -> None:
        self._path = Path(place.path).absolute()
        self._tag = place.tag
        self._digest = place.digest
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """The directory, and the tag where it is not the usual one."""
        tag = "" if self._tag == "latest" else f":{self._tag}"
        return f"local:{self._path}{tag}"

    def manifest(self, platform: Platform) -> Manifest:
        """Read the manifest of the cache."""
        del platform
        entry = self._entry()
        if entry is None:
            raise BadCache(f"there is no cache `{self._digest or self._tag}` in `{self._path}`")
        return manifests.decode_manifest(self.document(entry))

    def document(self, blob: Descriptor) -> bytes:
        """Read a small blob, verified."""
        digest = checked_digest(blob)
        if not 0 <= blob.size <= MANIFEST_LIMIT:
            raise BadCache(f"the document `{digest}` has {blob.size} bytes")
        with self._opened(blob) as file:
            content = b"".join(_chunks(file, blob.size))
        if digest_of(content) != digest:
            raise BadCache(f"the blob `{digest}` in `{self._path}` is damaged")
        return content

    def has(self, blob: Descriptor) -> bool:
        """Tell whether a blob is there."""
        try:
            with self._opened(blob):
                return True
        except BadCache:
            return False

    def fetch(self, store: Store, layer: Descriptor, diff_id: str, on_bytes: OnBytes) -> None:
        """Have a layer in the store, verified by both its digests while it arrives."""
        with self._lock, self._opened(layer) as file:
            if not is_verified(store, diff_id, layer.digest):
                take_layer(store, _chunks(file, layer.size), layer, diff_id, on_bytes)

    def send_layer(self, work: Sending, diff_id: str, on_bytes: OnBytes) -> Descriptor:
        """Have a layer of the store in the depot; say as which blob."""

        def put(file: int, blob: Descriptor) -> None:
            self._write(blob.digest, _counted(file, blob.size, on_bytes))

        return work.send_once(diff_id, self.has, put)

    def take_over(self, work: Sending, blob: Descriptor) -> bool:
        """Tell whether a blob that is not in the store is there."""
        del work
        return self.has(blob)

    def send_document(self, content: bytes, blob: Descriptor) -> None:
        """Have a document in the depot."""
        if not self.has(blob):
            self._write(blob.digest, iter((content,)))

    def publish(self, manifest: bytes) -> None:
        """Make ``manifest`` the one that the cache's tag means; all it names is there."""
        blob = describe(
            media_types.OCI_MANIFEST,
            manifest,
            annotations={media_types.REFERENCE_NAME: self._tag},
        )
        self.send_document(manifest, replace(blob, annotations={}))
        with self._entered() as top, explained(f"write `{self._path}`"):
            fcntl.flock(top, fcntl.LOCK_EX)
            others = tuple(
                entry
                for entry in self._index()
                if entry.annotations.get(media_types.REFERENCE_NAME) != self._tag
            )
            index = Index(manifests=(*others, blob))
            _replace(top, "oci-layout", iter((_VERSION,)))
            _replace(top, "index.json", iter((manifests.encode(index),)))

    def close(self) -> None:
        """Nothing stays open."""

    def _entry(self) -> Descriptor | None:
        for entry in self._index():
            named = entry.annotations.get(media_types.REFERENCE_NAME)
            if entry.digest == self._digest if self._digest else named == self._tag:
                return entry
        return None

    def _index(self) -> tuple[Descriptor, ...]:
        """Read the layout's index; empty if there is none.

        Raises:
            BadCache: it cannot be read.
        """
        try:
            with self._entered() as top, _file(top, "index.json") as (file, size):
                if size > MANIFEST_LIMIT:
                    raise BadCache(f"the index of `{self._path}` has {size} bytes")
                content = b"".join(_chunks(file, size))
        except FileNotFoundError:
            return ()
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise BadCache(f"cannot read the index of `{self._path}`: {reason}") from error
        return manifests.decode_index(content).manifests

    @contextmanager
    def _entered(self, *parts: str, makes: bool = False) -> Iterator[int]:
        """Open a directory of the depot, part by part."""
        if makes:
            with explained(f"make `{self._path}`"):
                self._path.mkdir(parents=True, exist_ok=True)
        # What the user named may be a link; what lies in it may not.
        current = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for part in parts:
                if makes:
                    with suppress(FileExistsError):
                        os.mkdir(part, 0o755, dir_fd=current)
                inner = os.open(part, _ENTER, dir_fd=current)
                os.close(current)
                current = inner
            yield current
        finally:
            os.close(current)

    @contextmanager
    def _opened(self, blob: Descriptor) -> Iterator[int]:
        digest = checked_digest(blob)
        try:
            with (
                self._entered("blobs", "sha256") as directory,
                _file(directory, digest.removeprefix("sha256:")) as (file, size),
            ):
                if size != blob.size:
                    raise BadCache(f"the blob `{digest}` in `{self._path}` has {size} bytes")
                yield file
        except OSError as error:
            raise BadCache(f"`{self._path}` does not have the blob `{digest}`") from error

    def _write(self, digest: str, chunks: Iterator[bytes]) -> None:
        with (
            explained(f"write `{self._path}`"),
            self._entered("blobs", "sha256", makes=True) as directory,
        ):
            _replace(directory, digest.removeprefix("sha256:"), chunks)


@contextmanager
def _file(directory: int, name: str) -> Iterator[tuple[int, int]]:
    """Open an ordinary file; nothing that blocks, and nothing that leads elsewhere."""
    file = os.open(name, _READ, dir_fd=directory)
    try:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode):
            raise FileNotFoundError(name)
        yield file, found.st_size
    finally:
        os.close(file)


def _replace(directory: int, name: str, chunks: Iterator[bytes]) -> None:
    """Write a file that gets its name when it is complete."""
    part = f".part-{uuid.uuid4().hex}"
    file = os.open(part, _WRITE, 0o644, dir_fd=directory)
    try:
        try:
            for chunk in chunks:
                rest = memoryview(chunk)
                while rest:
                    rest = rest[os.write(file, rest) :]
        finally:
            os.close(file)
        os.rename(part, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        with suppress(OSError):
            os.unlink(part, dir_fd=directory)
        raise


def _chunks(file: int, size: int) -> Iterator[bytes]:
    left = size
    while left and (chunk := os.read(file, min(CHUNK_BYTES, left))):
        left -= len(chunk)
        yield chunk


def _counted(file: int, size: int, on_bytes: OnBytes) -> Iterator[bytes]:
    os.lseek(file, 0, os.SEEK_SET)
    done = 0
    for chunk in _chunks(file, size):
        done += len(chunk)
        yield chunk
        on_bytes(done)
