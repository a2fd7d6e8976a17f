"""The shared caches of one build: asked for what steps come to, and told of it."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

from dissolver.build.emulation import machine_platform
from dissolver.cache.shared.depot import open_depot
from dissolver.cache.shared.exporting import Exporter, Means, failure_of
from dissolver.cache.shared.importing import read_cache, stored_cache
from dissolver.cache.shared.inline import with_records
from dissolver.errors import CacheExportFailed, Cancelled, DissolverError, ImageNotFound
from dissolver.plan.graph import StageBase

if TYPE_CHECKING:
    from collections.abc import Callable

    from dissolver.build.bases import OpenSources
    from dissolver.build.events import OpenVertex, Progress
    from dissolver.build.request import BuildRequest
    from dissolver.build.supply import Supply
    from dissolver.cache.shared.document import SharedRecord
    from dissolver.cache.shared.exporting import Finished
    from dissolver.cache.shared.importing import ImportedCache
    from dissolver.cache.shared.options import CacheExport, CacheImport
    from dissolver.errors import CacheUnavailable
    from dissolver.image.config import ImageConfig
    from dissolver.image.platform import Platform
    from dissolver.plan.graph import StageGraph
    from dissolver.registry.resolve import Sources
    from dissolver.store import Store
    from dissolver.store.records import StepRecord


class Sharing:
    """What ``--cache-from`` and ``--cache-to`` name, for one build; for several threads.

    Caches are asked in their order, and the first one that has a result counts. One that
    cannot be read is told with a warning and left out. A context manager: at its end
    nothing is sent any more, and what was not finished is abandoned. ``missed`` says why
    steps were done, by their place and their key.
    """

    def __init__(
        self,
        store: Store,
        request: BuildRequest,
        open_sources: OpenSources | None,
        progress: Progress,
        is_over: Callable[[], bool],
    ) -> None:
        self._store = store
        self._request = request
        self._progress = progress
        self._reading = _Ways(open_sources, is_over)
        self._writing = _Ways(open_sources, self._is_unwanted)
        self._is_over = is_over
        self._machine = str(machine_platform())
        self._is_abandoned = False
        self._caches: list[ImportedCache] = []
        self._depots: list[str] = []
        self._unasked: list[str] = []
        self._trouble: dict[str, str] = {}
        self._seen: set[str] = set()
        self.missed: dict[tuple[tuple[int, int], str], str] = {}
        self._spoilt: set[str] = set()
        self._exporters: list[Exporter] = []
        self._inline: list[Finished] | None = None
        self._result: frozenset[int] = frozenset()
        self._lock = threading.Lock()

    @property
    def is_told(self) -> bool:
        """Whether anybody wants to know what steps come to."""
        return bool(self._request.cache_to) or self._request.writes_inline_cache

    # Asking ------------------------------------------------------------------

    def open(self, graph: StageGraph, supply: Supply) -> None:
        """Read the caches to ask, and open those to tell, for a build of ``graph``.

        Raises:
            BadCacheOption: one cannot be opened on this machine.
            BadReference: a name is none.
        """
        self._result = _result_stages(graph)
        for asked in self._request.cache_from:
            self._import(asked, graph.target.platform)
        for told in self._request.cache_to:
            if told.place.kind != "inline":
                self._exporters.append(self._exporter(told, supply))
        if self._request.writes_inline_cache:
            self._inline = []

    def _import(self, asked: CacheImport, platform: Platform) -> None:
        depot = open_depot(asked.place, self._reading.open)
        self._depots.append(depot.name)
        shown = asked.place.ref or depot.name
        with self._progress.vertex(f"importing cache manifest from {shown}") as vertex:
            try:
                self._caches.append(read_cache(depot, platform, self._machine))
            except Cancelled:
                raise
            except DissolverError as error:
                known = self._stored(asked, depot.name)
                if known is not None:
                    self._caches.append(known)
                    return
                self._unasked.append(f"the cache `{depot.name}`")
                vertex.warn(
                    f"the cache `{shown}` could not be imported: {error.message}", hint=error.hint
                )

    def _stored(self, asked: CacheImport, name: str) -> ImportedCache | None:
        """Find an image that was pulled before, and holds records of its steps."""
        if asked.place.kind != "registry":
            return None
        try:
            image = self._store.images.resolve(asked.place.ref)
            return stored_cache(name, image.config, self._machine)
        except (ImageNotFound, DissolverError):
            return None

    @property
    def depots(self) -> list[str]:
        """The caches that the build names, whether or not they could be read."""
        return self._depots

    def find(self, digest: str) -> StepRecord | None:
        """Answer the record with a key or a shortcut, if its layer can be had."""
        found = self.look(digest)
        return None if found is None else found[0].step_record(found[1], digest)

    def look(self, digest: str) -> tuple[ImportedCache, SharedRecord] | None:
        """Find the cache that has a result, and what it says of it."""
        for cache in list(self._caches):
            record = cache.find(digest)
            if record is None:
                continue
            if record.blob in self._spoilt:
                self._trouble[digest] = (
                    f"its layer could not be fetched from the cache `{cache.name}`"
                )
                continue
            try:
                if record.blob in self._seen or cache.has_layer(self._store, record):
                    self._seen.add(record.blob)
                    return cache, record
                why = "its layer is not in the cache `{}` any more"
            except Cancelled:
                if self._is_over():
                    raise
                why = "its layer could not be looked up in the cache `{}`"
            except DissolverError:
                why = "its layer could not be looked up in the cache `{}`"
            self._trouble[digest] = why.format(cache.name)
        return None

    def nearest(self, step: str) -> StepRecord | None:
        """Answer the record that another machine last made of the step at this place."""
        for cache in self._caches:
            record = cache.at(step)
            if record is not None:
                return cache.step_record(record, record.key)
        return None

    def trouble(self, digest: str) -> str | None:
        """Say why a record with this key could not be used."""
        return self._trouble.get(digest)

    def unasked(self) -> str | None:
        """Say which caches could not be asked at all."""
        return " and ".join(self._unasked) or None

    def leave_out(self, failure: CacheUnavailable, supply: Supply, vertex: OpenVertex) -> None:
        """Take a layer from a cache no more, or ask that no more at all.

        It does not give what it said that it has.
        """
        supply.withdraw(failure.depot, failure.blob)
        if failure.blob:
            self._spoilt.add(failure.blob)
        else:
            self._caches = [cache for cache in self._caches if cache.name != failure.depot]
            self._unasked.append(f"the cache `{failure.depot}`")
        vertex.warn(failure.message)

    def is_in_result(self, stage: int) -> bool:
        """Tell whether a stage's layers are layers of the result."""
        return stage in self._result

    # Telling -----------------------------------------------------------------

    def tell(self, step: Finished) -> None:
        """Tell every cache that is written of a step that has its result."""
        for exporter in self._exporters:
            exporter.add(step)
        if self._inline is not None and step.in_result:
            with self._lock:
                self._inline.append(step)

    def restart(self) -> None:
        """Forget what was told: the build begins anew, without one of its caches."""
        self._exporters = [exporter.again() for exporter in self._exporters]
        if self._inline is not None:
            self._inline = []

    def inscribed(self, config: ImageConfig) -> ImageConfig:
        """Return ``config`` with the records of its steps, if an inline cache was asked for."""
        if self._inline is None:
            return config
        with self._progress.vertex("preparing layers for inline cache"):
            steps = sorted(self._inline, key=lambda step: step.order)
            return with_records(config, [step.inline() for step in steps], self._machine)

    def export(self) -> None:
        """Write the caches.

        Raises:
            CacheExportFailed: one could not be written, and its errors are not to be ignored.
        """
        for exporter in self._exporters:
            with self._progress.vertex(f"exporting cache to {exporter.depot.kind}") as vertex:
                try:
                    exporter.finish(vertex)
                except Cancelled:
                    raise
                except DissolverError as error:
                    said = failure_of(error, exporter.depot.name)
                    if not exporter.options.ignores_errors:
                        raise CacheExportFailed(said, hint=error.hint) from error
                    vertex.warn(said, hint=error.hint)

    def _exporter(self, told: CacheExport, supply: Supply) -> Exporter:
        def have(layer: str) -> None:
            supply.have([layer], None)

        depot = open_depot(told.place, self._writing.open)
        means = Means(have, self._is_unwanted, self._writing.abort, self._machine)
        return Exporter(self._store, depot, told, means)

    def _is_unwanted(self) -> bool:
        return self._is_abandoned or self._is_over()

    def __enter__(self) -> Sharing:
        return self

    def __exit__(self, *_: object) -> None:
        self._is_abandoned = True
        for exporter in self._exporters:
            exporter.abandon()
            exporter.depot.close()
        self._reading.close()
        self._writing.close()


def _result_stages(graph: StageGraph) -> frozenset[int]:
    """List the stages that the result is made of: the target, and what it is built on."""
    stages = {stage.index: stage for stage in graph.needed}
    found: set[int] = set()
    stage = graph.target
    while stage.index not in found:
        found.add(stage.index)
        if isinstance(stage.base, StageBase):
            stage = stages[stage.base.index]
    return frozenset(found)


class _Ways:
    """The way to registries, opened when one has to be asked."""

    def __init__(self, open_sources: OpenSources | None, is_over: Callable[[], bool]) -> None:
        self._open_sources = open_sources
        self._is_over = is_over
        self._opened: Sources | None = None
        self._stack = ExitStack()
        self._lock = threading.Lock()

    def open(self) -> Sources:
        with self._lock:
            if self._opened is None:
                if self._open_sources is None:
                    raise CacheExportFailed("this build may not use the network")
                self._opened = self._stack.enter_context(self._open_sources(self._is_over))
            return self._opened

    def abort(self) -> None:
        """Break the connections that wait for somebody."""
        with self._lock:
            if self._opened is not None:
                self._opened.transport.abort()

    def close(self) -> None:
        self._stack.close()
