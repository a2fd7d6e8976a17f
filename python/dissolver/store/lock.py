"""The store lock: work that makes layers holds it shared, collection exclusively."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dissolver.errors import StoreError
from dissolver.store.faults import explained


class StoreLock:
    """A flock on one file, released by the kernel however a process ends.

    Threads of one process exclude each other like processes do. Shared may be
    taken again while held shared; asking a thread's own shared lock to become
    exclusive would wait for itself, and is refused.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held = threading.local()

    @contextmanager
    def shared(self, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
        """Keep collection away while the block runs; wait for one that is running."""
        if self._depth:
            self._held.depth += 1
            try:
                yield
            finally:
                self._held.depth -= 1
            return
        with self._locked(fcntl.LOCK_SH, on_wait):
            self._held.depth = 1
            try:
                yield
            finally:
                self._held.depth = 0

    @contextmanager
    def exclusive(self, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
        """Be alone with the store while the block runs.

        Waits until every holder of the shared lock is done; ``on_wait`` is called
        once if it has to.
        """
        self._refuse_upgrade()
        with self._locked(fcntl.LOCK_EX, on_wait):
            yield

    @contextmanager
    def try_exclusive(self) -> Iterator[bool]:
        """Be alone with the store if nobody holds the lock; tell whether it is so."""
        self._refuse_upgrade()
        with explained("lock the store"):
            descriptor = self._open()
        try:
            yield _try(descriptor, fcntl.LOCK_EX)
        finally:
            os.close(descriptor)

    @property
    def is_held(self) -> bool:
        """Tell whether this thread holds the lock shared."""
        return self._depth > 0

    @property
    def _depth(self) -> int:
        return getattr(self._held, "depth", 0)

    def _refuse_upgrade(self) -> None:
        if self._depth:
            raise StoreError("the store cannot be collected from within a build")

    def _open(self) -> int:
        return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    @contextmanager
    def _locked(self, kind: int, on_wait: Callable[[], None] | None) -> Iterator[None]:
        with explained("lock the store"):
            descriptor = self._open()
        try:
            if not _try(descriptor, kind):
                if on_wait is not None:
                    on_wait()
                with explained("lock the store"):
                    fcntl.flock(descriptor, kind)
            yield
        finally:
            os.close(descriptor)


def _try(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
