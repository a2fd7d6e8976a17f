"""Manifests and indexes: the documents that hold an image's parts together.

Field names are those of the OCI image specification, which Docker's manifest
(version 2, schema 2) shares. What is not needed to find the parts is not kept.
"""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec

from dissolver.errors import BadManifest
from dissolver.image import media_types
from dissolver.image.digest import Digest, digest_of
from dissolver.image.platform import Platform

SCHEMA = 2
MANIFEST_LIMIT = 4 << 20
"""Longest document that is read, in bytes: what the distribution specification tells registries."""


class PlatformFields(
    msgspec.Struct,
    frozen=True,
    omit_defaults=True,
    rename={"os_version": "os.version", "os_features": "os.features"},
):
    """A platform as indexes write it; what only Windows needs is kept for those who copy it."""

    architecture: str
    os: str
    variant: str = ""
    os_version: str | None = None
    os_features: tuple[str, ...] | None = None


class Descriptor(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A content by type, digest and size in bytes, and what an index says about it."""

    media_type: str
    digest: str
    size: Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
    platform: PlatformFields | None = None
    annotations: dict[str, str] = {}


class Manifest(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """One image: its configuration, its layers as blobs, bottom first, and what is said about it.

    Without annotations the field is not written.
    """

    schema_version: int = SCHEMA
    media_type: str = media_types.OCI_MANIFEST
    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: dict[str, str] | msgspec.UnsetType | None = msgspec.UNSET


class Index(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A list of manifests, or of further indexes."""

    schema_version: int = SCHEMA
    media_type: str = media_types.OCI_INDEX
    manifests: tuple[Descriptor, ...]


Document = TypeVar("Document", Manifest, Index)


def encode(document: Manifest | Index) -> bytes:
    """Write a manifest or an index as JSON; equal values give equal bytes."""
    return msgspec.json.encode(document, order="sorted")


def decode_manifest(document: bytes) -> Manifest:
    """Read a manifest of OCI's or Docker's.

    Raises:
        BadManifest: it is not JSON, a field is missing, or the schema is another one.
    """
    return _decode(document, Manifest, "manifest")


def decode_index(document: bytes) -> Index:
    """Read an index, or what Docker calls a manifest list.

    Raises:
        BadManifest: it is not JSON, a field is missing, or the schema is another one.
    """
    return _decode(document, Index, "index")


def describe(media_type: str, content: bytes, **fields: object) -> Descriptor:
    """Describe a document that is at hand."""
    described = Descriptor(media_type, digest_of(content), len(content))
    return msgspec.structs.replace(described, **fields)


def platform_fields(platform: Platform) -> PlatformFields:
    """Write a platform as indexes do."""
    return PlatformFields(platform.architecture, platform.os, platform.variant)


def platform_of(descriptor: Descriptor) -> Platform | None:
    """Tell which platform an index says that a manifest is for."""
    fields = descriptor.platform
    return None if fields is None else Platform(fields.os, fields.architecture, fields.variant)


def checked_digest(descriptor: Descriptor) -> Digest:
    """Return the digest of a content that will be looked up by it.

    Raises:
        BadManifest: it is no SHA-256.
    """
    from dissolver.errors import BadDigest
    from dissolver.image.digest import parse_digest

    try:
        digest = parse_digest(descriptor.digest)
    except BadDigest as error:
        raise BadManifest(error.message) from None
    if not digest.startswith("sha256:"):
        raise BadManifest(f"the digest `{digest}` is no SHA-256, which is all that is read here")
    return digest


def _decode(document: bytes, kind: type[Document], name: str) -> Document:
    if len(document) > MANIFEST_LIMIT:
        raise BadManifest(f"the {name} has {len(document)} bytes; {MANIFEST_LIMIT} are accepted")
    try:
        fields = msgspec.json.decode(document)
        if isinstance(fields, dict) and fields.get("layers", ()) is None:
            # BuildKit writes an image without layers so.
            fields["layers"] = []
        found = msgspec.convert(fields, kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadManifest(f"the {name} is not valid: {error}") from None
    if found.schema_version != SCHEMA:
        raise BadManifest(
            f"the {name} has schema {found.schema_version}, and this version reads {SCHEMA}"
        )
    return found
