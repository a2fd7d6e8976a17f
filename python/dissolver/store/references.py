"""Names of images: which image each one means, and how a text finds its image."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dissolver.errors import AmbiguousIdentifier, BadReference, ImageNotFound
from dissolver.image.reference import Reference, parse_reference

if TYPE_CHECKING:
    from sqlite3 import Connection

_HEX = re.compile(r"[0-9a-f]{1,64}", re.ASCII)
_SUITE = re.compile(r"(?P<suite>[a-z]+)(?:-slim)?", re.ASCII)


def stored_name(reference: Reference) -> str:
    """Write ``reference`` as the database keeps it: with a digest, the tag says nothing."""
    if reference.digest is not None:
        return f"{reference.name}@{reference.digest}"
    return f"{reference.name}:{reference.tag}"


def find_image(connection: Connection, text: str) -> str:
    """Find the ID of the image that ``text`` means.

    A name wins over an ID prefix of the same spelling, as it does for Docker.

    Raises:
        ImageNotFound: no image answers to it; the hint names what can make one.
        AmbiguousIdentifier: it is a prefix of several IDs.
        BadReference: it can be neither a name nor an ID.
    """
    prefix = _as_prefix(text)
    try:
        reference = _spelled(text)
    except BadReference:
        if prefix is None:
            raise
        reference = None
    if reference is not None:
        found = _by_reference(connection, reference)
        if found is not None:
            return found
    if prefix is not None:
        found = _by_prefix(connection, prefix, text)
        if found is not None:
            return found
    raise not_found(text, reference)


def spelled_name(text: str) -> str | None:
    """Give the stored name that ``text`` spells; ``None`` if it can only be an ID."""
    try:
        reference = _spelled(text)
    except BadReference:
        return None
    return None if reference is None else stored_name(reference)


def _spelled(text: str) -> Reference | None:
    is_id = text.startswith("sha256:") and _as_prefix(text) is not None
    return None if is_id else parse_reference(text)


def _as_prefix(text: str) -> str | None:
    digits = text.removeprefix("sha256:")
    return digits if _HEX.fullmatch(digits) else None


def _by_reference(connection: Connection, reference: Reference) -> str | None:
    row = connection.execute(
        "SELECT image FROM refs WHERE name = ?", (stored_name(reference),)
    ).fetchone()
    if row is None and reference.digest is not None:
        # A local image has no manifest, so its ID is the digest that people can see.
        row = connection.execute(
            "SELECT image FROM refs WHERE image = ? AND name >= ? AND name < ? LIMIT 1",
            (reference.digest, f"{reference.name}:", f"{reference.name};"),
        ).fetchone()
    return None if row is None else str(row[0])


def _by_prefix(connection: Connection, digits: str, text: str) -> str | None:
    rows = connection.execute(
        # `g` follows the last hexadecimal digit, so this is a search by index.
        "SELECT id FROM images WHERE id >= ? AND id < ? LIMIT 2",
        (f"sha256:{digits}", f"sha256:{digits}g"),
    ).fetchall()
    if len(rows) > 1:
        raise AmbiguousIdentifier(
            f"`{text}` is the beginning of more than one image ID",
            hint="give more digits; `dissolver images --no-trunc` shows them all",
        )
    return str(rows[0][0]) if rows else None


def not_found(text: str, reference: Reference | None) -> ImageNotFound:
    """Say that no image answers to ``text``, and which commands can provide one."""
    if reference is None:
        return ImageNotFound(
            f"no local image has an ID that begins with `{text}`",
            hint="`dissolver images` lists the images",
        )
    name = reference.familiar
    suite = _SUITE.fullmatch(reference.tag or "")
    example = suite["suite"] if suite and suite["suite"] not in ("latest", "stable") else "SUITE"
    return ImageNotFound(
        f"there is no local image `{name}`",
        hint=f"make it with `dissolver image bootstrap {example} -t {name}`, "
        f"`dissolver import FILE {name}` or `dissolver build -t {name} PATH`, "
        f"or fetch it with `dissolver pull {name}`",
    )
