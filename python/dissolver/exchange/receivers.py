"""OCI layouts as receivers: a directory that is added to, and a tar that is written anew."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import stat
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from dissolver.errors import ExportError
from dissolver.export.docker_archive import MANIFEST_FILE
from dissolver.export.oci_layout import INDEX_FILE, VERSION, VERSION_FILE
from dissolver.export.parcels import BLOBS, blob_name
from dissolver.image import manifest as manifests
from dissolver.image import media_types
from dissolver.image.digest import digest_of
from dissolver.image.manifest import MANIFEST_LIMIT, Descriptor, Index, describe
from dissolver.registry.layer_push import send_whole
from dissolver.store.faults import explained

if TYPE_CHECKING:
    from io import BufferedReader

    from dissolver.export.parcels import TarParcel
    from dissolver.registry.transport import Transport
    from dissolver.store.outgoing import OutgoingLayer

_CHUNK_BYTES = 1 << 20
_ENTER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class DirectoryReceiver:
    """A layout in a directory. Use it as a context: what fails leaves no half layout behind.

    A blob gets its name when it is complete. The index is replaced last, so that readers see
    an image whole or not at all; images that are there stay, but for one of the same name.
    """

    def __init__(self, path: Path, transport: Transport) -> None:
        self._path = path
        self.transport = transport
        self.label = str(path)
        self._is_new = self._was_empty = False
        self._top = self._blobs = -1

    def __enter__(self) -> DirectoryReceiver:
        """Make the directory, or see that it is a layout.

        Raises:
            ExportError: it is something else.
        """
        with explained("make the directory"):
            if self._path.exists() and not self._path.is_dir():
                raise ExportError(f"`{self._path}` exists and is no directory")
            self._is_new = not self._path.exists()
            self._path.mkdir(parents=True, exist_ok=True)
            self._was_empty = not any(self._path.iterdir())
            self._top = os.open(self._path, _ENTER)
        try:
            with explained("make the directory"):
                if not self._was_empty and not _is_layout(self._top):
                    raise ExportError(
                        f"`{self._path}` is not empty, and no OCI image layout",
                        hint="choose a directory that does not exist, or one that is a layout",
                    )
                self._blobs = self._enter_blobs()
                if self._was_empty:
                    _write_file(self._top, VERSION_FILE, VERSION)
        except BaseException:
            self._close()
            raise
        return self

    def _enter_blobs(self) -> int:
        """Open the directory of the blobs, which is made if necessary.

        From here on it is this one, whatever others put in its place: they may be allowed to
        write to the layout as well.
        """
        for name in ("blobs", BLOBS, INDEX_FILE):
            if (self._path / name).is_symlink():
                raise ExportError(f"`{self._path / name}` is a symbolic link")
        current = os.dup(self._top)
        for part in BLOBS.split("/"):
            try:
                with suppress(FileExistsError):
                    os.mkdir(part, dir_fd=current)
                inner = os.open(part, _ENTER | os.O_NOFOLLOW, dir_fd=current)
            finally:
                os.close(current)
            current = inner
        return current

    def _close(self) -> None:
        for descriptor in (self._blobs, self._top):
            if descriptor >= 0:
                os.close(descriptor)
        self._blobs = self._top = -1

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._close()
        if kind is not None and self._was_empty:
            with suppress(OSError):
                shutil.rmtree(self._path / "blobs")
                (self._path / VERSION_FILE).unlink()
                if self._is_new:
                    self._path.rmdir()

    def has(self, digest: str) -> bool:
        """Tell whether a blob is there and undamaged."""
        with _opened(self._blobs, Path(blob_name(digest)).name) as file:
            if file is None:
                return False
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}" == digest

    def mount(self, digest: str, source: str) -> bool:  # noqa: ARG002
        """Answer that there is nothing beside it to take a blob from."""
        return False

    def send_document(self, content: bytes, blob: Descriptor) -> None:
        """Add a blob that is at hand."""
        with self._blob(blob.digest) as file, explained("write the layout"):
            _write(file, content)

    def send_file(self, descriptor: int, blob: Descriptor, on_sent: Callable[[int], None]) -> None:
        """Add a blob from an open file."""
        with self._blob(blob.digest) as file:
            for chunk in _chunks(self.transport, descriptor, blob.size, on_sent):
                with explained("write the layout"):
                    _write(file, chunk)

    def send_layer(self, layer: OutgoingLayer, on_sent: Callable[[int], None]) -> bool:
        """Add a layer once all of it is there; tell whether it was missing."""
        return send_whole(self, layer, on_sent)

    def put_manifest(self, content: bytes, media_type: str, version: str) -> str:  # noqa: ARG002
        """Add a manifest or an index; `name` makes an image of the layout of it."""
        digest = digest_of(content)
        self.send_document(content, Descriptor(media_type, digest, len(content)))
        return digest

    def name(self, entry: Descriptor) -> None:
        """Enter an image into the index, in the place of one that has the same name."""
        # A lock belongs to an open file, and threads have to wait for one another, too.
        place = os.open(".", _ENTER, dir_fd=self._top)
        try:
            with explained("write the layout"):
                fcntl.flock(place, fcntl.LOCK_EX)
                index = self._index()
                _write_file(self._top, INDEX_FILE, _with_entry(index, entry))
        finally:
            os.close(place)

    def _index(self) -> dict[str, Any]:
        # Read as it is: fields that are not known here stay in it.
        try:
            os.stat(INDEX_FILE, dir_fd=self._top, follow_symlinks=False)
        except FileNotFoundError:
            return dict(msgspec.json.decode(manifests.encode(Index(manifests=()))))
        with _opened(self._top, INDEX_FILE) as file:
            if file is None:
                raise ExportError(f"`{self._path / INDEX_FILE}` is no file")
            content = file.read(MANIFEST_LIMIT + 1)
        manifests.decode_index(content)
        return dict(msgspec.json.decode(content))

    @contextmanager
    def _blob(self, digest: str) -> Iterator[int]:
        with _replaced(self._blobs, Path(blob_name(digest)).name) as file:
            yield file


class TarReceiver:
    """A layout in a tar, which `finish` ends; with ``is_docker`` one for ``docker load``."""

    def __init__(self, parcel: TarParcel, path: Path, transport: Transport) -> None:
        self._parcel = parcel
        self.transport = transport
        self.label = str(path)
        self._lock = threading.Lock()

    def has(self, digest: str) -> bool:
        """Tell whether a blob is in it."""
        with self._lock:
            return self._parcel.has(blob_name(digest))

    def mount(self, digest: str, source: str) -> bool:  # noqa: ARG002
        """Answer that there is nothing beside it to take a blob from."""
        return False

    def send_document(self, content: bytes, blob: Descriptor) -> None:
        """Add a blob that is at hand."""
        with self._lock:
            self._parcel.document(blob_name(blob.digest), content)

    def send_file(self, descriptor: int, blob: Descriptor, on_sent: Callable[[int], None]) -> None:
        """Add a blob from an open file; one after the other, as tars are."""
        with self._lock:
            chunks = _chunks(self.transport, descriptor, blob.size, on_sent)
            self._parcel.file(blob_name(blob.digest), blob.size, chunks)

    def send_layer(self, layer: OutgoingLayer, on_sent: Callable[[int], None]) -> bool:
        """Add a layer once all of it is there; tell whether it was missing."""
        return send_whole(self, layer, on_sent)

    def put_manifest(self, content: bytes, media_type: str, version: str) -> str:  # noqa: ARG002
        """Add a manifest or an index."""
        return self._parcel.blob(content)

    def finish(self, entry: Descriptor, row: Mapping[str, Any] | None) -> None:
        """Write what names the image, for OCI tools, and with ``row`` for Docker; end the tar."""
        index = dict(msgspec.json.decode(manifests.encode(Index(manifests=()))))
        self._parcel.document(VERSION_FILE, VERSION)
        self._parcel.document(INDEX_FILE, _with_entry(index, entry))
        if row is not None:
            self._parcel.document(MANIFEST_FILE, msgspec.json.encode([row]))
        self._parcel.finish()


def docker_row(content: bytes, names: list[str]) -> dict[str, Any]:
    """Write what Docker reads of an image whose manifest is ``content``."""
    manifest = manifests.decode_manifest(content)
    return {
        "Config": blob_name(manifest.config.digest),
        "RepoTags": names or None,
        "Layers": [blob_name(layer.digest) for layer in manifest.layers],
    }


def described(content: bytes, media_type: str, annotations: Mapping[str, str]) -> Descriptor:
    """Describe a manifest or an index as the index of a layout does."""
    return describe(media_type, content, annotations=dict(annotations))


def _with_entry(index: dict[str, Any], entry: Descriptor) -> bytes:
    made = msgspec.to_builtins(entry)
    kept = [one for one in index["manifests"] if not _is_replaced(one, entry)]
    return msgspec.json.encode({**index, "manifests": [*kept, made]})


def _is_replaced(old: dict[str, Any], entry: Descriptor) -> bool:
    before = old.get("annotations") or {}
    for key in (media_types.CONTAINERD_NAME, media_types.REFERENCE_NAME):
        if key in entry.annotations:
            return before.get(key) == entry.annotations[key]
    return not before and old.get("digest") == entry.digest


def _chunks(
    transport: Transport, descriptor: int, size: int, on_sent: Callable[[int], None]
) -> Iterator[bytes]:
    done = 0
    while done < size:
        transport.patience.check()
        with explained("read the layer"):
            chunk = os.pread(descriptor, min(_CHUNK_BYTES, size - done), done)
        if not chunk:
            raise ExportError("the file of a layer is cut short")
        yield chunk
        done += len(chunk)
        on_sent(done)


def _is_layout(directory: int) -> bool:
    try:
        return stat.S_ISREG(os.stat(VERSION_FILE, dir_fd=directory).st_mode)
    except OSError:
        return False


@contextmanager
def _opened(directory: int, name: str) -> Iterator[BufferedReader | None]:
    """Open an ordinary file of a layout; nothing that blocks, and nothing that leads elsewhere."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = -1
    with suppress(OSError):
        descriptor = os.open(name, flags, dir_fd=directory)
    try:
        is_file = descriptor >= 0 and stat.S_ISREG(os.fstat(descriptor).st_mode)
        yield os.fdopen(descriptor, "rb", closefd=False) if is_file else None
    finally:
        if descriptor >= 0:
            os.close(descriptor)


@contextmanager
def _replaced(directory: int, name: str) -> Iterator[int]:
    """Open a file that is to be written; it gets its name where the block ends well.

    Until then it has one that nobody guesses: others may write to the directory, and would
    put a link there to a file that only this user may write to.
    """
    part = f".part-{os.urandom(8).hex()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with explained("write the layout"):
        file = os.open(part, flags, 0o666, dir_fd=directory)
    try:
        try:
            yield file
        finally:
            os.close(file)
        with explained("write the layout"):
            os.replace(part, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        with suppress(OSError):
            os.unlink(part, dir_fd=directory)
        raise


def _write(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _write_file(directory: int, name: str, content: bytes) -> None:
    with _replaced(directory, name) as file:
        _write(file, content)
