"""Which images an export holds, and under which names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dissolver.errors import BadReference
from dissolver.image.reference import Reference, parse_reference

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dissolver.image.annotations import Annotations
    from dissolver.image.config import Image
    from dissolver.store.images import ImageStore


@dataclass(frozen=True, slots=True)
class Selected:
    """An image and the names that go with it; none if it was chosen by its ID.

    ``document`` is the configuration of an image that the store does not have, and
    ``annotations`` are what is said about it. The layers ``anew`` are packed now, whatever bytes
    are kept of them.
    """

    image: Image
    references: tuple[Reference, ...]
    document: bytes | None = None
    annotations: Annotations | None = None
    anew: frozenset[str] = frozenset()


def select(images: ImageStore, texts: Sequence[str]) -> list[Selected]:
    """Find the images that ``texts`` mean, each once, in the order of their first mention.

    A name with a tag stands for that name. A name without one stands for all its tags,
    as it does for Docker. An ID brings no name along.

    Raises:
        ImageNotFound: nothing answers to a text.
        AmbiguousIdentifier: it is a prefix of several IDs.
    """
    found: dict[str, tuple[Image, dict[Reference, None]]] = {}

    def add(image: Image, *references: Reference) -> None:
        names = found.setdefault(image.id, (image, {}))[1]
        names.update(dict.fromkeys(references))

    for text in texts:
        tagged = _all_tags(images, text)
        for image, reference in tagged:
            add(image, reference)
        if not tagged:
            image = images.resolve(text)
            add(image, *_meant(text, images.references(image.id)))
    return [Selected(image, tuple(names)) for image, names in found.values()]


def _all_tags(images: ImageStore, text: str) -> list[tuple[Image, Reference]]:
    """List the tags of a repository, if ``text`` is its bare name."""
    if "@" in text or ":" in text.rpartition("/")[2]:
        return []
    try:
        name = parse_reference(text).name
    except BadReference:
        return []
    return [(images.get(identity), reference) for identity, reference in images.tagged(name)]


def _meant(text: str, references: Sequence[Reference]) -> list[Reference]:
    """Pick the one of an image's names that ``text`` spells."""
    try:
        wanted = parse_reference(text)
    except BadReference:
        return []
    return [known for known in references if known.canonical == wanted.canonical]
