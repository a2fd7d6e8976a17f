"""What ``--cache-from`` and ``--cache-to`` say: ``type=registry,ref=…`` and the like."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeVar

from dissolver.errors import BadCacheOption

if TYPE_CHECKING:
    from dissolver.image.media_types import Compression

Kind = Literal["registry", "local", "s3", "inline"]
Mode = Literal["min", "max"]

_IMPORTS: dict[str, frozenset[str]] = {
    "registry": frozenset({"ref"}),
    "local": frozenset({"src", "tag", "digest"}),
}
_EXPORTS: dict[str, frozenset[str]] = {
    "registry": frozenset({"ref"}),
    "local": frozenset({"dest", "tag"}),
    "inline": frozenset(),
}
_BUCKET = frozenset(
    {
        "bucket", "region", "prefix", "blobs_prefix", "manifests_prefix", "name", "endpoint_url",
        "use_path_style", "access_key_id", "secret_access_key", "session_token", "profile",
    }
)  # fmt: skip
_EVERY_EXPORT = frozenset({"mode", "ignore-error"})
_MEDIA = frozenset({"compression", "force-compression", "oci-mediatypes", "image-manifest"})
_ELSEWHERE = ("gha", "azblob")
_COMPRESSIONS: dict[str, Compression] = {"uncompressed": "none", "gzip": "gzip", "zstd": "zstd"}

DEFAULT_TAG = "latest"
DEFAULT_NAME = "dissolver"
"""What a cache in a bucket is called that was given no name."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a shared cache lies.

    ``ref`` is an image's name as it was written, for a registry; ``path`` and ``tag`` are for a
    directory, ``bucket`` and what follows for a bucket. ``names`` are those of the caches in a
    bucket: the first is read, all are written. ``key`` and those beside it are credentials.
    """

    kind: Kind
    ref: str = ""
    path: str = ""
    tag: str = DEFAULT_TAG
    digest: str = ""
    bucket: str = ""
    region: str = ""
    prefix: str = ""
    blobs_prefix: str = "blobs/"
    manifests_prefix: str = "manifests/"
    names: tuple[str, ...] = (DEFAULT_NAME,)
    endpoint: str = ""
    is_path_style: bool = False
    profile: str = ""
    key: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)
    token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class CacheImport:
    """A shared cache that is asked for results."""

    place: Place


@dataclass(frozen=True, slots=True)
class CacheExport:
    """A shared cache that results are written to.

    ``mode`` is ``min`` for the steps of the result alone, ``max`` for all. ``ignores_errors``
    lets a build end well whose cache could not be written. ``forces_compression`` sends no
    layer in another form than ``compression``, even where a registry has one.
    """

    place: Place
    mode: Mode = "min"
    ignores_errors: bool = False
    compression: Compression = "gzip"
    forces_compression: bool = False


Word = str | Mapping[str, str]
"""One value of ``--cache-from`` or ``--cache-to``, or its fields."""


def read_imports(words: Iterable[Word]) -> tuple[CacheImport, ...]:
    """Read what ``--cache-from`` says, in order; names without ``=`` are images in registries.

    Raises:
        BadCacheOption: a word does not say what is meant, or means something that is not read.
    """
    return tuple(_read(words, "--cache-from", _import))


def read_exports(words: Iterable[Word]) -> tuple[CacheExport, ...]:
    """Read what ``--cache-to`` says, in order; names without ``=`` are images in registries.

    Raises:
        BadCacheOption: a word does not say what is meant, or means something that is not written.
    """
    return tuple(_read(words, "--cache-to", _export))


Read = TypeVar("Read")


def _read(
    words: Iterable[Word], flag: str, make: Callable[[dict[str, str], str], Read]
) -> Iterable[Read]:
    for word in words:
        if isinstance(word, str):
            row = _cut(word, flag)
            if all("=" not in text for text in row):
                for name in row:
                    yield make({"type": "registry", "ref": name}, flag)
                continue
            fields = dict(_field(text, flag) for text in row)
        else:
            fields = {name.lower(): value for name, value in word.items()}
        yield make(fields, flag)


def _cut(word: str, flag: str) -> list[str]:
    try:
        (row,) = csv.reader([word], strict=True)
    except (csv.Error, ValueError):
        raise BadCacheOption(f"`{flag}` cannot be cut at its commas") from None
    return row


def _field(text: str, flag: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise BadCacheOption(f"`{name}` in `{flag}` has to be `key=value`")
    return name.strip().lower(), value


def _import(fields: dict[str, str], flag: str) -> CacheImport:
    kind = _kind(fields, flag)
    if kind == "inline":
        raise BadCacheOption(
            "an inline cache lies in an image, and is asked for by its name",
            hint="use `--cache-from type=registry,ref=IMAGE`",
        )
    _refuse_unknown(fields, kind, flag, _IMPORTS.get(kind, _BUCKET))
    return CacheImport(_place(fields, kind, flag, path="src"))


def _export(fields: dict[str, str], flag: str) -> CacheExport:
    kind = _kind(fields, flag)
    media = frozenset() if kind == "inline" else _MEDIA
    _refuse_unknown(fields, kind, flag, _EXPORTS.get(kind, _BUCKET) | _EVERY_EXPORT | media)
    mode = fields.get("mode", "min")
    if mode not in ("min", "max"):
        raise BadCacheOption(f"unknown mode `{mode}` in `{flag}`", hint="it is `min` or `max`")
    if kind == "inline" and mode == "max":
        raise BadCacheOption(
            "an image can hold records of its own steps only, and no cache with `mode=max`",
            hint="use `type=registry,ref=NAME,mode=max`",
        )
    for name in ("oci-mediatypes", "image-manifest"):
        if not _flag(fields, name, flag, default=True):
            raise BadCacheOption(
                f"a cache is written as an OCI image manifest, and not with `{name}=false`"
            )
    return CacheExport(
        _place(fields, kind, flag, path="dest"),
        mode="max" if mode == "max" else "min",
        ignores_errors=_flag(fields, "ignore-error", flag),
        compression=_compression(fields, flag),
        forces_compression=_flag(fields, "force-compression", flag),
    )


def _kind(fields: Mapping[str, str], flag: str) -> Kind:
    kind = fields.get("type", "")
    match kind:
        case "registry" | "local" | "s3" | "inline":
            return kind
        case "":
            raise BadCacheOption(f"`{flag}` has no `type=`", hint=_KINDS)
    known = f"`type={kind}` in `{flag}` is not built in" if kind in _ELSEWHERE else None
    raise BadCacheOption(known or f"unknown type `{kind}` in `{flag}`", hint=_KINDS)


_KINDS = "the types are `registry`, `local`, `s3` and, for `--cache-to`, `inline`"


def _refuse_unknown(fields: Mapping[str, str], kind: str, flag: str, known: frozenset[str]) -> None:
    unknown = sorted(fields.keys() - known - {"type"})
    if unknown:
        listed = ", ".join(f"`{name}`" for name in sorted(known))
        raise BadCacheOption(
            f"`{unknown[0]}` is no key of `{flag} type={kind}`",
            hint=f"the keys are {listed}" if listed else None,
        )


def _place(fields: Mapping[str, str], kind: Kind, flag: str, *, path: str) -> Place:
    match kind:
        case "registry":
            return Place(kind, ref=_needed(fields, "ref", kind, flag))
        case "local":
            return Place(
                kind,
                # Whoever carries it out may work in another directory.
                path=os.path.abspath(_needed(fields, path, kind, flag)),  # noqa: PTH100
                tag=fields.get("tag") or DEFAULT_TAG,
                digest=fields.get("digest", ""),
            )
        case "s3":
            return _bucket(fields, flag)
        case "inline":
            return Place(kind)


def _bucket(fields: Mapping[str, str], flag: str) -> Place:
    names = tuple(name for name in fields.get("name", DEFAULT_NAME).split(";") if name)
    for name in names or ("",):
        # It becomes a part of a key: nothing in it may lead elsewhere.
        if not name or name.startswith("/") or ".." in name.split("/"):
            raise BadCacheOption(f"`name={fields.get('name', '')}` in `{flag}` names no cache")
    endpoint = fields.get("endpoint_url", "")
    if endpoint and not (endpoint.startswith(("http://", "https://")) and "@" not in endpoint):
        raise BadCacheOption(
            f"`endpoint_url` in `{flag}` has to be an `http://` or `https://` address "
            "without credentials"
        )
    return Place(
        "s3",
        bucket=_needed(fields, "bucket", "s3", flag),
        region=fields.get("region", ""),
        prefix=fields.get("prefix", ""),
        blobs_prefix=fields.get("blobs_prefix", "blobs/"),
        manifests_prefix=fields.get("manifests_prefix", "manifests/"),
        names=names,
        endpoint=endpoint.rstrip("/"),
        is_path_style=_flag(fields, "use_path_style", flag),
        profile=fields.get("profile", ""),
        key=fields.get("access_key_id", ""),
        secret=fields.get("secret_access_key", ""),
        token=fields.get("session_token", ""),
    )


def _needed(fields: Mapping[str, str], name: str, kind: str, flag: str) -> str:
    value = fields.get(name, "")
    if not value:
        raise BadCacheOption(f"`{flag} type={kind}` has no `{name}=`")
    return value


def _flag(fields: Mapping[str, str], name: str, flag: str, *, default: bool = False) -> bool:
    text = fields.get(name, "").lower()
    if text not in ("", "true", "false", "1", "0"):
        raise BadCacheOption(f"`{name}` in `{flag}` is `true` or `false`, and not `{text}`")
    return default if not text else text in ("true", "1")


def _compression(fields: Mapping[str, str], flag: str) -> Compression:
    text = fields.get("compression", "gzip")
    if text not in _COMPRESSIONS:
        listed = ", ".join(f"`{name}`" for name in _COMPRESSIONS)
        raise BadCacheOption(
            f"unknown compression `{text}` in `{flag}`", hint=f"it is one of {listed}"
        )
    return _COMPRESSIONS[text]
