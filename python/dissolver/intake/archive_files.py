"""The files in an archive of images, wherever that comes from.

Nothing is unpacked: a name leads to a stretch of a file. So no name in an archive,
whatever it says, is ever a path on this machine.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import stat
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from dissolver.errors import IntakeError
from dissolver.store.faults import explained

if TYPE_CHECKING:
    from dissolver.store import Store

MOST_ENTRIES = 100_000
"""Files in one archive; an image has some hundred at most."""

HEADERS_LIMIT = 128 << 20
"""Bytes of all headers of one archive, long names included; those of `MOST_ENTRIES` take 49 MiB."""

_CHUNK_BYTES = 1 << 20
_MOST_LINKS = 8


ReadAt = Callable[[int, int], bytes]
"""Reads at most so many bytes from an offset on, as `os.pread` does of an open file."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Bytes of a file, which ``read_at`` reads."""

    read_at: ReadAt
    offset: int
    size: int

    @classmethod
    def of(cls, descriptor: int, size: int, *, offset: int = 0) -> Stretch:
        """Describe bytes of an open file, which its owner closes."""
        return cls(partial(os.pread, descriptor), offset, size)

    def behind(self, offset: int) -> Stretch:
        """Describe what is left behind the first ``offset`` bytes."""
        return Stretch(self.read_at, self.offset + offset, self.size - offset)

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes piece by piece.

        Raises:
            IntakeError: there are fewer than there should be.
        """
        done = 0
        while done < self.size:
            wanted = min(_CHUNK_BYTES, self.size - done)
            chunk = self.read_at(wanted, self.offset + done)
            if not chunk:
                raise IntakeError("the archive is cut short")
            done += len(chunk)
            yield chunk

    def begins_with(self, *magics: bytes) -> bool:
        """Tell whether the first bytes are one of these."""
        longest = max(map(len, magics))
        return self.read_at(min(longest, self.size), self.offset).startswith(magics)

    def read(self, *, limit: int) -> bytes:
        """Read everything, at most ``limit`` bytes.

        Raises:
            IntakeError: there is more, or less than there should be.
        """
        if self.size > limit:
            raise IntakeError(f"a document of {self.size} bytes is too long; {limit} are accepted")
        return b"".join(self.chunks())


class Stream:
    """The bytes of a stretch as a pipe, hashed on their way through.

    They are written to the open file ``copy`` as well, if there is one and room for them;
    ``has_copied`` tells, once `digest` has answered.
    """

    def __init__(self, stretch: Stretch, *, copy: int | None = None) -> None:
        self._stretch = stretch
        self._copy = copy
        self._hasher = hashlib.sha256()
        self._failure: Exception | None = None
        self.descriptor, self._writing = os.pipe()
        self._thread = threading.Thread(target=self._pump, name="stretch", daemon=True)
        self._thread.start()

    def _pump(self) -> None:
        try:
            for chunk in self._stretch.chunks():
                self._hasher.update(chunk)
                self._write_copy(chunk)
                view = memoryview(chunk)
                while view:
                    view = view[os.write(self._writing, view) :]
        except BrokenPipeError:
            pass  # The reader says itself why it stopped.
        except Exception as error:  # noqa: BLE001 - `digest` raises it
            self._failure = error
        finally:
            os.close(self._writing)

    def _write_copy(self, chunk: bytes) -> None:
        if self._copy is None:
            return
        try:
            view = memoryview(chunk)
            while view:
                view = view[os.write(self._copy, view) :]
        except OSError:
            # The copy is worth having, and nothing fails for want of it.
            self._copy = None

    @property
    def has_copied(self) -> bool:
        """Whether the copy has all that was read."""
        return self._copy is not None

    def close(self) -> None:
        """Stop reading; what is left is not hashed."""
        os.close(self.descriptor)
        self._thread.join()

    def digest(self) -> str:
        """Tell the digest of all the bytes, which must have been read."""
        self._thread.join()
        if self._failure is not None:
            raise self._failure
        return f"sha256:{self._hasher.hexdigest()}"


class Files(Protocol):
    """Files by their names."""

    def find(self, name: str) -> Stretch | None:
        """Look up a file."""


class _Headers:
    """A tar as `tarfile` reads it to list its entries.

    The padding behind the last content may be missing, as some writers leave it out. A header
    says itself how long it is, so all of them together must not be longer than `HEADERS_LIMIT`.
    """

    def __init__(self, descriptor: int, size: int) -> None:
        self._descriptor = descriptor
        self._size = size
        self._place = 0
        self._left = HEADERS_LIMIT

    def read(self, size: int) -> bytes:
        """Read some bytes; behind the last one, zeros up to a whole block."""
        end = self._size + -self._size % tarfile.BLOCKSIZE
        size = max(min(size, end - self._place), 0)
        if size > self._left:
            raise IntakeError(f"the headers of the archive have more than {HEADERS_LIMIT} bytes")
        self._left -= size
        data = os.pread(self._descriptor, size, self._place).ljust(size, b"\0")
        self._place += size
        return data

    def seek(self, place: int) -> None:
        """Go on reading elsewhere."""
        self._place = place

    def tell(self) -> int:
        """Tell where reading goes on."""
        return self._place


class ArchiveFiles:
    """The files of a tar in an open, seekable file."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._size = os.fstat(descriptor).st_size
        self._stretches: dict[str, Stretch] = {}
        self._links: dict[str, str] = {}
        try:
            self._list(_Headers(descriptor, self._size))
        except (tarfile.TarError, ValueError, OverflowError, RecursionError) as error:
            raise IntakeError(
                f"this is no archive of images: {str(error) or 'it is no tar'}",
                hint="`dissolver import` makes an image of a root file system",
            ) from error

    def _list(self, file: _Headers) -> None:
        with tarfile.open(fileobj=file, mode="r:") as tar:  # type: ignore[call-overload]
            for count, entry in enumerate(tar):
                if count >= MOST_ENTRIES:
                    raise IntakeError(f"the archive has more than {MOST_ENTRIES} files")
                name = _plain(entry.name)
                if entry.isreg() and not entry.issparse():
                    self._stretches[name] = self._stretch(entry)
                elif entry.issym():
                    above = posixpath.dirname(name)
                    self._links[name] = _plain(posixpath.join(above, entry.linkname))
                elif entry.islnk():
                    self._links[name] = _plain(entry.linkname)
                # Listed entries would keep all of an archive's headers in memory.
                tar.members = []

    def _stretch(self, entry: tarfile.TarInfo) -> Stretch:
        if entry.offset_data + entry.size > self._size:
            raise IntakeError("the archive is cut short")
        return Stretch.of(self._descriptor, entry.size, offset=entry.offset_data)

    def find(self, name: str) -> Stretch | None:
        """Look up a file; links in the archive are followed."""
        name = _plain(name)
        for _ in range(_MOST_LINKS):
            found = self._stretches.get(name)
            if found is not None or name not in self._links:
                return found
            name = self._links[name]
        return None


class DirectoryFiles:
    """The files of a directory; what a symbolic link leads to is not among them.

    None stays open: a layout may have more blobs than a process may have open files.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def find(self, name: str) -> Stretch | None:
        """Look up a file."""
        plain = _plain(name)
        descriptor = self._opened(plain)
        if descriptor is None:
            return None
        try:
            return Stretch(partial(self._read, plain), 0, os.fstat(descriptor).st_size)
        finally:
            os.close(descriptor)

    def _read(self, name: str, size: int, offset: int) -> bytes:
        descriptor = self._opened(name)
        if descriptor is None:
            raise IntakeError(f"`{name}` of `{self._path}` has gone meanwhile")
        try:
            return os.pread(descriptor, size, offset)
        finally:
            os.close(descriptor)

    def _opened(self, name: str) -> int | None:
        if "\0" in name:
            return None
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        place = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
        try:
            *above, last = name.split("/")
            for part in above:
                inner = os.open(part, flags | os.O_DIRECTORY, dir_fd=place)
                os.close(place)
                place = inner
            descriptor = os.open(last, flags, dir_fd=place)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise IntakeError(
                f"cannot read `{name}` of `{self._path}`: {error.strerror}"
            ) from error
        finally:
            os.close(place)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            return None
        return descriptor


@contextmanager
def opened_files(store: Store, source: str | int) -> Iterator[Files]:
    """Open an archive (a path, a pipe, any open file; compressed or not) or a directory.

    What cannot be read at any place, as a pipe or compressed data, is first written to the
    store's file system.

    Raises:
        IntakeError: it cannot be opened, or is no archive.
    """
    if not isinstance(source, int) and Path(source).is_dir():
        yield DirectoryFiles(Path(source))
        return
    with _descriptor(source) as descriptor, store.workspace() as workspace:
        if _is_plain(descriptor):
            yield ArchiveFiles(descriptor)
            return
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with explained("make a temporary file"):
            copy = os.open(workspace / "archive", flags, 0o600)
        try:
            _decompress(descriptor, copy)
            yield ArchiveFiles(copy)
        finally:
            os.close(copy)


@contextmanager
def _descriptor(source: str | int) -> Iterator[int]:
    if isinstance(source, int):
        if os.isatty(source):
            raise IntakeError(
                "a terminal is no archive", hint="name a file with `-i`, or redirect one: `< FILE`"
            )
        yield source
        return
    try:
        descriptor = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise IntakeError(f"cannot open the archive `{source}`: {reason}") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _is_plain(descriptor: int) -> bool:
    """Tell whether the file can be read at any place, and is no compressed one."""
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        return False
    with suppress(OSError):
        if os.lseek(descriptor, 0, os.SEEK_CUR) != 0:
            return False
    return os.pread(descriptor, 8, 257).startswith(b"ustar")


def _decompress(source: int, target: int) -> None:
    from dissolver._core import CoreError, compress

    with explained("read the archive"):
        try:
            compress.decompress(source, target)
        except CoreError as error:
            if error.kind in ("bad-tar", "limit"):
                raise IntakeError(f"cannot read the archive: {error.message}") from error
            raise
    os.lseek(target, 0, os.SEEK_SET)


def _plain(name: str) -> str:
    return posixpath.normpath(posixpath.join("/", name)).lstrip("/")
