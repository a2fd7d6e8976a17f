"""Image configurations: the JSON document that an image is, as values.

The field names are those of the OCI image specification and of Docker's additions
to it. What a document says beyond them is kept and written back.
"""

from __future__ import annotations

from typing import Any

import msgspec

from dissolver.errors import BadImageConfig
from dissolver.image.digest import Digest, digest_of
from dissolver.image.platform import Platform
from dissolver.image.timestamps import format_time, parse_time

Unknown = dict[str, Any]
"""Fields of a document that this version does not know, by name."""


class Healthcheck(msgspec.Struct, frozen=True, rename="pascal", omit_defaults=True):
    """How to find out whether a container works; times are in nanoseconds, 0 is inherited."""

    test: tuple[str, ...] = ()
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


class RunConfig(msgspec.Struct, frozen=True, rename="pascal", omit_defaults=True):
    """What a container of the image starts with (the ``config`` part of the document).

    ``env`` holds ``NAME=value`` texts in order. ``exposed_ports`` (``80/tcp``) and
    ``volumes`` are sorted. Empty stands for absent everywhere, as it does for Docker.
    ``args_escaped`` is a relic of Windows images that BuildKit sets with every CMD.
    """

    user: str = ""
    exposed_ports: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    working_dir: str = ""
    labels: dict[str, str] = {}
    stop_signal: str = ""
    shell: tuple[str, ...] = ()
    on_build: tuple[str, ...] = ()
    healthcheck: Healthcheck | None = None
    args_escaped: bool = False
    unknown: Unknown = {}


class HistoryEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """How one step came about; ``created`` is in nanoseconds since the epoch."""

    created: int | None = None
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False


class RootFs(msgspec.Struct, frozen=True):
    """The layers of an image: digests of their uncompressed tars, bottom first."""

    type: str = "layers"
    diff_ids: tuple[str, ...] = ()


class ImageConfig(msgspec.Struct, frozen=True, omit_defaults=True):
    """A whole image configuration; ``created`` is in nanoseconds since the epoch."""

    architecture: str
    os: str
    variant: str = ""
    created: int | None = None
    author: str = ""
    config: RunConfig = RunConfig()
    rootfs: RootFs = RootFs()
    history: tuple[HistoryEntry, ...] = ()
    unknown: Unknown = {}

    @property
    def platform(self) -> Platform:
        """What kind of machine the image is for."""
        return Platform(self.os, self.architecture, self.variant)

    @property
    def diff_ids(self) -> tuple[str, ...]:
        """The layers, bottom first."""
        return self.rootfs.diff_ids


class Image(msgspec.Struct, frozen=True):
    """An image as it lies in a store: its identity, its configuration, its size.

    ``id`` is the digest of the encoded configuration; ``size`` is the sum of the
    layers' contents in bytes.
    """

    id: str
    config: ImageConfig
    size: int

    @property
    def created(self) -> int | None:
        """When the image was made, in nanoseconds since the epoch, if it says so."""
        return self.config.created


def encode_config(config: ImageConfig) -> bytes:
    """Write ``config`` as JSON; equal values give equal bytes.

    Keys are sorted, times are in UTC, and what is empty is left out, so the digest
    of the result identifies the image.
    """
    document = _builtins(config)
    if config.created is not None:
        document["created"] = format_time(config.created)
    document["config"] = _encode_run(config.config)
    document["rootfs"] = _builtins(config.rootfs)
    if config.history:
        document["history"] = [_encode_entry(entry) for entry in config.history]
    return msgspec.json.encode(document, order="sorted")


def decode_config(document: bytes) -> ImageConfig:
    """Read an image configuration as Docker, BuildKit and others write it.

    Raises:
        BadImageConfig: the bytes are not JSON, or a known field has the wrong type.
    """
    try:
        fields = _present(msgspec.json.decode(document, type=dict[str, Any]))
        fields["config"] = _decode_run(fields.get("config", {}))
        history = msgspec.convert(fields.get("history", ()), list[Any])
        fields["history"] = [_decode_entry(entry) for entry in history]
        if "created" in fields:
            fields["created"] = _decode_time(fields["created"])
        if "rootfs" in fields:
            fields["rootfs"] = _present(msgspec.convert(fields["rootfs"], dict[str, Any]))
        _set_unknown_aside(fields, ImageConfig)
        return msgspec.convert(fields, ImageConfig)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadImageConfig(f"the image configuration is not valid: {error}") from None


def image_id(config: ImageConfig) -> Digest:
    """Derive the identity of the image that ``config`` describes."""
    return digest_of(encode_config(config))


def _encode_run(config: RunConfig) -> dict[str, Any]:
    document = _builtins(config)
    for name in ("ExposedPorts", "Volumes"):
        if name in document:
            document[name] = {key: {} for key in document[name]}
    return document


def _decode_run(document: Any) -> dict[str, Any]:
    fields = _present(msgspec.convert(document, dict[str, Any]))
    for name in ("ExposedPorts", "Volumes"):
        if name in fields:
            fields[name] = sorted(msgspec.convert(fields[name], dict[str, Any]))
    _set_unknown_aside(fields, RunConfig)
    # The one field that has no place in the document carries its own name.
    fields["Unknown"] = fields.pop("unknown")
    return fields


def _encode_entry(entry: HistoryEntry) -> dict[str, Any]:
    document = _builtins(entry)
    if entry.created is not None:
        document["created"] = format_time(entry.created)
    return document


def _decode_entry(document: Any) -> dict[str, Any]:
    fields = _present(msgspec.convert(document, dict[str, Any]))
    if "created" in fields:
        fields["created"] = _decode_time(fields["created"])
    return fields


def _decode_time(value: Any) -> int:
    return parse_time(msgspec.convert(value, str))


def _builtins(value: msgspec.Struct) -> dict[str, Any]:
    """Turn a value into its document, with what was unknown in its old place."""
    document: dict[str, Any] = msgspec.to_builtins(value)
    unknown = document.pop("unknown", None) or document.pop("Unknown", None) or {}
    return unknown | document


def _present(fields: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is null: Go writes it where a list or a map is empty."""
    return {name: value for name, value in fields.items() if value is not None}


def _set_unknown_aside(fields: dict[str, Any], kind: type[msgspec.Struct]) -> None:
    known = {field.encode_name for field in msgspec.structs.fields(kind)}
    known -= {"unknown", "Unknown"}
    fields["unknown"] = {name: fields.pop(name) for name in list(fields) if name not in known}
