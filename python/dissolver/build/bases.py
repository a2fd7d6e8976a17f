"""Images that a build starts from or copies from: there already, or fetched when needed.

What an image is (its configuration) is known before the first step; its layers are
fetched when the first stage or step needs them, and under the vertex of that one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, ExitStack, suppress
from typing import TYPE_CHECKING, NamedTuple

from dissolver.build.turns import Turns
from dissolver.errors import ImageNotFound, RegistryError
from dissolver.image.reference import DEFAULT_TAG
from dissolver.plan.bases import ImageBase

if TYPE_CHECKING:
    from dissolver.build.events import OpenStatus, OpenVertex, Progress
    from dissolver.build.scheduler import Cancellation
    from dissolver.image.config import Image
    from dissolver.image.platform import Platform
    from dissolver.image.reference import Reference
    from dissolver.plan.graph import Stage
    from dissolver.registry.events import TransferEvent
    from dissolver.registry.resolve import Resolved, Sources
    from dissolver.registry.transport import Transport
    from dissolver.store import Store

LEAST_DIGITS = 12
"""What `images` shows of an ID. Fewer are taken for a name: a stage `b` that is not there, or an
image `cafe` of a registry, must not become whatever local image's ID begins like that."""

OpenSources = Callable[[Callable[[], bool]], AbstractContextManager["Sources"]]
"""Opens the way to registries; is given what tells whether to end early."""


class Sought(NamedTuple):
    """An image that a stage starts or copies from: its name, and what machine it has to be for.

    A build for several machines may need the image of one name for each of them.
    """

    reference: Reference
    platform: Platform


def sought_base(stage: Stage) -> Sought | None:
    """Tell which image a stage starts from, if it is one."""
    base = stage.base
    return Sought(base.reference, stage.platform) if isinstance(base, ImageBase) else None


class BaseImages:
    """Finds images by their names, in the store and in registries; for several threads.

    Without ``open_sources`` no registry is asked; it is called when one has to be.
    ``asks_first`` has registries say what a name means even where the store has an image of
    that name; ``turns`` are those of builds at the same time. A context manager, which ends
    the connections.
    """

    def __init__(
        self,
        store: Store,
        open_sources: OpenSources | None,
        progress: Progress,
        cancellation: Cancellation,
        *,
        asks_first: bool = False,
        turns: Turns | None = None,
    ) -> None:
        self._store = store
        self._open_sources = open_sources
        self._progress = progress
        self._cancellation = cancellation
        self._turns = turns or Turns()
        self._asks_first = asks_first
        self._opened: Sources | None = None
        self._opening = threading.Lock()
        self._adopted: dict[Reference, Image] = {}
        self._stack = ExitStack()
        self._remote: dict[Sought, Resolved] = {}
        self._locks: dict[Sought, threading.Lock] = {}

    def __enter__(self) -> BaseImages:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def adopt(self, image: Image) -> Reference:
        """Give an image that has no name of its own one that is good for this build."""
        from dissolver.image.reference import parse_reference

        reference = parse_reference(f"oci-layout/{image.id.removeprefix('sha256:')[:12]}")
        self._adopted[reference] = image
        return reference

    def find(self, sought: Sought, *, is_strict: bool) -> Image:
        """Find out what an image is; of one that a registry has, no layer is fetched.

        Raises:
            ImageNotFound: it is not there, and no registry has it or answers.
            RegistryError: a registry was to be asked, and fails.
        """
        from dissolver.image.choice import is_for

        reference, platform = sought
        if reference in self._adopted:
            return self._adopted[reference]
        if self._asks_first and self._open_sources is not None:
            return self._ask(sought, is_strict=is_strict)
        try:
            local = self._find_local(reference)
            if not is_strict or is_for(local.config.platform, platform):
                return local
            missing = ImageNotFound(
                f"the local image is for `{local.config.platform}`, not for `{platform}`"
            )
        except ImageNotFound as error:
            missing = error
        if self._open_sources is None:
            raise missing
        try:
            return self._ask(sought, is_strict=is_strict)
        except RegistryError as error:
            from dissolver.registry.access import absent

            raise absent(missing, error) from error

    def digest(self, sought: Sought, image: Image) -> str:
        """Tell by which digest the image is known: its registry's, or else its own."""
        resolved = self._remote.get(sought)
        if resolved is not None:
            return resolved.digest
        names = self._store.images.references(image.id)
        return next(
            (one.digest for one in names if one.name == sought.reference.name and one.digest),
            image.id,
        )

    def is_remote(self, sought: Sought) -> bool:
        """Tell whether layers may have to be fetched."""
        return sought in self._remote

    def fetch_for(self, stage: Stage, from_vertex: OpenVertex | None) -> None:
        """Have the layers of the images that a stage starts and copies from.

        They get their names in the store. The first one who needs an image fetches it, under
        the vertex of its FROM; others wait for it.

        Raises:
            RegistryError and its kinds: as ``registry.pull``.
        """
        base = sought_base(stage)
        if base is not None and from_vertex is not None:
            with from_vertex:
                self._fetch(base, from_vertex)
        for reference in stage.images:
            sought = Sought(reference, stage.platform)
            resolved = self._remote.get(sought)
            if resolved is not None:
                name = f"FROM {reference.name}@{resolved.digest}"
                with self._progress.vertex(name) as vertex:
                    self._fetch(sought, vertex)

    def fetch_layers(self, diff_ids: Collection[str], vertex: OpenVertex | None) -> None:
        """Have the images that any of these layers is of, where a registry has them.

        Raises:
            RegistryError and its kinds: as ``registry.pull``.
        """
        for sought, resolved in list(self._remote.items()):
            if not set(resolved.config.diff_ids).isdisjoint(diff_ids):
                self._fetch(sought, vertex)

    @property
    def transport(self) -> Transport | None:
        """What speaks HTTP, with the caller's proxies and certificates, if anything may."""
        sources = self.sources
        return None if sources is None else sources.transport

    @property
    def sources(self) -> Sources | None:
        """The way to registries, opened when it is first asked for, if there is any."""
        with self._opening:
            if self._opened is None and self._open_sources is not None:
                opened = self._open_sources(self._cancellation.is_requested)
                self._opened = self._stack.enter_context(opened)
            return self._opened

    def _fetch(self, sought: Sought, vertex: OpenVertex | None) -> None:
        resolved = self._remote.get(sought)
        if resolved is None:
            return
        from dissolver.registry.pull import store_image

        with self._locks[sought], _Statuses(vertex) as statuses:
            if self._remote.get(sought) is None:
                return
            # What another build of those at the same time has fetched is not fetched again.
            with self._turns.of(f"image {resolved.digest}", self._cancellation):
                store_image(self._store, resolved, statuses.on_event)
            del self._remote[sought]

    def _find_local(self, reference: Reference) -> Image:
        """Find a local image by name, digest or ID prefix."""
        try:
            return self._store.images.resolve(reference.familiar)
        except ImageNotFound:
            # A bare word may be the beginning of an ID, which has no tag.
            word = reference.name_familiar
            is_bare = reference.tag == DEFAULT_TAG and reference.digest is None
            if is_bare and len(word) >= LEAST_DIGITS:
                with suppress(ImageNotFound):
                    return self._store.images.resolve(word)
            raise

    def _ask(self, sought: Sought, *, is_strict: bool) -> Image:
        reference, platform = sought
        sources = self.sources
        if sources is None:
            raise RegistryError("no registry is asked here")
        from dissolver.image.config import Image
        from dissolver.registry.pull import known_image

        repository, named = sources.fetch(reference)
        with suppress(ImageNotFound):
            known = known_image(self._store, reference, named, platform)
            if known is not None:
                self._store.images.tag(known.id, reference)
                return known
        resolved = sources.resolve_from(reference, repository, named, platform, is_strict=is_strict)
        self._locks[sought] = threading.Lock()
        self._remote[sought] = resolved
        return Image(resolved.image_id, resolved.config, 0)


class _Statuses:
    """Layers on their way, as lines below a vertex."""

    def __init__(self, vertex: OpenVertex | None) -> None:
        self._vertex = vertex
        self._open: dict[str, tuple[OpenStatus, int]] = {}

    def on_event(self, event: TransferEvent) -> None:
        """Take an event of the transfer; never called twice at once."""
        from dissolver.registry.events import LayerProgress

        if not isinstance(event, LayerProgress) or self._vertex is None:
            return
        if event.state == "Downloading":
            if event.layer not in self._open:
                self._open[event.layer] = self._vertex.status(event.layer), event.total
            self._open[event.layer][0].reached(event.current, event.total)
        elif event.state in ("Verifying Checksum", "Pull complete") and event.layer in self._open:
            status, total = self._open.pop(event.layer)
            status.reached(total, total)
            status.complete()

    def __enter__(self) -> _Statuses:
        return self

    def __exit__(self, *_: object) -> None:
        for status, _total in self._open.values():
            status.complete()
