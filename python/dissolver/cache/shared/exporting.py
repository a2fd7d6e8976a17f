"""A shared cache as it is written: layers in the background, its manifest at the end."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from dissolver.cache.shared.depot import Sending
from dissolver.cache.shared.document import (
    INPUTS_TYPE,
    RECORDS_TYPE,
    Records,
    SharedRecord,
    encode,
    make_manifest,
    shared_inputs,
)
from dissolver.cache.shared.streaming import is_stored
from dissolver.errors import CacheUnavailable, Cancelled, DissolverError
from dissolver.image.digest import digest_of
from dissolver.image.manifest import describe

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from dissolver.cache.shared.depot import Depot
    from dissolver.cache.shared.options import CacheExport
    from dissolver.image.manifest import Descriptor
    from dissolver.store import Store
    from dissolver.store.packed_inputs import Inputs


END_SECONDS = 3.0
"""How long a build that is over waits for a server that does not answer."""

_POLL_SECONDS = 0.1


class Line(Protocol):
    """A line of a display below which others may stand."""

    def status(self, text: str) -> AbstractContextManager[object]:
        """Begin a line below it."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A step that has its result: made here, found here, or found in a shared cache.

    ``order`` is its place in the whole build, ``in_result`` tells whether its layer is one of
    the result. ``key`` is empty where only the cache ``claimed_by`` says what it is: that
    is ``claimed_key``. ``blob`` is how that cache has the layer, where it was not fetched.
    """

    order: tuple[int, int]
    in_result: bool
    kind: str
    layer: str
    created_ns: int
    place: str
    inputs: Inputs
    key: str = ""
    shortcut: str = ""
    claimed_by: str = ""
    claimed_key: str = ""
    blob: Descriptor | None = None

    def shared(self, blob: str, *, depot: str, inputs: str, inputs_blob: str) -> SharedRecord:
        """Return the record for the cache ``depot``.

        Somebody else's word for a key is only repeated where it comes from: what one cache
        claims must not become a record of another.
        """
        claimed = self.claimed_key if self.claimed_by == depot else ""
        return SharedRecord(
            key=self.key or claimed,
            shortcut=self.shortcut,
            kind=self.kind,
            layer=self.layer,
            blob=blob,
            created=self.created_ns,
            place=self.place,
            inputs=inputs,
            inputs_blob=inputs_blob,
        )

    def inline(self) -> SharedRecord:
        """Return the record for the image itself, which is what the caches said.

        It has no shortcut: this says of which layers a stage was made that is not in the
        image, and who builds that stage again would get another image.
        """
        return SharedRecord(
            key=self.key or self.claimed_key,
            kind=self.kind,
            layer=self.layer,
            blob="",
            created=self.created_ns,
            place=self.place,
        )


@dataclass(frozen=True, slots=True)
class Means:
    """What an export has from its build.

    ``have`` gets a layer that is not in the store, ``is_over`` tells to end, and ``abort``
    breaks connections that wait for somebody. ``machine`` is the platform of this machine.
    """

    have: Callable[[str], None]
    is_over: Callable[[], bool]
    abort: Callable[[], None]
    machine: str


class Exporter:
    """Writes what steps come to into one depot, in a thread of its own.

    Until ``finish`` has written the manifest, nobody sees anything of it. ``finish`` or
    ``abandon`` ends the thread.
    """

    def __init__(self, store: Store, depot: Depot, options: CacheExport, means: Means) -> None:
        self.depot = depot
        self.options = options
        self._store = store
        self._means = means
        self._steps: list[Finished] = []
        self._blobs: dict[str, Descriptor | None] = {}
        self._failure: BaseException | None = None
        self._is_abandoned = False
        self._line: Line | None = None
        self._patience = END_SECONDS
        self._waiting: queue.SimpleQueue[Finished | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="cache export", daemon=True)
        self._thread.start()

    def add(self, step: Finished) -> None:
        """Take a step; its layer is sent soon, unless the depot has it."""
        if step.in_result or self.options.mode == "max":
            with self._lock:
                self._steps.append(step)
            self._waiting.put(step)

    def again(self) -> Exporter:
        """End this one, and begin anew with the same depot."""
        self.abandon()
        return Exporter(self._store, self.depot, self.options, self._means)

    def abandon(self) -> None:
        """End without a manifest; what was sent stays, and the next export need not send it."""
        self._is_abandoned = True
        self._end()

    def finish(self, line: Line) -> None:
        """Wait until all layers are sent, and records and manifest are written.

        Raises:
            DissolverError: something could not be written.
            Cancelled: the build is over.
        """
        self._line = line
        self._end()
        if self._means.is_over():
            raise Cancelled("the build was cancelled")
        if self._failure is not None:
            raise self._failure

    def _end(self) -> None:
        self._waiting.put(None)
        while self._thread.is_alive() and self._patience > 0:
            self._thread.join(_POLL_SECONDS)
            if self._means.is_over():
                self._means.abort()
                self._patience -= _POLL_SECONDS

    def _run(self) -> None:
        with ExitStack() as stack:
            work: Sending | None = None
            while (step := self._waiting.get()) is not None:
                if self._failure is not None or self._is_abandoned:
                    continue
                try:
                    if work is None:
                        work = Sending(
                            self._store,
                            stack.enter_context(self._store.workspace()),
                            self.options.compression,
                            forces_compression=self.options.forces_compression,
                        )
                    if step.layer not in self._blobs:
                        self._blobs[step.layer] = self._send(work, step)
                except BaseException as error:  # noqa: BLE001 - `finish` raises it
                    self._failure = error
        if self._line is None or self._failure is not None or self._is_abandoned:
            return
        try:
            self._publish(self._line)
        except BaseException as error:  # noqa: BLE001 - `finish` raises it
            self._failure = error

    def _publish(self, line: Line) -> None:
        """Write the records of all steps that were told, and the manifest."""
        steps = sorted(self._steps, key=lambda step: step.order)
        records: list[SharedRecord] = []
        parts: dict[str, Descriptor] = {}
        with line.status("preparing build cache for export"):
            for step in steps:
                layer = self._blobs.get(step.layer)
                if layer is not None:
                    parts.setdefault(layer.digest, layer)
                    records.append(self._record(step, layer, parts))
        for part in parts.values():
            if part.media_type != INPUTS_TYPE:
                with line.status(f"writing layer {part.digest}"):
                    pass  # It was sent when its step ended.
        named = tuple(one for one in records if one.key or one.shortcut)
        content = encode(Records(records=named, machine=self._means.machine))
        described = describe(RECORDS_TYPE, content)
        with line.status(f"writing config {described.digest}"):
            self.depot.send_document(content, described)
        manifest = make_manifest(content, parts.values())
        with line.status(f"writing cache manifest {digest_of(manifest)}"):
            self.depot.publish(manifest)

    def _record(
        self, step: Finished, layer: Descriptor, parts: dict[str, Descriptor]
    ) -> SharedRecord:
        """Make the record of a step; inputs that are too long for it are sent, and listed."""
        inputs, long = shared_inputs(step.inputs)
        inputs_blob = ""
        if long:
            blob = describe(INPUTS_TYPE, long)
            self.depot.send_document(long, blob)
            parts[blob.digest] = blob
            inputs_blob = blob.digest
        return step.shared(
            layer.digest, depot=self.depot.name, inputs=inputs, inputs_blob=inputs_blob
        )

    def _send(self, work: Sending, step: Finished) -> Descriptor | None:
        """Have a step's layer in the depot; nothing if it is not to be had any more."""
        if not is_stored(self._store, step.layer):
            if step.blob is not None and self.depot.take_over(work, step.blob):
                return step.blob
            try:
                self._means.have(step.layer)
            except (CacheUnavailable, Cancelled):
                # The cache that it came from is gone. The result needs it not, or the
                # build has begun anew without it.
                return None
        with self._store.lock_shared():
            return self.depot.send_layer(work, step.layer, lambda _: None)


def failure_of(error: DissolverError, name: str) -> str:
    """Say that a cache could not be written."""
    return f"the cache could not be exported to `{name}`: {error.message}"
