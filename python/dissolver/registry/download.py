"""One layer from a registry into the store: verified, stored and indexed while it arrives.

The bytes go three ways as they come: into a hash, into a file (the blob as the
registry has it), and through a pipe to the core, which unpacks, verifies and
indexes the tar. A connection that breaks is continued where it stopped; a process
that is killed leaves the file, and the next pull goes on from there.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dissolver.errors import ContentMismatch
from dissolver.image.manifest import checked_digest
from dissolver.image.media_types import layer_compression
from dissolver.registry.patience import ATTEMPTS
from dissolver.registry.transport import BLOCK_BYTES, Interrupted
from dissolver.store.faults import explained
from dissolver.store.layer_blobs import LayerBlob

if TYPE_CHECKING:
    from dissolver.image.manifest import Descriptor
    from dissolver.registry.ends import Provider, Reading
    from dissolver.registry.events import LayerState
    from dissolver.store import Store

OnBytes = Callable[["LayerState", int], None]

PART_PREFIX = "part-"
"""What the file of an unfinished blob is called, before its digest; `image prune` removes it."""

_PIPE_BYTES = 1 << 20
_ROUNDS = 2
"""How often a blob is fetched whole: once more after bytes that were damaged on the way."""


def fetch_layer(
    store: Store,
    provider: Provider,
    layer: Descriptor,
    diff_id: str,
    on_bytes: OnBytes,
    *,
    keeps_blob: bool = True,
    is_proven: bool = False,
) -> bool:
    """Have a layer in the store; answer whether it had to be fetched.

    What another process is fetching is waited for. The layer and the blob appear when both
    digests are verified, or not at all. Without ``keeps_blob`` the layer alone is kept. With
    ``is_proven`` a layer that is there counts only if it is known to be what the blob holds.

    Raises:
        ContentMismatch: the bytes are not what the manifest says, also when fetched again.
        CoreFailure: they are, but hold no proper layer, or another one.
        RegistryError: the registry fails.
    """
    digest = checked_digest(layer)
    if _is_there(store, diff_id, layer, is_proven=is_proven):
        return False
    part = store.layout.tmp / (PART_PREFIX + digest.removeprefix("sha256:"))
    with _alone(part, provider, on_bytes) as file:
        if _is_there(store, diff_id, layer, is_proven=is_proven):
            part.unlink(missing_ok=True)
            return False
        for left in reversed(range(_ROUNDS)):
            try:
                with Unpacking(store, diff_id) as unpacking:
                    _Fetch(provider, layer, file, unpacking.feed, on_bytes).run()
                    on_bytes("Extracting", layer.size)
                    unpacking.finish()
                break
            except ContentMismatch:
                with explained("write to the store"):
                    os.ftruncate(file, 0)
                if not left:
                    part.unlink(missing_ok=True)
                    raise
                on_bytes("Retrying", 0)
        if keeps_blob:
            store.blobs.adopt(part, digest)
        else:
            part.unlink(missing_ok=True)
    compression = layer_compression(layer.media_type)
    store.transfers.remember_layer(LayerBlob(diff_id, compression, digest, layer.size))
    return True


def fetch_file(provider: Provider, blob: Descriptor, file: int, on_bytes: OnBytes) -> None:
    """Fetch a blob into an empty open file, verified.

    Raises:
        ContentMismatch: the bytes are not what the descriptor says.
        RegistryError: the registry fails.
    """
    _Fetch(provider, blob, file, lambda _: None, on_bytes).run()


def _is_there(store: Store, diff_id: str, layer: Descriptor, *, is_proven: bool) -> bool:
    with explained("look up the layer"):
        if store.layers.info(diff_id) is None:
            return False
    return not is_proven or store.transfers.layer_of(layer.digest) == diff_id


class _Fetch:
    """One blob on its way."""

    def __init__(
        self,
        provider: Provider,
        layer: Descriptor,
        file: int,
        feed: Callable[[bytes], None],
        on_bytes: OnBytes,
    ) -> None:
        self._provider = provider
        self._layer = layer
        self._file = file
        self._feed = feed
        self._on_bytes = on_bytes
        self._transport = provider.transport
        self._hash = hashlib.sha256()
        self._done = 0
        self._takes_parts = True

    def run(self) -> None:
        """Fetch it, with what is in the file already, and verify it."""
        self._take_up()
        failures = 0
        while self._done < self._layer.size:
            before = self._done
            try:
                self._receive()
            except Interrupted:
                # A line that drops often gets far in the end: only standing still counts.
                failures = 0 if self._done > before else failures + 1
                if failures == ATTEMPTS:
                    raise
                self._on_bytes("Retrying", self._done)
                self._transport.patience.pause(failures)
        self._on_bytes("Verifying Checksum", self._done)
        found = f"sha256:{self._hash.hexdigest()}"
        if found != self._layer.digest:
            raise ContentMismatch(
                f"`{self._provider.label}` sent a layer with the digest {found}, "
                f"which should have {self._layer.digest}"
            )

    def _take_up(self) -> None:
        """Begin with what an earlier pull has left."""
        with explained("read what an earlier pull left"):
            left = os.fstat(self._file).st_size
            if left > self._layer.size:
                os.ftruncate(self._file, 0)
            os.lseek(self._file, 0, os.SEEK_SET)
            while chunk := os.read(self._file, BLOCK_BYTES):
                self._transport.patience.check()
                self._hash.update(chunk)
                self._done += len(chunk)
                self._feed(chunk)
        self._on_bytes("Downloading", self._done)

    def _receive(self) -> None:
        """Take what one answer has of the rest."""
        answer = self._provider.blob(
            checked_digest(self._layer),
            offset=self._done if self._takes_parts else 0,
            size=self._layer.size,
        )
        with self._transport.watched(answer):
            if answer.status == 416 and self._takes_parts:
                # It has less than it should, or gives no parts: all of it will show which.
                self._takes_parts = False
                raise Interrupted(f"`{self._provider.label}` gives no part of a layer")
            skip = self._check_place(answer)
            for chunk in answer.chunks():
                self._transport.patience.check()
                piece = chunk[skip:] if skip else chunk
                skip = max(0, skip - len(chunk))
                if not piece:
                    continue
                if self._done + len(piece) > self._layer.size:
                    raise ContentMismatch(
                        f"`{self._provider.label}` sends more than the "
                        f"{self._layer.size} bytes that the layer {self._layer.digest} has"
                    )
                self._keep(piece)
        if self._done < self._layer.size:
            raise Interrupted(
                f"`{self._provider.label}` sent {self._done} bytes of a layer, "
                f"which has {self._layer.size}"
            )

    def _check_place(self, answer: Reading) -> int:
        """Tell how many bytes of the answer are known already.

        Raises:
            ContentMismatch: it has another length than the manifest says.
        """
        if answer.status == 206:
            start = answer.headers.get("content-range", "").removeprefix("bytes ").partition("-")[0]
            if start != str(self._done):
                raise ContentMismatch(
                    f"`{self._provider.label}` answers with another part of a layer"
                )
            return 0
        if answer.status == 416:
            raise ContentMismatch(
                f"`{self._provider.label}` has fewer bytes than the "
                f"{self._layer.size} that the layer {self._layer.digest} should have"
            )
        if answer.length is not None and answer.length != self._layer.size:
            raise ContentMismatch(
                f"`{self._provider.label}` offers {answer.length} bytes for the layer "
                f"{self._layer.digest}, which has {self._layer.size}"
            )
        return self._done

    def _keep(self, piece: bytes) -> None:
        with explained("write to the store"):
            _write(self._file, piece)
        self._hash.update(piece)
        self._done += len(piece)
        self._feed(piece)
        self._on_bytes("Downloading", self._done)


class Unpacking:
    """The core, reading a layer from a pipe in a thread of its own."""

    def __init__(self, store: Store, diff_id: str) -> None:
        self._store = store
        self._diff_id = diff_id
        self._reading, self._writing = os.pipe2(os.O_CLOEXEC)
        with suppress(OSError):  # A limit of the user's may be lower; it is only faster.
            fcntl.fcntl(self._writing, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._failure: BaseException | None = None
        self._is_broken = False
        self._thread = threading.Thread(target=self._run, name="unpacking", daemon=True)

    def __enter__(self) -> Unpacking:
        self._thread.start()
        return self

    def feed(self, data: bytes) -> None:
        """Give the next bytes; what nobody reads any more is dropped, `finish` says why."""
        if self._is_broken:
            return
        try:
            _write(self._writing, data)
        except BrokenPipeError:
            self._is_broken = True

    def finish(self) -> None:
        """Say that these were all, and wait for the layer.

        Raises:
            CoreFailure: they hold no proper layer, or another one.
            DiskFull: there was no room for it.
        """
        self._close()
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def __exit__(self, *_: object) -> None:
        # Without `finish` the tar ends too early, and nothing is kept of it.
        self._close()
        self._thread.join()

    def _close(self) -> None:
        if self._writing >= 0:
            os.close(self._writing)
            self._writing = -1

    def _run(self) -> None:
        try:
            with explained("store the layer"):
                self._store.layers.ingest(self._reading, expect=self._diff_id)
        except BaseException as error:  # noqa: BLE001 - `finish` raises it
            self._failure = error
        finally:
            os.close(self._reading)


@contextmanager
def _alone(part: Path, provider: Provider, on_bytes: OnBytes) -> Iterator[int]:
    """Open the file of an unfinished blob, alone among all processes and threads."""
    patience = provider.transport.patience
    file = -1
    try:
        while file < 0:
            with explained("write to the store"):
                file = os.open(part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    is_ours = False
                else:
                    # Whoever had it may have finished, and taken the name away.
                    is_ours = _is_still(part, file)
            if not is_ours:
                os.close(file)
                file = -1
                on_bytes("Waiting", 0)
                patience.wait(0.1)
        yield file
    finally:
        if file >= 0:
            os.close(file)


def _is_still(part: Path, file: int) -> bool:
    try:
        return os.path.samestat(part.stat(), os.fstat(file))
    except FileNotFoundError:
        return False


def _write(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
