"""The layers that a build stands on, fetched once something needs them.

A step that a shared cache answers needs no layer: its key does not, nor do the keys of the
steps above it, as long as they are answered as well. So what a result is not made of is
never fetched: the stages that it only copies from, and what they are built on.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from dissolver.errors import (
    BadCache,
    BadManifest,
    CacheUnavailable,
    Cancelled,
    ContentMismatch,
    CoreFailure,
    DissolverError,
    NotInRegistry,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dissolver.build.bases import BaseImages
    from dissolver.build.events import OpenVertex
    from dissolver.cache.inputs import CacheKey
    from dissolver.cache.shared.importing import ImportedCache
    from dissolver.image.manifest import Descriptor
    from dissolver.store import Store
    from dissolver.store.records import StepRecord

AT_ONCE = 3
"""Layers in transfer at the same time, as in a pull."""

_ONE_LAYER = (BadCache, BadManifest, ContentMismatch, CoreFailure, NotInRegistry)
"""What is wrong with a layer, and says nothing about others."""


@dataclass(slots=True)
class _Offer:
    """A layer that a shared cache has, and the records that wait for it."""

    cache: ImportedCache
    blob: Descriptor
    records: list[StepRecord] = field(default_factory=list)


class Supply:
    """Layers in the store, and those that could be; for several threads.

    ``is_lazy`` tells that layers are left where they are until they are needed. Without it
    every layer of a build is in the store, and asking costs nothing.
    """

    def __init__(
        self, store: Store, bases: BaseImages, is_over: Callable[[], bool], *, is_lazy: bool
    ) -> None:
        self._store = store
        self._bases = bases
        self._is_over = is_over
        self._is_interrupted = False
        self.is_lazy = is_lazy
        self._offers: dict[str, _Offer] = {}
        self._doubted: set[str] = set()
        self._lock = threading.Lock()

    def offer(self, record: StepRecord, cache: ImportedCache, blob: Descriptor | None) -> None:
        """Take note of a layer that ``cache`` has; its record is kept once the layer is here.

        So no record in the store is ever without its layer, and none without its digests
        having been verified.
        """
        from dissolver.cache.shared.streaming import is_verified

        with self._lock:
            if blob is not None and not is_verified(self._store, record.diff_id, blob.digest):
                self._doubted.add(record.diff_id)
                made = self._offers.setdefault(record.diff_id, _Offer(cache, blob))
                made.records.append(record)
                return
        self._store.records.put(record)

    def withdraw(self, depot: str, blob: str) -> None:
        """Forget a layer that a shared cache offered; all of them without ``blob``."""
        with self._lock:
            self._offers = {
                layer: offer
                for layer, offer in self._offers.items()
                if offer.cache.name != depot or blob not in ("", offer.blob.digest)
            }
            self._doubted &= self._offers.keys()

    def lacks(self, diff_ids: Iterable[str]) -> bool:
        """Tell whether one of the layers is not in the store, or not known to be a cache's."""
        return self.is_lazy and not all(self._has(diff_id) for diff_id in diff_ids)

    def have(self, diff_ids: Iterable[str], vertex: OpenVertex | None) -> None:
        """Have layers in the store, fetched from where they are known to be.

        Raises:
            CacheUnavailable: a shared cache does not give what it said it has.
            RegistryError and its kinds: the layers of an image cannot be had.
        """
        if not self.is_lazy:
            return
        missing = {diff_id for diff_id in diff_ids if not self._has(diff_id)}
        if not missing:
            return
        self._bases.fetch_layers(missing, vertex)
        with self._lock:
            offers = {
                diff_id: self._offers[diff_id]
                for diff_id in sorted(missing)
                if diff_id in self._offers and not self._has(diff_id)
            }
        if not offers:
            return
        pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="fetch")
        try:
            tasks = [pool.submit(self._fetch, *one, vertex) for one in offers.items()]
            wait(tasks)
        except BaseException:
            self._is_interrupted = True
            raise
        finally:
            pool.shutdown(wait=not self._is_interrupted, cancel_futures=True)
        for task in tasks:
            task.result()

    def _has(self, diff_id: str) -> bool:
        from dissolver.cache.shared.streaming import is_stored

        return diff_id not in self._doubted and is_stored(self._store, diff_id)

    def _fetch(self, diff_id: str, offer: _Offer, vertex: OpenVertex | None) -> None:
        blob = offer.blob
        try:
            with ExitStack() as stack:
                status = None
                if vertex is not None:
                    status = stack.enter_context(vertex.status(blob.digest))

                def on_bytes(done: int) -> None:
                    if self._is_interrupted or self._is_over():
                        raise Cancelled("the build was cancelled")
                    if status is not None:
                        status.reached(done, blob.size)

                offer.cache.fetch(self._store, blob, diff_id, on_bytes)
        except DissolverError as error:
            if self._is_over():
                raise Cancelled("the build was cancelled") from error
            failure = CacheUnavailable(
                f"a layer could not be fetched from the cache `{offer.cache.name}`: {error.message}"
            )
            failure.depot = offer.cache.name
            # Where nobody answers, the next layer would have to be waited for as well.
            failure.blob = blob.digest if isinstance(error, _ONE_LAYER) else ""
            raise failure from error
        with self._lock:
            records, offer.records = offer.records, []
            self._doubted.discard(diff_id)
        for record in records:
            self._store.records.put(record)


def found_at(record: StepRecord, build: str, step: str, key: CacheKey | None = None) -> StepRecord:
    """Return a shared cache's record as that of a place in a build on this machine.

    What the key was derived from here counts more than what the cache says of it.
    """
    inputs = record.inputs if key is None else key.inputs
    return replace(record, build=build, step=step, inputs=inputs)
