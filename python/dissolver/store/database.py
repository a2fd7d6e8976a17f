"""The SQLite database of a store: a connection for each thread, and its tables.

WAL mode lets readers go on while one process writes. Every change is one
transaction, so a killed process leaves the state before it or after it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dissolver.errors import StoreError, UnknownStoreFormat
from dissolver.store.faults import DiskFull, explained
from dissolver.store.reserve import Reserve
from dissolver.store.schema import SCHEMA, SCHEMA_VERSION, migrate

if TYPE_CHECKING:
    from sqlite3 import Connection

BUSY_SECONDS = 30.0
"""How long a writer waits for another: far beyond any transaction of this package."""


def create_database(path: Path, scratch: Path) -> None:
    """Create an empty database at ``path`` unless one is there.

    It is made complete in ``scratch`` (same file system) and linked into place, so
    nobody ever opens half a schema.
    """
    import sqlite3

    if path.exists():
        return
    part = scratch / f"database-{os.getpid()}-{threading.get_ident()}.sqlite"
    part.unlink(missing_ok=True)
    connection = sqlite3.connect(part, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT")
    finally:
        connection.close()
    part.chmod(0o600)
    try:
        os.link(part, path)
    except FileExistsError:
        pass
    finally:
        part.unlink()


class Database:
    """The connections to one database file; each thread gets its own.

    A forked child opens its own too: SQLite's locks do not survive a fork.
    """

    def __init__(self, path: Path, reserve: Reserve) -> None:
        self._path = path
        self._reserve = reserve
        self._local = threading.local()
        self._lock = threading.Lock()
        self._open: dict[int, tuple[threading.Thread, Connection]] = {}
        self._owner = os.getpid()
        self._inherited: list[object] = []

    def read(self) -> Connection:
        """Answer this thread's connection, for queries."""
        known: tuple[int, Connection] | None = getattr(self._local, "connection", None)
        if known is not None and known[0] == os.getpid():
            return known[1]
        try:
            connection = self._connect()
        except DiskFull:
            if not self._reserve.give_back_if_needed():
                raise
            connection = self._connect()
        self._local.connection = (os.getpid(), connection)
        with self._lock:
            if self._owner != os.getpid():
                # The parent's are not ours to close, and must not be collected either.
                self._inherited.append(self._open)
                self._open, self._owner = {}, os.getpid()
            for ident, (thread, ended) in list(self._open.items()):
                if not thread.is_alive():
                    ended.close()
                    del self._open[ident]
            self._open[threading.get_ident()] = (threading.current_thread(), connection)
        return connection

    @contextmanager
    def write(self, action: str) -> Iterator[Connection]:
        """Run the block as one transaction: all of it happens, or nothing.

        ``action`` completes "cannot …" should it fail.
        """
        with explained(action):
            connection = self.read()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close every connection; the next use opens a new one."""
        with self._lock:
            for _, connection in self._open.values():
                connection.close()
            self._open.clear()
            self._local = threading.local()

    def _connect(self) -> Connection:
        with explained(f"open the database `{self._path}`"):
            try:
                return self._opened()
            except Exception as error:
                if getattr(error, "sqlite_errorname", "") == "SQLITE_CANTOPEN":
                    # Asked in this way, the system says why.
                    os.close(os.open(self._path, os.O_RDWR | os.O_CLOEXEC))
                raise

    def _opened(self) -> Connection:
        import sqlite3

        # Without `rw` a missing database would be created without tables.
        connection = sqlite3.connect(
            f"{self._path.as_uri()}?mode=rw",
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            # In WAL mode this loses no consistency, and a commit needs no fsync.
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA foreign_keys = ON")
            self._bring_up_to_date(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _bring_up_to_date(self, connection: Connection) -> None:
        found = connection.execute("PRAGMA user_version").fetchone()[0]
        if found > SCHEMA_VERSION:
            raise UnknownStoreFormat(
                f"the database `{self._path}` has version {found}, "
                f"and this version knows version {SCHEMA_VERSION}",
                hint="use the newer dissolver that wrote it",
            )
        if found == 0:
            raise StoreError(
                f"the database `{self._path}` is empty",
                hint="what it held is lost; use another directory with `--root`",
            )
        if found < SCHEMA_VERSION:
            migrate(connection)
