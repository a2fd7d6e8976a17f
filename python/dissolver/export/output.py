"""What a build leaves behind, in BuildKit's words: ``type=oci,dest=app.tar,compression=zstd``."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from dissolver.errors import ExportError
from dissolver.export.save import parse_compression
from dissolver.store.layer_blobs import Packing

OutputKind = Literal["image", "docker", "oci", "tar", "local", "cacheonly"]
"""An image of the store, archives of one, the files in it, or nothing beside the cache."""

STDOUT = "-"

_GZIP = Packing("gzip")

_LAYERS = frozenset(
    ("compression", "compression-level", "force-compression", "rewrite-timestamp", "oci-mediatypes")
)
_KEYS: Mapping[OutputKind, frozenset[str]] = {
    "image": _LAYERS | {"name", "push", "push-by-digest", "name-canonical", "unpack", "store"},
    "docker": _LAYERS | {"name", "dest", "tar"},
    "oci": _LAYERS | {"name", "dest", "tar"},
    "tar": frozenset(("dest", "platform-split")),
    "local": frozenset(("dest", "platform-split", "mode")),
    "cacheonly": frozenset(),
}
_LEVELS = {"gzip": range(1, 10), "zstd": range(1, 23)}
_REFUSED = {
    "context": "contexts of Docker's client are not read; write a `dest=`, and load that there",
    "registry.insecure": 'say so in `config.toml`: [registries."HOST"] with `insecure = true`',
    "dangling-name-prefix": "name the image: `name=`, or `-t`",
    "attestation-inline": "no attestations are made",
    "attestation-prefix": "no attestations are made",
    "oci-artifact": "no attestations are made",
    "prefer-nondist-layers": "layers that registries do not keep are not read",
}


@dataclass(frozen=True, slots=True)
class Output:
    """One thing that a build leaves behind.

    ``dest`` is a path, or the number of an open file (archives and tars alone); an ``image``
    and a ``docker`` without it go into the store. ``names`` are the image's besides the
    build's tags. ``packing`` is of layers that leave the store. ``rewrites_times`` sets times
    in new layers back to ``SOURCE_DATE_EPOCH``. ``splits_platforms`` puts files into a
    directory named by the platform.
    """

    kind: OutputKind
    dest: str | int | None = None
    names: tuple[str, ...] = ()
    pushes: bool = False
    is_nameless: bool = False
    is_directory: bool = False
    packing: Packing = _GZIP
    rewrites_times: bool = False
    splits_platforms: bool = False

    @property
    def is_stored(self) -> bool:
        """Whether the image goes into the store."""
        return self.kind == "image" or (self.kind == "docker" and self.dest is None)

    @property
    def has_image(self) -> bool:
        """Whether it is an image, and no bare files."""
        return self.kind in ("image", "docker", "oci")


def parse_output(text: str) -> Output:
    """Read an output as ``--output`` has it; a bare path is a directory, ``-`` a tar.

    Raises:
        ExportError: it says nothing that can be meant, or something that is not done here.
    """
    return read_output(output_fields(text))


def output_fields(text: str) -> dict[str, str]:
    """Cut an output into its fields, with ``type`` always among them.

    Raises:
        ExportError: a field has no ``=``, or the type is missing.
    """
    try:
        (row,) = csv.reader([text], strict=True)
    except (csv.Error, ValueError):
        raise ExportError(f"the output `{text}` cannot be cut at its commas") from None
    if row == [text] and text and not text.startswith("type="):
        return {"type": "tar" if text == STDOUT else "local", "dest": text}
    fields: dict[str, str] = {}
    for field in row:
        key, equals, value = field.partition("=")
        if not equals:
            raise ExportError(f"`{field}` in the output `{text}` has to be `key=value`")
        fields[key.strip().lower()] = value
    return fields


def read_output(fields: Mapping[str, str]) -> Output:
    """Read an output from its fields, under BuildKit's names.

    Raises:
        ExportError: they say nothing that can be meant, or something that is not done here.
    """
    words = dict(fields)
    kind, words = _kind(words)
    known = _KEYS[kind]
    for key in words:
        if key not in known:
            raise _unknown(kind, key)
    output = Output(
        kind=kind,
        dest=words.get("dest") or None,
        names=tuple(name.strip() for name in words.get("name", "").split(",") if name.strip()),
        pushes=_flag(words, "push") or _flag(words, "push-by-digest"),
        is_nameless=_flag(words, "push-by-digest"),
        is_directory=not _flag(words, "tar", default=True),
        packing=_packing(words),
        rewrites_times=_flag(words, "rewrite-timestamp"),
        splits_platforms=_flag(words, "platform-split"),
    )
    _check(output, words)
    return output


def _kind(words: dict[str, str]) -> tuple[OutputKind, dict[str, str]]:
    text = words.pop("type", "")
    if not text:
        raise ExportError("an output needs a type", hint="begin with `type=`, or name a directory")
    if text == "registry":
        return "image", {**words, "push": "true"}
    kinds: tuple[OutputKind, ...] = get_args(OutputKind)
    found = next((known for known in kinds if known == text), None)
    if found is None:
        listed = ", ".join((*kinds[:-1], "registry", kinds[-1]))
        raise ExportError(f"unknown type of output `{text}`", hint=f"the types are {listed}")
    return found, words


def _unknown(kind: OutputKind, key: str) -> ExportError:
    if key in _REFUSED:
        return ExportError(f"outputs have no `{key}` here", hint=_REFUSED[key])
    if key.startswith("annotation"):
        return ExportError(f"outputs have no `{key}` here", hint="use `--annotation`")
    listed = ", ".join(sorted(_KEYS[kind])) or "none"
    return ExportError(f"an output of type `{kind}` has no `{key}`", hint=f"its keys are: {listed}")


def _check(output: Output, words: Mapping[str, str]) -> None:
    """Refuse what does not fit together, and what is not done."""
    if output.kind == "local" and output.dest is None:
        raise ExportError("a local output needs a directory", hint="name it: `dest=DIRECTORY`")
    if output.kind == "local" and output.dest == STDOUT:
        raise ExportError("a directory cannot be written to standard output", hint="use `type=tar`")
    if output.is_directory and output.dest in (None, STDOUT):
        raise ExportError(
            f"`type={output.kind},tar=false` needs a directory", hint="name it: `dest=DIRECTORY`"
        )
    if words.get("mode", "copy") != "copy":
        raise ExportError(
            f"outputs are not written with `mode={words['mode']}`",
            hint="files are put beside what is there; empty the directory before",
        )
    if not _flag(words, "oci-mediatypes", default=True):
        raise ExportError(
            "images are written with the media types of OCI only",
            hint="every Docker and registry of the last years reads these",
        )
    if not _flag(words, "store", default=True):
        raise ExportError(
            "an image output is stored", hint="write an archive instead: `type=oci,dest=FILE`"
        )
    _flag(words, "unpack")
    _flag(words, "name-canonical")


def _packing(words: Mapping[str, str]) -> Packing:
    compression = parse_compression(words.get("compression") or "gzip")
    level: int | None = None
    text = words.get("compression-level", "")
    if text:
        levels = _LEVELS.get(compression)
        if levels is None:
            raise ExportError("without compression there is no `compression-level`")
        level = int(text) if text.isascii() and text.isdigit() else 0
        if level not in levels:
            raise ExportError(
                f"`{text}` is no level of {compression}",
                hint=f"the levels are {levels[0]} to {levels[-1]}",
            )
    packing = Packing(compression, level)
    return packing.forced() if _flag(words, "force-compression") else packing


def _flag(words: Mapping[str, str], key: str, *, default: bool = False) -> bool:
    text = words.get(key, "")
    known = {"": default, "true": True, "1": True, "false": False, "0": False}
    if text.lower() not in known:
        raise ExportError(f"`{key}={text}` has to be `true` or `false`")
    return known[text.lower()]
