"""Images and their names."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dissolver.errors import BadImageConfig, InUse, StoreError
from dissolver.image.digest import short
from dissolver.store.annotations import annotate, annotations_of
from dissolver.store.faults import explained
from dissolver.store.references import find_image, not_found, spelled_name, stored_name

if TYPE_CHECKING:
    from sqlite3 import Connection

    from dissolver._core.layer import Layers
    from dissolver.image.annotations import Annotations
    from dissolver.image.config import Image, ImageConfig
    from dissolver.image.reference import Reference
    from dissolver.store.blobs import BlobStore
    from dissolver.store.database import Database
    from dissolver.store.lock import StoreLock


@dataclass(frozen=True, slots=True)
class ListedImage:
    """An image and every reference to it, sorted; none for a dangling one."""

    image: Image
    references: tuple[Reference, ...]


ListedImages = list[ListedImage]
Tagged = list[tuple[str, "Reference"]]


@dataclass(frozen=True, slots=True)
class Removal:
    """What a removal took away: familiar names, then image IDs, in order."""

    untagged: tuple[str, ...]
    deleted: tuple[str, ...]


class ImageStore:
    """The images of a store, by ID and by name.

    Every change is one transaction: a name always leads to a complete image.
    Layers stay until garbage collection finds that nothing needs them.
    """

    def __init__(
        self,
        database: Database,
        blobs: BlobStore,
        lock: StoreLock,
        *,
        layers: Callable[[], Layers],
        release: Callable[[str, tuple[str, ...]], None],
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._lock = lock
        self._layers = layers
        self._release = release

    def put(
        self,
        config: ImageConfig,
        *,
        tags: Sequence[Reference] = (),
        document: bytes | None = None,
        annotations: Annotations | None = None,
    ) -> Image:
        """Store the image that ``config`` describes and give it ``tags``.

        Storing it again is cheap and answers the same image. ``document`` is the
        encoded configuration as it came from elsewhere, whose digest is its ID.
        ``annotations`` take the place of those that the image has; ``None`` leaves them.
        A tag that another image had moves here. The caller holds the store lock shared
        from before it made the layers until this returns.

        Raises:
            StoreError: a layer is missing, or the disk is full; nothing changed.
        """
        from dissolver.image.config import Image, encode_config
        from dissolver.image.digest import digest_of

        content = encode_config(config) if document is None else document
        identity = digest_of(content)
        names = [stored_name(tag) for tag in tags]
        with self._lock.shared(), explained("store the image"):
            size = self._stored_size(identity, names, annotations)
            if size is None:
                size = self._content_size(config.diff_ids)
                self._blobs.put(content)
                with self._database.write("store the image") as connection:
                    _insert(connection, identity, size, config.diff_ids)
                    _point(connection, names, identity)
                    if annotations is not None:
                        annotate(connection, identity, annotations)
        return Image(identity, config, size)

    def _stored_size(
        self, identity: str, names: Sequence[str], annotations: Annotations | None
    ) -> int | None:
        """Answer the size if the image is there with all that it is to have."""
        connection = self._database.read()
        row = connection.execute("SELECT size FROM images WHERE id = ?", (identity,)).fetchone()
        if row is None or not self._blobs.has(identity):
            return None
        for name in names:
            target = connection.execute("SELECT image FROM refs WHERE name = ?", (name,)).fetchone()
            if target is None or target[0] != identity:
                return None
        if annotations is not None and annotations_of(connection, identity) != annotations:
            return None
        return int(row[0])

    def _content_size(self, diff_ids: Sequence[str]) -> int:
        layers = self._layers()
        size = 0
        for diff_id in diff_ids:
            info = layers.info(diff_id)
            if info is None:
                raise StoreError(
                    f"the image cannot be stored: its layer `{diff_id}` is missing",
                    hint="run `dissolver system check`",
                )
            size += info.content_bytes
        return size

    def get(self, identity: str) -> Image:
        """Answer the image with exactly this ID.

        Raises:
            ImageNotFound: there is none.
            StoreError: its configuration is missing or damaged.
        """
        with explained("read the image"):
            row = (
                self._database.read()
                .execute("SELECT size FROM images WHERE id = ?", (identity,))
                .fetchone()
            )
        if row is None:
            raise not_found(identity, None)
        return self._load(identity, row[0])

    def _load(self, identity: str, size: int) -> Image:
        from dissolver.image.config import Image, decode_config

        try:
            config = decode_config(self._blobs.get(identity))
        except BadImageConfig as error:
            raise StoreError(
                f"the image `{short(identity)}` is damaged: {error.message}",
                hint="run `dissolver system check`",
            ) from error
        return Image(identity, config, size)

    def resolve(self, text: str) -> Image:
        """Answer the image that a name, ``name:tag``, digest or unique ID prefix means.

        Raises:
            ImageNotFound: no image answers to it; the hint names what can make one.
            AmbiguousIdentifier: it is a prefix of several IDs.
            BadReference: it can be neither a name nor an ID.
        """
        with explained("find the image"):
            identity = find_image(self._database.read(), text)
        return self.get(identity)

    def list(self) -> ListedImages:
        """List every image with its references, the newest first.

        An image that another process removes meanwhile is left out.
        """
        with explained("list the images"):
            connection = self._database.read()
            connection.execute("BEGIN")
            try:
                images = connection.execute("SELECT id, size FROM images").fetchall()
                names = connection.execute("SELECT image, name FROM refs ORDER BY name").fetchall()
            finally:
                connection.execute("COMMIT")
        references: dict[str, list[Reference]] = {}
        for identity, name in names:
            references.setdefault(identity, []).append(_reference(name))
        listed = []
        for identity, size in images:
            try:
                image = self._load(identity, size)
            except StoreError:
                if self._is_stored(identity):
                    raise
                continue
            listed.append(ListedImage(image, tuple(references.get(identity, ()))))
        listed.sort(key=lambda row: (-(row.image.created or 0), row.image.id))
        return listed

    def _is_stored(self, identity: str) -> bool:
        query = "SELECT 1 FROM images WHERE id = ?"
        return self._database.read().execute(query, (identity,)).fetchone() is not None

    def references(self, identity: str) -> tuple[Reference, ...]:
        """List the references to one image, sorted."""
        with explained("read the names of the image"):
            return _references(self._database.read(), identity)

    def tagged(self, name: str) -> Tagged:
        """List the IDs and references of the images with a tag in a repository, by tag.

        ``name`` is the repository with its registry: ``docker.io/library/node``.
        """
        with explained("read the names of images"):
            rows = self._database.read().execute(
                # `;` follows the colon, so this is a search by index.
                "SELECT image, name FROM refs WHERE name >= ? AND name < ? ORDER BY name",
                (f"{name}:", f"{name};"),
            )
            return [(str(identity), _reference(text)) for identity, text in rows]

    def annotations(self, identity: str) -> Annotations:
        """Tell what is said about an image beside its configuration."""
        with explained("read the annotations of the image"):
            return annotations_of(self._database.read(), identity)

    def tag(self, identity: str, reference: Reference) -> None:
        """Make ``reference`` mean the image; an image that had the name loses it.

        Raises:
            ImageNotFound: the image is not there any more.
        """
        with self._database.write("tag the image") as connection:
            if not _exists(connection, identity):
                raise not_found(identity, None)
            _point(connection, [stored_name(reference)], identity)

    def untag(self, reference: Reference) -> None:
        """Remove a name; its image stays.

        Raises:
            ImageNotFound: nothing has the name.
        """
        with self._database.write("untag the image") as connection:
            gone = connection.execute("DELETE FROM refs WHERE name = ?", (stored_name(reference),))
            if gone.rowcount == 0:
                raise not_found(reference.familiar, reference)

    def remove(
        self,
        text: str,
        *,
        force: bool = False,
        is_running: Callable[[str], bool] = lambda _: True,
    ) -> Removal:
        """Remove a name, and with its last name the image.

        By name it removes only the name while the image has others. By ID it removes
        the image and its names, if they are all of one repository or with ``force``.
        ``is_running`` tells for a container's ID whether it runs.

        Raises:
            ImageNotFound: nothing answers to ``text``.
            InUse: a container was made from the image; with ``force`` only one
                that runs is in the way. Or the ID has names in several repositories.
        """
        with self._database.write("remove the image") as connection:
            identity = find_image(connection, text)
            references = _references(connection, identity)
            named = _named_by(references, text)
            leaving = references if named is None else _leaving(references, named)
            if len(leaving) < len(references):
                for reference in leaving:
                    _forget(connection, reference)
                return Removal(tuple(reference.familiar for reference in leaving), ())
            if named is None and not force:
                _refuse_several_repositories(references, identity)
            _refuse_used(connection, identity, text, force=force, is_running=is_running)
            rows = connection.execute(
                "SELECT diff_id FROM image_layers WHERE image = ?", (identity,)
            )
            diff_ids = tuple(row[0] for row in rows)
            connection.execute("DELETE FROM images WHERE id = ?", (identity,))
        self._release(identity, diff_ids)
        return Removal(tuple(reference.familiar for reference in leaving), (identity,))


def _insert(connection: Connection, identity: str, size: int, diff_ids: Sequence[str]) -> None:
    inserted = connection.execute(
        "INSERT OR IGNORE INTO images (id, size, stored_ns) VALUES (?, ?, ?)",
        (identity, size, time.time_ns()),
    )
    if inserted.rowcount:
        connection.executemany(
            "INSERT INTO image_layers (image, position, diff_id) VALUES (?, ?, ?)",
            [(identity, position, diff_id) for position, diff_id in enumerate(diff_ids)],
        )


def _point(connection: Connection, names: Sequence[str], identity: str) -> None:
    connection.executemany(
        "INSERT INTO refs (name, image) VALUES (?, ?)"
        " ON CONFLICT (name) DO UPDATE SET image = excluded.image",
        [(name, identity) for name in names],
    )


def _exists(connection: Connection, identity: str) -> bool:
    query = "SELECT 1 FROM images WHERE id = ?"
    return connection.execute(query, (identity,)).fetchone() is not None


def _reference(name: str) -> Reference:
    from dissolver.image.reference import parse_reference

    return parse_reference(name)


def _references(connection: Connection, identity: str) -> tuple[Reference, ...]:
    rows = connection.execute("SELECT name FROM refs WHERE image = ? ORDER BY name", (identity,))
    return tuple(_reference(name) for (name,) in rows)


def _named_by(references: tuple[Reference, ...], text: str) -> Reference | None:
    """Tell which of an image's references ``text`` spells; ``None`` if it is an ID.

    As where images are found, a name wins over an ID that begins with the same letters.
    """
    wanted = spelled_name(text)
    return next((known for known in references if stored_name(known) == wanted), None)


def _leaving(references: tuple[Reference, ...], named: Reference) -> tuple[Reference, ...]:
    """List what goes with a name: with a repository's last tag, its digests too."""
    same = [one for one in references if one.name == named.name and one != named]
    if named.digest is not None or any(one.digest is None for one in same):
        return (named,)
    return (named, *same)


def _forget(connection: Connection, reference: Reference) -> None:
    connection.execute("DELETE FROM refs WHERE name = ?", (stored_name(reference),))


def _refuse_several_repositories(references: tuple[Reference, ...], identity: str) -> None:
    if len({reference.name for reference in references}) > 1:
        names = ", ".join(f"`{reference.familiar}`" for reference in references)
        raise InUse(
            f"the image `{short(identity)}` has names in several repositories: {names}",
            hint="remove the names one by one, or use `-f` to remove them all",
        )


def _refuse_used(
    connection: Connection,
    identity: str,
    text: str,
    *,
    force: bool,
    is_running: Callable[[str], bool],
) -> None:
    rows = connection.execute(
        "SELECT id, name FROM containers WHERE image = ? ORDER BY created_ns", (identity,)
    ).fetchall()
    for container, name in rows:
        running = is_running(container)
        if running:
            raise InUse(
                f"the image `{text}` is used by the running container `{name}`",
                hint=f"remove that first: `dissolver rm -f {name}`",
            )
        if not force:
            raise InUse(
                f"the image `{text}` is used by the stopped container `{name}`",
                hint=f"remove that first: `dissolver rm {name}`, or use `-f`",
            )
