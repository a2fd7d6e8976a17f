"""Directories that outlive builds: what ``RUN --mount=type=cache`` mounts.

```
cache-mounts/<name>/        one cache; the name is a digest of what tells it from others
  mount.json                what that is, in words
  <n>/data/                 a copy of it: what the step sees
  <n>/lock                  flock: who uses the copy; its time is that of the last use
```

Almost every cache has the one copy `0`; only ``private`` ones get more, when several
steps use them at once. A copy appears by rename when it is complete, its seed
included. Nothing of a cache is ever part of a layer, a key or an export.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dissolver.store.faults import explained
from dissolver.store.workspace import remove_tree, tree_bytes, workspace

Sharing = Literal["shared", "private", "locked"]
Seed = Callable[[Path], None]
"""Makes the directory that a new copy starts as; it is given an empty one."""

_POLL_SECONDS = 0.05
"""How long a step whose cache has become free waits on at most."""


@dataclass(frozen=True, slots=True)
class CacheName:
    """What tells a cache from others: a namespace, an id, and what it started as.

    ``start`` names the seed or the owner and mode of a cache that has its own; two
    mounts with one id and different starts are different caches.
    """

    namespace: str
    id: str
    start: str = ""

    @property
    def digest(self) -> str:
        """The name of the cache's directory."""
        text = json.dumps([self.namespace, self.id, self.start])
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class CacheUsage:
    """One cache: its name, the bytes of disk that it takes, and when it was last used."""

    name: CacheName
    digest: str
    size_bytes: int
    used_ns: int


class CacheMounts:
    """The caches of a store.

    Whoever uses one holds the store lock shared, and removing them needs it
    exclusively, so a cache in use is never removed.
    """

    def __init__(self, root: Path, tmp: Path) -> None:
        self._root = root
        self._tmp = tmp

    @contextmanager
    def use(
        self,
        name: CacheName,
        sharing: Sharing,
        seed: Seed,
        *,
        check: Callable[[], None],
        on_wait: Callable[[], None],
    ) -> Iterator[Path]:
        """Lend a cache's directory; ``seed`` makes it if it is new.

        ``shared`` lends one directory to everyone, ``locked`` to one after the other,
        ``private`` another one to everyone at the same time. ``on_wait`` is told once if
        somebody else has to end first, and ``check`` is called again and again
        meanwhile; what it raises ends the waiting.
        """
        cache = self._root / name.digest
        with explained("open the cache mount"):
            self._describe(cache, name)
        kind = fcntl.LOCK_SH if sharing == "shared" else fcntl.LOCK_EX
        number = 0
        while True:
            with explained("open the cache mount"):
                lock = self._open(cache / str(number), seed)
            try:
                is_mine = _try(lock, kind)
                if not is_mine and sharing != "private":
                    on_wait()
                    while not (is_mine := _try(lock, kind)):
                        check()
                        time.sleep(_POLL_SECONDS)
                if is_mine:
                    os.utime(lock)
                    try:
                        yield cache / str(number) / "data"
                    finally:
                        os.utime(lock)
                    return
            finally:
                os.close(lock)
            number += 1

    def usage(self) -> tuple[CacheUsage, ...]:
        """List the caches, the one that was used last first."""
        with explained("list the cache mounts"):
            found = [usage for path in self._directories() if (usage := _usage(path)) is not None]
        return tuple(sorted(found, key=lambda usage: (-usage.used_ns, usage.digest)))

    def prune(self, *, until_ns: int | None = None) -> tuple[int, int]:
        """Remove the caches, or those not used since ``until_ns``; alone with the store.

        Returns:
            How many went, and the bytes of disk that this gave back.
        """
        count = freed = 0
        with explained("remove the cache mounts"):
            for path in self._directories():
                usage = _usage(path)
                if until_ns is None or usage is None or usage.used_ns < until_ns:
                    freed += remove_tree(path)
                    count += 1
        return count, freed

    def _directories(self) -> list[Path]:
        try:
            return sorted(self._root.iterdir())
        except FileNotFoundError:
            return []

    def _describe(self, cache: Path, name: CacheName) -> None:
        place = cache / "mount.json"
        if place.exists():
            return
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        text = json.dumps({"namespace": name.namespace, "id": name.id, "start": name.start})
        with workspace(self._tmp) as directory:
            part = directory / "mount.json"
            part.write_text(text, encoding="ascii")
            part.rename(place)

    def _open(self, copy: Path, seed: Seed) -> int:
        """Open the lock of a copy, which is made if it is new; another maker's is as good."""
        if not copy.is_dir():
            with workspace(self._tmp) as directory:
                part = directory / "copy"
                part.mkdir(mode=0o700)
                (part / "lock").touch(mode=0o600)
                (part / "data").mkdir()
                seed(part / "data")
                with suppress(FileExistsError):
                    _rename(part, copy)
        # A lock is taken by the open file: threads exclude each other like processes.
        return os.open(copy / "lock", os.O_RDWR | os.O_CLOEXEC)


def _rename(part: Path, copy: Path) -> None:
    try:
        part.rename(copy)
    except OSError as error:
        # A directory that is there and holds something is never replaced.
        if copy.is_dir():
            raise FileExistsError from error
        raise


def _usage(path: Path) -> CacheUsage | None:
    """Describe a cache; ``None`` for what a killed maker left."""
    try:
        found = json.loads((path / "mount.json").read_bytes())
        name = CacheName(found["namespace"], found["id"], found["start"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    locks = [lock.stat().st_mtime_ns for lock in path.glob("*/lock")]
    return CacheUsage(name, path.name, tree_bytes(path), max(locks, default=0))


def _try(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
