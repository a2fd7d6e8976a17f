"""Where an image is, in words: ``oci:DIR``, ``docker-archive:FILE``, ``store:NAME``, a name."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

from dissolver.errors import BadReference
from dissolver.image.digest import Digest, parse_digest
from dissolver.image.reference import Reference, parse_reference

_TAG = re.compile(r":([A-Za-z0-9_][A-Za-z0-9_.-]*)$", re.ASCII)
_ELSEWHERE = {
    "containers-storage": "push it to a registry, or `podman save --format oci-archive` it",
    "docker-daemon": "`docker save` it, and copy `docker-archive:FILE`",
    "dir": "copy it to an OCI layout: `skopeo copy dir:DIR oci:DIR`",
}
"""Places of other tools' that are not known here, and how their images are had all the same."""


@dataclass(frozen=True, slots=True)
class RegistryPlace:
    """An image in a registry: ``NAME``, or ``docker://NAME``."""

    reference: Reference

    def __str__(self) -> str:
        return self.reference.familiar


@dataclass(frozen=True, slots=True)
class StorePlace:
    """An image in the store of this machine: ``store:NAME``."""

    name: str

    def __str__(self) -> str:
        return f"store:{self.name}"


@dataclass(frozen=True, slots=True)
class LayoutPlace:
    """An image of an OCI layout: ``oci:DIR[:TAG][@DIGEST]``, or ``oci-archive:FILE`` likewise."""

    kind: Literal["oci", "oci-archive"]
    path: Path
    tag: str | None = None
    digest: Digest | None = None

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag is not None else ""
        return f"{self.kind}:{self.path}{tag}" + (f"@{self.digest}" if self.digest else "")


@dataclass(frozen=True, slots=True)
class ArchivePlace:
    """An image of an archive for ``docker load``: ``docker-archive:FILE[:NAME]``."""

    path: Path
    reference: Reference | None = None

    def __str__(self) -> str:
        name = f":{self.reference.familiar}" if self.reference is not None else ""
        return f"docker-archive:{self.path}{name}"


Place: TypeAlias = RegistryPlace | StorePlace | LayoutPlace | ArchivePlace


def parse_place(text: str) -> Place:
    """Read where an image is.

    A path with a colon is taken as it stands where that file or directory exists.

    Raises:
        BadReference: the words name no place, or one of a kind that is not known here.
    """
    kind, colon, rest = text.partition(":")
    if colon and (kind in ("oci", "oci-archive", "docker-archive", "store") or kind in _ELSEWHERE):
        if kind in _ELSEWHERE:
            raise BadReference(f"`{kind}:` is no place that is known here", hint=_ELSEWHERE[kind])
        if not rest:
            raise BadReference(f"`{text}` names nothing", hint=f"write `{_usage(kind)}`")
        if kind == "store":
            return StorePlace(rest)
        if kind == "docker-archive":
            return _archive(rest)
        return _layout("oci" if kind == "oci" else "oci-archive", rest)
    return RegistryPlace(parse_reference(text.removeprefix("docker://")))


def made_absolute(text: str, directory: Path) -> str:
    """Write the same place such that a process in another directory finds it.

    Raises:
        BadReference: as ``parse_place``.
    """
    place = parse_place(text)
    if isinstance(place, LayoutPlace | ArchivePlace):
        return str(replace(place, path=directory / place.path))
    return text


def _usage(kind: str) -> str:
    return {
        "store": "store:NAME",
        "docker-archive": "docker-archive:FILE[:NAME]",
        "oci-archive": "oci-archive:FILE[:TAG]",
    }.get(kind, "oci:DIRECTORY[:TAG]")


def _archive(rest: str) -> ArchivePlace:
    path, colon, name = rest.partition(":")
    if not colon or Path(rest).exists():
        return ArchivePlace(Path(rest))
    if not path:
        raise BadReference(f"`docker-archive:{rest}` names no file")
    return ArchivePlace(Path(path), parse_reference(name))


def _layout(kind: Literal["oci", "oci-archive"], rest: str) -> LayoutPlace:
    named, at, digest_text = rest.rpartition("@")
    digest = None
    if at and digest_text.startswith("sha256:"):
        digest = parse_digest(digest_text)
        rest = named
    found = None if Path(rest).exists() else _TAG.search(rest)
    if found is not None and found.start() > 0:
        return LayoutPlace(kind, Path(rest[: found.start()]), found[1], digest)
    return LayoutPlace(kind, Path(rest), None, digest)
