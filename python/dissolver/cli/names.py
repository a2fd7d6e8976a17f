"""Names that a shell completes: of images, containers and volumes that there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dissolver.cli.invocation import current

if TYPE_CHECKING:
    from collections.abc import Iterable


def image_names(incomplete: str) -> list[str]:
    """List the names of local images, without the tag where it goes without saying."""
    from dissolver.image.reference import DEFAULT_TAG

    tagged = [
        reference
        for image in current().engine.images()
        for reference in image.references
        if reference.tag is not None
    ]
    short = [one.name_familiar for one in tagged if one.tag == DEFAULT_TAG]
    return _beginning(incomplete, [*short, *(one.familiar for one in tagged)])


def container_names(incomplete: str) -> list[str]:
    """List the names of all containers."""
    return _beginning(incomplete, (one.name for one in current().engine.containers(all_=True)))


def volume_names(incomplete: str) -> list[str]:
    """List the names of volumes."""
    return _beginning(incomplete, (one.name for one in current().engine.volumes()))


def _beginning(begun: str, names: Iterable[str]) -> list[str]:
    return sorted({name for name in names if name.startswith(begun)})
