"""Layers on their way out as blobs, which may be read while they are still compressed."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dissolver.errors import StoreError
from dissolver.store.faults import explained
from dissolver.store.layer_blobs import write_layer_blob

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from dissolver.image.media_types import Compression
    from dissolver.store import Store
    from dissolver.store.layer_blobs import LayerBlob

_LOOK_SECONDS = 0.002
"""How often the growth is looked at: to compress a block takes some ten times as long."""

_CHECK_SECONDS = 0.1


class Unrepeatable(StoreError):
    """A layer whose blob is lost, and cannot be made again byte for byte."""


class OutgoingLayer:
    """A layer as a blob in an open ``file``, which may be growing; for one reader.

    While that waits, ``check`` is called now and then, and may raise to end it.
    """

    def __init__(
        self, file: int, blob: LayerBlob | None = None, check: Callable[[], None] = lambda: None
    ) -> None:
        self.file = file
        self._check = check
        self._blob = blob
        self._failure: BaseException | None = None
        self._done = threading.Event()
        if blob is not None:
            self._done.set()

    @property
    def is_whole(self) -> bool:
        """Whether `finished` answers at once."""
        return self._done.is_set()

    def beyond(self, offset: int) -> int:
        """Wait for more than ``offset`` bytes, or the end; tell how many there are.

        Raises:
            As ``finished``.
        """
        while not self._done.is_set():
            size = os.fstat(self.file).st_size
            if size > offset:
                return size
            self._check()
            self._done.wait(_LOOK_SECONDS)
        return self.finished().size

    def finished(self) -> LayerBlob:
        """Wait for the end, and describe what the file holds.

        Raises:
            CoreFailure: the layer is not stored, or damaged.
            Unrepeatable: what came out is not what had to.
            DiskFull: there is no room for it.
        """
        while not self._done.wait(_CHECK_SECONDS):
            self._check()
        if self._failure is not None:
            raise self._failure
        if self._blob is None:
            raise AssertionError("a thread leaves what it made, or why it did not")
        return self._blob

    @contextmanager
    def growing(self, write: Callable[[Callable[[], bool]], LayerBlob]) -> Iterator[None]:
        """Have another thread ``write`` the file; it is told to stop when the context ends."""
        stop = threading.Event()

        def work() -> None:
            try:
                self._blob = write(stop.is_set)
            except BaseException as error:  # noqa: BLE001 - raised by whoever reads
                self._failure = error
            finally:
                self._done.set()

        # A daemon: a process that is told to end does not wait for a large layer.
        thread = threading.Thread(target=work, name="compress", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


@contextmanager
def opened_layer(
    store: Store,
    diff_id: str,
    known: Sequence[LayerBlob],
    compression: Compression,
    workspace: Path,
    *,
    level: int | None = None,
    is_fixed: bool = False,
    check: Callable[[], None] = lambda: None,
) -> Iterator[OutgoingLayer]:
    """Open a layer as a blob: the bytes that it came in, or what is compressed meanwhile.

    ``known`` are the forms that will do, the best first; without any it is ``compression``.
    ``level`` is of that one. Only the best of ``known`` may come out where it ``is_fixed``.
    What came out is remembered. Waiting for it ends with what ``check`` raises. A file that
    grows has no name: nothing of it is left when the context ends.

    Raises:
        DiskFull: there is no room for it.
    """
    kept = next((blob for blob in known if store.blobs.has(blob.digest)), None)
    if kept is not None:
        file = os.open(store.blobs.path(kept.digest), os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield OutgoingLayer(file, kept)
        finally:
            os.close(file)
        return
    wanted = known[0].compression if known else compression
    chosen = level if wanted == compression else None

    def write(should_stop: Callable[[], bool]) -> LayerBlob:
        made = write_layer_blob(
            store.layers, diff_id, file, wanted, level=chosen, should_stop=should_stop
        )
        store.transfers.remember_layer(made)
        if is_fixed and made.digest != known[0].digest:
            raise Unrepeatable(
                f"the layer `{diff_id}` cannot be made into the blob `{known[0].digest}` again"
            )
        return made

    path = workspace / diff_id.removeprefix("sha256:")
    with explained("make a temporary file"):
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        path.unlink()
        layer = OutgoingLayer(file, check=check)
        with layer.growing(write):
            yield layer
    finally:
        os.close(file)
