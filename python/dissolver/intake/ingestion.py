"""A layer that is stored while its tar arrives."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from dissolver.store.faults import explained

if TYPE_CHECKING:
    from dissolver._core.layer import LayerInfo, Layers


class Ingestion:
    """A thread that stores what comes out of a descriptor, from now on.

    The core cannot hear a signal while it waits for a silent writer. This thread
    waits in its place, so the one that asked for the layer stays awake.
    """

    def __init__(self, layers: Layers, descriptor: int) -> None:
        self._layers = layers
        # Whoever gives up closes the original; reading must not go on elsewhere.
        self._descriptor = os.dup(descriptor)
        self._layer: LayerInfo | None = None
        self._error: Exception | None = None
        # A `join` that Ctrl-C interrupts takes the thread for dead from then on
        # (CPython 3.11), and could not be repeated by `wait`.
        self._is_over = threading.Event()
        threading.Thread(target=self._run, name="ingestion", daemon=True).start()

    def _run(self) -> None:
        try:
            with explained("store the layer"):
                self._layer = self._layers.ingest(self._descriptor)
        except Exception as error:  # noqa: BLE001 - `result` raises it
            self._error = error
        finally:
            os.close(self._descriptor)
            self._is_over.set()

    def result(self) -> LayerInfo:
        """Wait for the end of the tar and answer the layer.

        Raises:
            CoreFailure: it is no tar, or one that would escape from its root.
            DiskFull: there was no room for the layer.
        """
        self._is_over.wait()
        if self._error is not None:
            raise self._error
        if self._layer is None:
            raise RuntimeError("the thread of an ingestion ended without a result")
        return self._layer

    def wait(self) -> None:
        """Wait until nothing is read any more, whatever came of it."""
        self._is_over.wait()
