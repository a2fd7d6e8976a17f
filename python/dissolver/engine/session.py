"""The engine's direct backend: the store in this process."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

if TYPE_CHECKING:
    from dissolver.config import Settings
    from dissolver.engine.proxy import Proxy
    from dissolver.store import Store

P = ParamSpec("P")
R = TypeVar("R")


class Session:
    """A store that is opened when it is first needed, and the settings it came from."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._lock = threading.Lock()
        self._store: Store | None = None

    @property
    def store(self) -> Store:
        """The store; the first use opens it.

        Raises:
            StoreError: it cannot be opened.
        """
        with self._lock:
            if self._store is None:
                from dissolver.sandbox import rootless
                from dissolver.store import Store

                self._store = Store(
                    self.settings.root,
                    self.settings.run,
                    userxattr=rootless.is_rootless(),
                    layers=self.settings.layers,
                )
            return self._store

    def call(
        self,
        operation: Callable[Concatenate[Session, P], R],
        *arguments: P.args,
        **named: P.kwargs,
    ) -> R:
        """Carry out ``operation`` in the calling thread."""
        return operation(self, *arguments, **named)

    def close(self) -> None:
        """Close the store; the next use opens it again."""
        with self._lock:
            store, self._store = self._store, None
        if store is not None:
            store.close()


def open_backend(root: str | os.PathLike[str] | None, settings: Settings | None) -> Session | Proxy:
    """Choose how an engine of this process works: itself if it may, else by a worker.

    Root works itself, and so does a process that has entered a user namespace
    already, as the command line does before it starts any thread.
    """
    if settings is None:
        from dissolver.config import load_settings

        settings = load_settings(root=root)
    if os.geteuid() == 0:
        return Session(settings)
    from dissolver.engine.proxy import Proxy

    return Proxy(settings)
