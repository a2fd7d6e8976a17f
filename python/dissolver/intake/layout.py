"""The images of an OCI image layout: indexes followed, platforms chosen, names read."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dissolver.errors import IntakeError
from dissolver.image import manifest as manifests
from dissolver.image import media_types
from dissolver.image.annotations import NOTHING, Annotations
from dissolver.image.choice import choose
from dissolver.image.manifest import MANIFEST_LIMIT, Descriptor, Manifest
from dissolver.image.platform import Platform, platform_of_machine
from dissolver.intake.parts import blob

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dissolver.intake.archive_files import Files, Stretch

_DEEPEST = 4
"""Indexes within indexes; tools write one."""


@dataclass(frozen=True, slots=True)
class LayoutImage:
    """An image's manifest, its names in the layout, the manifest's digest, and all annotations
    that name the image, be they whole names or tags alone. ``said`` is what else is said of it.
    ``document`` is the manifest as it is written, of ``media_type``.
    """

    manifest: Manifest
    names: tuple[str, ...]
    digest: str = ""
    tags: tuple[str, ...] = ()
    said: Annotations = NOTHING
    document: bytes = b""
    media_type: str = media_types.OCI_MANIFEST


def images(files: Files, index: Stretch) -> list[LayoutImage]:
    """List the images of a layout for this machine, each once.

    Raises:
        IntakeError: a manifest is missing or damaged, there is none for this platform, or a name
            has the digest of something else.
        BadManifest: a document does not say what it must.
    """
    document = manifests.decode_index(index.read(limit=MANIFEST_LIMIT))
    named: dict[str, tuple[Descriptor, list[str]]] = {}
    tags: dict[str, list[str]] = {}
    for entry in _preferred(document.manifests):
        manifest = _manifest_of(files, entry, _DEEPEST)
        names = named.setdefault(manifest.digest, (manifest, []))[1]
        name = _name_of(entry)
        if name is not None and name not in names:
            _refuse_foreign_digest(name, entry)
            names.append(name)
        tags.setdefault(manifest.digest, []).append(
            entry.annotations.get(media_types.REFERENCE_NAME, "")
        )
    return [
        _layout_image(files, entry, names, tags[entry.digest]) for entry, names in named.values()
    ]


def _layout_image(
    files: Files, entry: Descriptor, names: Sequence[str], tags: Sequence[str]
) -> LayoutImage:
    document = blob(files, entry).document()
    manifest = manifests.decode_manifest(document)
    beside = {
        name: value for name, value in entry.annotations.items() if name not in media_types.NAMES
    }
    said = Annotations(manifest.annotations or {}, beside)
    return LayoutImage(
        manifest,
        tuple(names),
        entry.digest,
        tuple(filter(None, tags)),
        said,
        document,
        entry.media_type,
    )


def _preferred(entries: Sequence[Descriptor]) -> list[Descriptor]:
    """Of several images with the same name, leave those that are for other machines."""
    shown = [entry for entry in entries if _is_image(entry)]
    rivals: dict[str, list[Descriptor]] = {}
    for entry in shown:
        name = _name_of(entry)
        if name is not None:
            rivals.setdefault(name, []).append(entry)
    best = {name: choose(ones, _machine()) for name, ones in rivals.items()}
    return [
        entry
        for entry in shown
        for chosen in (best.get(_name_of(entry) or ""),)
        if chosen is None or chosen.digest == entry.digest
    ]


def _manifest_of(files: Files, entry: Descriptor, depth: int) -> Descriptor:
    """Follow indexes to the manifest for this machine."""
    if entry.media_type in media_types.MANIFESTS:
        return entry
    if entry.media_type not in media_types.INDEXES or depth == 0:
        raise IntakeError(f"the layout has a `{entry.media_type}`, which is no image")
    inner = manifests.decode_index(blob(files, entry).document()).manifests
    choices = [one for one in inner if _is_image(one)]
    best = choose(choices, _machine()) or (choices[0] if len(choices) == 1 else None)
    if best is None:
        raise IntakeError(f"the layout has no image for the platform `{_machine()}`")
    return _manifest_of(files, best, depth - 1)


def _refuse_foreign_digest(name: str, entry: Descriptor) -> None:
    """Who pins a digest gets what has it, whatever an archive calls it."""
    if "@" in name and not name.endswith(f"@{entry.digest}"):
        raise IntakeError(f"the layout names an image `{name}`, and its digest is {entry.digest}")


def _is_image(entry: Descriptor) -> bool:
    """Tell images from what builders put beside them, such as attestations."""
    return entry.platform is None or entry.platform.os != "unknown"


def _machine() -> Platform:
    return platform_of_machine(os.uname().machine)


def _name_of(entry: Descriptor) -> str | None:
    """Read the whole name of an image; a tag alone names none."""
    whole = entry.annotations.get(media_types.CONTAINERD_NAME)
    if whole:
        return whole
    name = entry.annotations.get(media_types.REFERENCE_NAME, "")
    return name if "/" in name or ":" in name else None
