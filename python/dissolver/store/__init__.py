"""The store: everything on disk, and the guarantees around it.

docs/store.md draws what lies where. Opening a store costs a few milliseconds; the
database, the layers and the image types are loaded when they are first needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dissolver.store.blobs import BlobStore
from dissolver.store.database import Database
from dissolver.store.layout import FORMAT, Layout, open_layout
from dissolver.store.lock import StoreLock
from dissolver.store.reserve import Reserve

if TYPE_CHECKING:
    from dissolver._core.layer import Layers
    from dissolver.image.config import ImageConfig
    from dissolver.store.cache_mounts import CacheMounts
    from dissolver.store.cache_usage import CacheEntry
    from dissolver.store.containers import ContainerRecords
    from dissolver.store.fsck import Finding
    from dissolver.store.gc import PruneReport
    from dissolver.store.images import ImageStore
    from dissolver.store.records import StepRecords
    from dissolver.store.transfers import TransferRecords
    from dissolver.store.usage import Usage

CLOSING_SECONDS = 0.1
"""How long closing a store waits for what is removed in the background.

Enough for the directories of the last step on a slow disk (25 ms were measured); what is
large is left to the next sweep.
"""

TIDYING_SECONDS = 10.0
"""How long a prune waits for it, so that it can tell what the disk got back."""

LayerForm = Literal["auto", "erofs", "directory"]

OnWait = Callable[[], None]
"""Told once, when a lock is held by someone else and has to be waited for."""


class Store:
    """Images, layers, containers and step records under one directory.

    Safe to use from many threads and processes at once. Any of them may be killed
    at any instruction: the next one finds a consistent store, and ``sweep`` or a
    prune removes what was left half done.

    ``userxattr`` tells that overlay mounts happen in a user namespace; ``fsync``
    makes what is stored survive a loss of power, not only of a process. ``layers`` chooses
    how layers are mounted: in place (``erofs``), or as directories that they are extracted
    into; ``auto`` finds out whether the first is possible.

    Raises:
        UnknownStoreFormat: a newer version wrote the store.
        StoreError: the directory cannot be read, or created.
    """

    def __init__(
        self,
        root: Path,
        run: Path,
        *,
        userxattr: bool = False,
        fsync: bool = False,
        layers: LayerForm = "auto",
    ) -> None:
        self.layout: Layout = open_layout(root, run)
        self.reserve = Reserve(self.layout.reserve)
        self.database = Database(self.layout.database, self.reserve)
        self.blobs = BlobStore(self.layout.blobs, self.layout.tmp, fsync=fsync)
        self._userxattr = userxattr
        self._fsync = fsync
        self._form = layers
        self._lock = StoreLock(self.layout.lock)

    @property
    def root(self) -> Path:
        """The directory of the store."""
        return self.layout.root

    @property
    def run(self) -> Path:
        """The directory of what a reboot may remove: sockets and the like."""
        return self.layout.run

    @property
    def format(self) -> int:
        """The format of the store."""
        return FORMAT

    @cached_property
    def layers(self) -> Layers:
        """The layers, by diff ID."""
        from dissolver._core.layer import Layers
        from dissolver.store.faults import explained

        with explained("open the layers"):
            return Layers(
                self.layout.root, userxattr=self._userxattr, fsync=self._fsync, form=self._form
            )

    @cached_property
    def images(self) -> ImageStore:
        """The images, by ID and by name."""
        from dissolver.store.images import ImageStore

        return ImageStore(
            self.database,
            self.blobs,
            self._lock,
            layers=lambda: self.layers,
            release=self._release_image,
        )

    @cached_property
    def records(self) -> StepRecords:
        """The step records, by key."""
        from dissolver.store.records import StepRecords

        return StepRecords(
            self.database, has_layer=lambda diff_id: self.layers.info(diff_id) is not None
        )

    @cached_property
    def cache_mounts(self) -> CacheMounts:
        """The directories that outlive builds."""
        from dissolver.store.cache_mounts import CacheMounts

        return CacheMounts(self.layout.cache_mounts, self.layout.tmp)

    @cached_property
    def containers(self) -> ContainerRecords:
        """The containers, by ID and by name."""
        from dissolver.store.containers import ContainerRecords

        return ContainerRecords(self.database, self.layout.containers)

    @cached_property
    def transfers(self) -> TransferRecords:
        """What is remembered of pulls and pushes."""
        from dissolver.store.transfers import TransferRecords

        return TransferRecords(self.database)

    def lock_shared(self, on_wait: OnWait | None = None) -> AbstractContextManager[None]:
        """Keep collection away while layers, images or containers are being made.

        A thread may take it again while it has it.
        """
        return self._lock.shared(on_wait)

    def lock_exclusive(self, on_wait: OnWait | None = None) -> AbstractContextManager[None]:
        """Be alone with the store; ``on_wait`` is told if others have to finish first."""
        return self._lock.exclusive(on_wait)

    @contextmanager
    def workspace(self, *, waits: bool = True) -> Iterator[Path]:
        """Make a directory of one's own on the store's file system, removed at the end.

        Without ``waits`` it is removed in the background; `settle` and `close` wait for that.
        """
        from dissolver.store.workspace import workspace

        remove = None if waits else self.layers.remove_later
        with workspace(self.layout.tmp, remove) as path:
            yield path

    def settle(self, seconds: float) -> bool:
        """Wait until nothing is removed in the background any more; tell whether that is so."""
        return "layers" not in self.__dict__ or self.layers.settle(seconds)

    def stat_cache(self, context: str | PathLike[str]) -> Path:
        """Tell where the stat cache of a context directory lies, or would."""
        import hashlib
        import os

        name = hashlib.sha256(os.fsencode(os.path.realpath(context))).hexdigest()[:32]
        return self.layout.stat / name

    def sweep(self) -> int:
        """Remove what killed processes left half done; answer the bytes freed.

        Cheap where nothing was left, so every build and run may begin with it.
        """
        from dissolver.store.workspace import sweep

        return sweep(self.layout.tmp)

    def prune_images(
        self,
        all_: bool = False,
        *,
        may_go: Callable[[ImageConfig], bool] | None = None,
        on_wait: OnWait | None = None,
    ) -> PruneReport:
        """Remove images without a name, or with ``all_`` all that no container uses.

        Of these ``may_go`` picks, if it is given. Waits until no build is running. The reclaimed
        bytes are those that the disk got back, which shared layers do not count towards.
        """
        from dissolver.store import gc

        with self._tidying(on_wait):
            return gc.prune_images(self, all_=all_, may_go=may_go)

    def prune_records(
        self, all_: bool = True, *, until_ns: int | None = None, on_wait: OnWait | None = None
    ) -> PruneReport:
        """Forget the step records and remove the layers that only they held.

        Without ``all_`` only the records whose layers no image or container has go. What was used
        since ``until_ns`` (nanoseconds since the epoch) stays.
        """
        from dissolver.store import gc

        with self._tidying(on_wait):
            return gc.prune_records(self, all_=all_, until_ns=until_ns)

    def release_layers(self, diff_ids: Iterable[str]) -> None:
        """Remove layers that nothing came to need; where others build, a later prune does."""
        layers = list(diff_ids)
        if layers and not self._lock.is_held:
            from dissolver.store import gc

            with self._lock.try_exclusive() as alone:
                if alone:
                    gc.release_layers(self, layers)

    def collect(self, *, on_wait: OnWait | None = None) -> int:
        """Remove the files that nothing refers to; answer the bytes freed."""
        from dissolver.store import gc

        with self._tidying(on_wait):
            return gc.collect(self)

    def disk_usage(self) -> tuple[Usage, ...]:
        """Tell what images, containers and step records take on disk."""
        from dissolver.store.usage import disk_usage

        return disk_usage(self)

    def list_cache(self) -> tuple[CacheEntry, ...]:
        """List what the build cache keeps, what was used last first."""
        from dissolver.store.cache_usage import list_cache

        return list_cache(self)

    def check(self) -> tuple[Finding, ...]:
        """Verify everything in the store; answer what is wrong, nothing if all is well."""
        from dissolver.store.fsck import check

        with self.lock_shared():
            return check(self)

    def close(self) -> None:
        """Close the database's connections; the next use opens them again."""
        self.database.close()
        self.settle(CLOSING_SECONDS)

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _tidying(self, on_wait: OnWait | None) -> Iterator[None]:
        with self.lock_exclusive(on_wait):
            self.reserve.give_back_if_needed()
            self.settle(TIDYING_SECONDS)
            try:
                yield
            finally:
                self.reserve.keep()

    def _release_image(self, identity: str, diff_ids: tuple[str, ...]) -> None:
        """Free an image's files if nobody is building; else a later prune does."""
        from dissolver.store import gc

        if self._lock.is_held:
            return
        with self._lock.try_exclusive() as alone:
            if alone:
                gc.release(self, identity, diff_ids)


__all__ = ["Store"]
