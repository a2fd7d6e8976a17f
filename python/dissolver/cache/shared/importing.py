"""A shared cache as it was found: its records, looked up; its layers, fetched when asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dissolver.cache.shared import inline
from dissolver.cache.shared.document import (
    RECORDS_TYPE,
    decode_records,
    printable,
    read_inputs,
    read_short_inputs,
)
from dissolver.cache.shared.streaming import is_stored, is_verified
from dissolver.errors import BadCache, DissolverError
from dissolver.image import media_types
from dissolver.image.config import decode_config
from dissolver.image.manifest import checked_digest
from dissolver.image.validate import check_config
from dissolver.store.packed_inputs import PackedInputs, pack_inputs
from dissolver.store.records import StepRecord

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dissolver.cache.shared.depot import Depot, OnBytes
    from dissolver.cache.shared.document import SharedRecord
    from dissolver.image.config import ImageConfig
    from dissolver.image.manifest import Descriptor
    from dissolver.image.platform import Platform
    from dissolver.store import Store

NO_INPUTS = PackedInputs(pack_inputs(()))


class ImportedCache:
    """The records of a shared cache, and the way to its layers.

    Nothing of it is in the store. A record is only ever handed out for a key that the
    caller derived; the layer that it names counts once its digests were verified.
    """

    def __init__(
        self,
        name: str,
        records: Sequence[SharedRecord],
        blobs: Mapping[str, Descriptor],
        depot: Depot | None,
    ) -> None:
        self.name = name
        self._depot = depot
        self._blobs = blobs
        self._found = {
            digest: record
            for record in reversed(records)
            for digest in (record.key, record.shortcut)
            if digest
        }
        self._places = {record.place: record for record in reversed(records)}

    def find(self, digest: str) -> SharedRecord | None:
        """Answer the record with this key or shortcut."""
        return self._found.get(digest)

    def at(self, place: str) -> SharedRecord | None:
        """Answer the record of the step at ``place`` in its build."""
        return self._places.get(place)

    def blob(self, record: SharedRecord) -> Descriptor | None:
        """Describe the blob of a record's layer; nothing if layers come from the store alone."""
        return self._blobs.get(record.blob)

    def has_layer(self, store: Store, record: SharedRecord) -> bool:
        """Tell whether a record's layer can be fetched, or was before and is in the store.

        Raises:
            DissolverError: the depot does not say.
        """
        blob = self.blob(record)
        if blob is None or self._depot is None:
            return is_stored(store, record.layer)
        return is_verified(store, record.layer, record.blob) or self._depot.has(blob)

    def fetch(self, store: Store, blob: Descriptor, diff_id: str, on_bytes: OnBytes) -> None:
        """Have a layer in the store, verified while it arrives.

        Raises:
            DissolverError: it cannot be had, or is not what its digests say.
        """
        if self._depot is None:
            raise BadCache(f"the layer `{diff_id}` is not in the store any more")
        self._depot.fetch(store, blob, diff_id, on_bytes)

    def step_record(self, record: SharedRecord, digest: str) -> StepRecord:
        """Return a record as the store keeps those of its own, found under ``digest``."""
        return StepRecord(
            key=digest,
            kind=record.kind,
            diff_id=record.layer,
            created_ns=record.created,
            build="",
            step=printable(record.place),
            inputs=self._inputs(record),
            depot=self.name,
        )

    def _inputs(self, record: SharedRecord) -> PackedInputs:
        if record.inputs:
            return read_short_inputs(record.inputs)
        blob = self._blobs.get(record.inputs_blob)
        depot = self._depot
        if blob is None or depot is None:
            return NO_INPUTS

        def fetched() -> bytes:
            try:
                return read_inputs(depot.document(blob)).packed
            except DissolverError:
                # They only explain: a build does not fail for want of an explanation.
                return NO_INPUTS.packed

        return PackedInputs(fetched)


def read_cache(depot: Depot, platform: Platform, machine: str) -> ImportedCache:
    """Read what a depot holds: a cache, or an image for ``platform`` with records of its own.

    Raises:
        BadCache: it is neither, or says something impossible.
        DissolverError: it cannot be read.
    """
    manifest = depot.manifest(platform)
    for blob in (manifest.config, *manifest.layers):
        checked_digest(blob)
    blobs = {blob.digest: blob for blob in manifest.layers}
    if manifest.config.media_type == RECORDS_TYPE:
        records = decode_records(depot.document(manifest.config), manifest, machine)
        return ImportedCache(depot.name, records, blobs, depot)
    if manifest.config.media_type not in media_types.CONFIGS:
        raise BadCache(
            f"it is a `{printable(manifest.config.media_type)}`, and no cache that is read here",
            hint="caches have a format of their own; write one with `--cache-to`",
        )
    config = check_config(decode_config(depot.document(manifest.config)))
    found = inline.read_records(config, [blob.digest for blob in manifest.layers], machine)
    if found is None:
        raise BadCache(
            "it is an image without records of its steps",
            hint="build it with `--cache-to type=inline`, or export a cache beside it",
        )
    return ImportedCache(depot.name, found, blobs, depot)


def stored_cache(name: str, config: ImageConfig, machine: str) -> ImportedCache | None:
    """Read the records of an image that is in the store; nothing if it holds none.

    Raises:
        BadCache: they are not as they have to be.
    """
    records = inline.read_records(config, config.diff_ids, machine)
    return None if records is None else ImportedCache(name, records, {}, None)
