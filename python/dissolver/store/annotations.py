"""What is said about images beside their configurations, by the image's ID."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dissolver.image.annotations import Annotations

if TYPE_CHECKING:
    from sqlite3 import Connection

_PLACES = ("manifest", "manifest-descriptor")


def annotations_of(connection: Connection, identity: str) -> Annotations:
    """Read what is said about an image; nothing about one that is not there."""
    found: dict[str, dict[str, str]] = {place: {} for place in _PLACES}
    rows = connection.execute(
        "SELECT place, name, value FROM image_annotations WHERE image = ? ORDER BY place, name",
        (identity,),
    )
    for place, name, value in rows:
        found[place][name] = value
    return Annotations(*(found[place] for place in _PLACES))


def annotate(connection: Connection, identity: str, annotations: Annotations) -> None:
    """Say ``annotations`` about an image and nothing else, within a transaction.

    A manifest that was made before says something else then, and is not pushed again.
    """
    if annotations_of(connection, identity) == annotations:
        return
    connection.execute("DELETE FROM image_annotations WHERE image = ?", (identity,))
    connection.execute("DELETE FROM image_manifests WHERE image = ?", (identity,))
    connection.executemany(
        "INSERT INTO image_annotations (image, place, name, value) VALUES (?, ?, ?, ?)",
        [
            (identity, place, name, value)
            for place, said in zip(
                _PLACES, (annotations.manifest, annotations.descriptor), strict=True
            )
            for name, value in said.items()
        ],
    )
