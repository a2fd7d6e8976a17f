"""Container records: which containers exist, and what they were made from."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dissolver.errors import AmbiguousIdentifier, ContainerNotFound, ImageNotFound, NameInUse
from dissolver.image.digest import short
from dissolver.store.faults import explained

if TYPE_CHECKING:
    from sqlite3 import Connection

    from dissolver.store.database import Database

_HEX = re.compile(r"[0-9a-f]{1,64}", re.ASCII)
_COLUMNS = "SELECT id, name, image, created_ns, config FROM containers"


@dataclass(frozen=True, slots=True)
class ContainerRecord:
    """What never changes about a container; ``config`` is JSON of the runtime's own."""

    id: str
    name: str
    image_id: str
    created_ns: int
    config: bytes


Containers = list[ContainerRecord]


class ContainerRecords:
    """The containers of a store, by ID and by name.

    A record keeps its image's layers alive, even when the image is removed by
    force. Whoever makes a container holds the store lock shared from before its
    directory exists until its record is added.
    """

    def __init__(self, database: Database, directory: Path) -> None:
        self._database = database
        self._directory = directory

    def add(self, record: ContainerRecord) -> None:
        """Store a new container.

        Raises:
            NameInUse: another container has the name.
            ImageNotFound: the image was removed meanwhile.
        """
        with self._database.write("store the container") as connection:
            _refuse_taken_name(connection, record.name)
            layers = connection.execute(
                "SELECT position, diff_id FROM image_layers WHERE image = ?", (record.image_id,)
            ).fetchall()
            known = "SELECT 1 FROM images WHERE id = ?"
            if connection.execute(known, (record.image_id,)).fetchone() is None:
                raise ImageNotFound(f"the image `{short(record.image_id)}` is not there any more")
            connection.execute(
                "INSERT INTO containers (id, name, image, created_ns, config)"
                " VALUES (?, ?, ?, ?, ?)",
                (record.id, record.name, record.image_id, record.created_ns, record.config),
            )
            connection.executemany(
                "INSERT INTO container_layers (container, position, diff_id) VALUES (?, ?, ?)",
                [(record.id, position, diff_id) for position, diff_id in layers],
            )

    def get(self, identity: str) -> ContainerRecord:
        """Answer the container with exactly this ID.

        Raises:
            ContainerNotFound: there is none.
        """
        with explained("read the container"):
            found = _one(self._database.read(), " WHERE id = ?", identity)
        if found is None:
            raise _not_found(identity)
        return found

    def resolve(self, text: str) -> ContainerRecord:
        """Answer the container with this ID, name or unique ID prefix, in this order.

        Raises:
            ContainerNotFound: no container answers to it.
            AmbiguousIdentifier: it is a prefix of several IDs.
        """
        with explained("find the container"):
            connection = self._database.read()
            found = _one(connection, " WHERE id = ?", text)
            found = found or _one(connection, " WHERE name = ?", text.removeprefix("/"))
            if found is None and _HEX.fullmatch(text):
                rows = connection.execute(
                    _COLUMNS + " WHERE id >= ? AND id < ? LIMIT 2", (text, text + "g")
                ).fetchall()
                if len(rows) > 1:
                    raise AmbiguousIdentifier(
                        f"`{text}` is the beginning of more than one container ID",
                        hint="give more digits; `dissolver ps -a --no-trunc` shows them all",
                    )
                found = ContainerRecord(*rows[0]) if rows else None
        if found is None:
            raise _not_found(text)
        return found

    def list(self) -> Containers:
        """List every container, the newest first."""
        with explained("list the containers"):
            rows = self._database.read().execute(_COLUMNS + " ORDER BY created_ns DESC, id")
            return [ContainerRecord(*row) for row in rows]

    def layers(self, identity: str) -> tuple[str, ...]:
        """List the diff IDs that the container stands on, bottom first."""
        query = "SELECT diff_id FROM container_layers WHERE container = ? ORDER BY position"
        with explained("read the container"):
            return tuple(row[0] for row in self._database.read().execute(query, (identity,)))

    def using(self, image_id: str) -> Containers:
        """List the containers that were made from an image, the oldest first."""
        with explained("list the containers"):
            rows = self._database.read().execute(
                _COLUMNS + " WHERE image = ? ORDER BY created_ns", (image_id,)
            )
            return [ContainerRecord(*row) for row in rows]

    def change_config(
        self, identity: str, change: Callable[[ContainerRecord], ContainerRecord]
    ) -> ContainerRecord:
        """Replace name and ``config`` of a container by what ``change`` answers.

        Raises:
            ContainerNotFound: there is none with this ID.
            NameInUse: another container has the new name.
        """
        with self._database.write("change the container") as connection:
            old = _one(connection, " WHERE id = ?", identity)
            if old is None:
                raise _not_found(identity)
            new = change(old)
            if new.name != old.name:
                _refuse_taken_name(connection, new.name)
            connection.execute(
                "UPDATE containers SET name = ?, config = ? WHERE id = ?",
                (new.name, new.config, identity),
            )
        return new

    def remove(self, identity: str) -> None:
        """Forget a container; removing it again changes nothing.

        Its directory is the caller's to remove, before or after: garbage collection
        removes a directory without a record.
        """
        with self._database.write("remove the container") as connection:
            connection.execute("DELETE FROM containers WHERE id = ?", (identity,))

    def directory(self, identity: str) -> Path:
        """Tell where the container's files lie, or would."""
        return self._directory / identity


def _one(connection: Connection, condition: str, value: str) -> ContainerRecord | None:
    row = connection.execute(_COLUMNS + condition, (value,)).fetchone()
    return None if row is None else ContainerRecord(*row)


def _refuse_taken_name(connection: Connection, name: str) -> None:
    other = _one(connection, " WHERE name = ?", name)
    if other is not None:
        raise NameInUse(
            f"the name `{name}` is in use by the container `{short(other.id)}`",
            hint=f"choose another name, or remove that container: `dissolver rm {name}`",
        )


def _not_found(text: str) -> ContainerNotFound:
    return ContainerNotFound(
        f"there is no container `{text}`", hint="`dissolver ps -a` lists the containers"
    )
