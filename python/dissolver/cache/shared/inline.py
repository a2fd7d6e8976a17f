"""Records in an image's own configuration: such an image is a cache for its own build.

They survive whatever carries the image, because they are a part of it. Lists of inputs are
left out: with them a configuration could grow as large as a context.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from dissolver.cache.shared.document import SharedRecord, check_record, of_machine
from dissolver.errors import BadCache
from dissolver.image.media_types import INLINE_CACHE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dissolver.image.config import ImageConfig


class InlineCache(msgspec.Struct, frozen=True, kw_only=True):
    """The records of an image, and the platform of the machine that ran its steps."""

    machine: str
    records: tuple[InlineRecord, ...]


class InlineRecord(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What came of a step; ``layer`` counts the image's layers from the bottom, from 0."""

    key: str
    kind: str
    layer: int
    created: int
    place: str


def with_records(config: ImageConfig, records: Sequence[SharedRecord], machine: str) -> ImageConfig:
    """Return ``config`` with the records of its own layers; others are left out."""
    places = {diff_id: number for number, diff_id in enumerate(config.diff_ids)}
    kept = tuple(
        InlineRecord(
            key=record.key,
            kind=record.kind,
            layer=places[record.layer],
            created=record.created,
            place=record.place,
        )
        for record in records
        if record.layer in places and record.key
    )
    said = msgspec.to_builtins(InlineCache(machine=machine, records=kept))
    return replace(config, unknown={**config.unknown, INLINE_CACHE: said})


def read_records(
    config: ImageConfig, blobs: Sequence[str], machine: str
) -> tuple[SharedRecord, ...] | None:
    """Read the records of an image whose layers are ``blobs``; nothing if it holds none.

    Raises:
        BadCache: they are not as they have to be.
    """
    if INLINE_CACHE not in config.unknown:
        return None
    try:
        found = msgspec.convert(config.unknown[INLINE_CACHE], InlineCache)
    except msgspec.MsgspecError as error:
        raise BadCache(f"its records are not valid: {error}") from None
    if len(blobs) != len(config.diff_ids):
        raise BadCache("it has another number of layers than its configuration")
    records = []
    for one in found.records:
        if not 0 <= one.layer < len(blobs):
            raise BadCache("a record names a layer that the image does not have")
        record = SharedRecord(
            key=one.key,
            kind=one.kind,
            layer=config.diff_ids[one.layer],
            blob=blobs[one.layer],
            created=one.created,
            place=one.place,
        )
        check_record(record)
        records.append(record)
    return of_machine(tuple(records), found.machine, machine)
