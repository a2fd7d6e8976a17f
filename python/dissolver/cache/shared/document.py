"""The two documents of a shared cache: its manifest, and the records that this leads to.

The manifest is an OCI image manifest with a type of its own. Its configuration is the
document with the records, its layers are the layers of the recorded steps as plain OCI
blobs, and lists of inputs that are too long to stand in the records. docs/shared-caches.md
draws both; change them together, and raise ``VERSION``.

Everything that is read here came from somebody else. A document that does not say what it
must is refused whole.
"""

from __future__ import annotations

import base64
import re
import zlib
from typing import TYPE_CHECKING

import msgspec

from dissolver.errors import BadCache, BadManifest
from dissolver.image import media_types
from dissolver.image.manifest import SCHEMA, Descriptor, Manifest, checked_digest, describe
from dissolver.image.media_types import layer_compression
from dissolver.store.packed_inputs import PackedInputs, pack_inputs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dissolver.store.packed_inputs import Inputs

VERSION = 1
ARTIFACT_TYPE = "application/vnd.dissolver.cache.v1"
RECORDS_TYPE = "application/vnd.dissolver.cache.records.v1+json"
INPUTS_TYPE = "application/vnd.dissolver.cache.inputs.v1"

SHORT_BYTES = 4096
"""Up to here packed inputs stand in the record: a request for each would cost more."""

INPUTS_LIMIT = 64 << 20
"""Unpacked inputs of one record, in bytes: 200,000 files have 25 MB of them."""

KINDS = frozenset(("run", "copy", "add", "workdir"))
_LATEST_NS = 1 << 62
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class SharedRecord(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What came of a step, as a shared cache keeps it.

    ``key`` and ``shortcut`` are what it is found by; either may be missing. ``layer`` is the
    diff ID of its layer, and ``blob`` the digest of that in the manifest. ``inputs`` are
    packed, in base64; ``inputs_blob`` is their digest in the manifest where they are long.
    """

    key: str = ""
    shortcut: str = ""
    kind: str
    layer: str
    blob: str
    created: int
    place: str
    inputs: str = ""
    inputs_blob: str = ""


class Records(msgspec.Struct, frozen=True, kw_only=True):
    """The records of a cache, those of the build's first steps first.

    ``machine`` is the platform of the machine that ran the steps: a key does not name it,
    as long as it is the one that is built for.
    """

    version: int = VERSION
    machine: str
    records: tuple[SharedRecord, ...]


class CacheManifest(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """What holds a shared cache together, and keeps its parts alive in a registry."""

    schema_version: int = SCHEMA
    media_type: str = media_types.OCI_MANIFEST
    artifact_type: str = ARTIFACT_TYPE
    config: Descriptor
    layers: tuple[Descriptor, ...]


def encode(document: Records | CacheManifest) -> bytes:
    """Write a document as JSON; equal values give equal bytes."""
    return msgspec.json.encode(document, order="sorted")


def make_manifest(records: bytes, blobs: Iterable[Descriptor]) -> bytes:
    """Write the manifest of a cache whose records and other parts are given."""
    unique = {blob.digest: blob for blob in blobs}
    manifest = CacheManifest(config=describe(RECORDS_TYPE, records), layers=tuple(unique.values()))
    return encode(manifest)


def decode_records(content: bytes, manifest: Manifest, machine: str) -> tuple[SharedRecord, ...]:
    """Read the records that ``manifest`` leads to; each names a layer that this lists.

    What programs of another kind of machine than ``machine`` came to is left out.

    Raises:
        BadCache: it is another version, or something in it is not as it has to be.
    """
    try:
        found = msgspec.json.decode(content, type=Records)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadCache(f"its records are not valid: {error}") from None
    if found.version != VERSION:
        raise BadCache(f"its records have version {found.version}, and {VERSION} is read here")
    blobs = {blob.digest: blob for blob in manifest.layers}
    for record in found.records:
        check_record(record)
        _check_layer(blobs.get(record.blob), record)
        if record.inputs_blob and record.inputs_blob not in blobs:
            raise BadCache("a record names inputs that the cache does not list")
    return of_machine(found.records, found.machine, machine)


def of_machine(
    records: tuple[SharedRecord, ...], made_on: str, machine: str
) -> tuple[SharedRecord, ...]:
    """Leave out what programs of another kind of machine came to; files are alike on all."""
    if made_on == machine:
        return records
    return tuple(record for record in records if record.kind != "run")


def check_record(record: SharedRecord) -> None:
    """Check what a record says by itself.

    Raises:
        BadCache: it is not as it has to be.
    """
    digests = (record.key, record.shortcut, record.layer, record.inputs_blob)
    if any(text and not _DIGEST.fullmatch(text) for text in digests):
        raise BadCache("a record has something else in place of a digest")
    if not record.layer or not (record.key or record.shortcut) or record.kind not in KINDS:
        raise BadCache("a record does not say which step it is of")
    if not 0 <= record.created <= _LATEST_NS:
        raise BadCache("a record has an impossible time")


def _check_layer(blob: Descriptor | None, record: SharedRecord) -> None:
    if blob is None:
        raise BadCache("a record names a layer that the cache does not list")
    try:
        checked_digest(blob)
        layer_compression(blob.media_type)
    except BadManifest as error:
        raise BadCache(error.message) from None
    if blob.size < 0:
        raise BadCache(f"the layer `{record.layer}` has an impossible size")


def shared_inputs(inputs: Inputs) -> tuple[str, bytes]:
    """Write inputs for a record: as its own text where they are short, else as a blob."""
    packed = pack_inputs(inputs)
    if len(packed) <= SHORT_BYTES:
        return base64.b64encode(packed).decode("ascii"), b""
    return "", packed


def read_short_inputs(text: str) -> PackedInputs:
    """Read the inputs that stand in a record; none if they are no good."""
    try:
        return read_inputs(base64.b64decode(text, validate=True))
    except ValueError:
        return PackedInputs(pack_inputs(()))


def read_inputs(packed: bytes) -> PackedInputs:
    """Read packed inputs of somebody else's; none if they are no good.

    They only ever explain a miss. Nothing is unpacked beyond ``INPUTS_LIMIT``, and what
    could move a terminal's cursor is taken out.
    """
    unpacking = zlib.decompressobj()
    try:
        content = unpacking.decompress(packed, INPUTS_LIMIT)
    except zlib.error:
        content = b""
    if not unpacking.eof or not content:
        return PackedInputs(pack_inputs(()))
    texts = content.decode("utf-8", "surrogateescape").split("\0")
    if len(texts) % 2:
        texts.pop()
    clean = [printable(text) for text in texts]
    return PackedInputs(pack_inputs(tuple(zip(clean[::2], clean[1::2], strict=True))))


def printable(text: str) -> str:
    """Write a text without what is no letter, digit or sign; bytes that are no text stay."""
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() or "\udc80" <= letter <= "\udcff" else "?" for letter in text
    )
