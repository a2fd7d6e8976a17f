"""The images of an OCI image layout: indexes followed, platforms chosen, names read."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dissolver.errors import IntakeError
from dissolver.image import manifest as manifests
from dissolver.image import media_types
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
    """An image's manifest, and its names in the layout."""

    manifest: Manifest
    names: tuple[str, ...]


def images(files: Files, index: Stretch) -> list[LayoutImage]:
    """List the images of a layout for this machine, each once.

    Raises:
        IntakeError: a manifest is missing or damaged, or there is none for this platform.
        BadManifest: a document does not say what it must.
    """
    document = manifests.decode_index(index.read(limit=MANIFEST_LIMIT))
    named: dict[str, tuple[Descriptor, list[str]]] = {}
    for entry in _preferred(document.manifests):
        manifest = _manifest_of(files, entry, _DEEPEST)
        names = named.setdefault(manifest.digest, (manifest, []))[1]
        name = _name_of(entry)
        if name is not None and name not in names:
            names.append(name)
    return [
        LayoutImage(manifests.decode_manifest(blob(files, entry).document()), tuple(names))
        for entry, names in named.values()
    ]


def _preferred(entries: Sequence[Descriptor]) -> list[Descriptor]:
    """Leave out what is for another platform where the same name has one for this machine."""
    fitting = {_name_of(entry) for entry in entries if _fits(entry)}
    return [
        entry
        for entry in entries
        if _is_image(entry)
        and (entry.platform is None or _fits(entry) or _name_of(entry) not in fitting)
    ]


def _manifest_of(files: Files, entry: Descriptor, depth: int) -> Descriptor:
    """Follow indexes to the manifest for this machine."""
    if entry.media_type in media_types.MANIFESTS:
        return entry
    if entry.media_type not in media_types.INDEXES or depth == 0:
        raise IntakeError(f"the layout has a `{entry.media_type}`, which is no image")
    inner = manifests.decode_index(blob(files, entry).document()).manifests
    choices = [one for one in inner if _is_image(one)]
    fitting = [one for one in choices if _fits(one)] or (choices if len(choices) == 1 else [])
    if not fitting:
        raise IntakeError(f"the layout has no image for the platform `{_machine()}`")
    return _manifest_of(files, fitting[0], depth - 1)


def _is_image(entry: Descriptor) -> bool:
    """Tell images from what builders put beside them, such as attestations."""
    return entry.platform is None or entry.platform.os != "unknown"


def _fits(entry: Descriptor) -> bool:
    """Tell whether an image is for this machine; a variant counts where both name one."""
    wanted, found = _machine(), manifests.platform_of(entry)
    if found is None or (found.os, found.architecture) != (wanted.os, wanted.architecture):
        return False
    return found.variant == wanted.variant or not (found.variant and wanted.variant)


def _machine() -> Platform:
    return platform_of_machine(os.uname().machine)


def _name_of(entry: Descriptor) -> str | None:
    """Read the whole name of an image; a tag alone names none."""
    whole = entry.annotations.get(media_types.CONTAINERD_NAME)
    if whole:
        return whole
    name = entry.annotations.get(media_types.REFERENCE_NAME, "")
    return name if "/" in name or ":" in name else None
