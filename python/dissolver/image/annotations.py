"""Annotations: what is said about an image beside its configuration (OCI, ``annotations.md``).

They lie in the manifest, or in what an index says about it, so an image's ID does not
depend on them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, get_args

import msgspec

from dissolver.errors import BadOption
from dissolver.image.platform import Platform, parse_platform

Place = Literal["manifest", "manifest-descriptor"]
"""Where an annotation lies: in the manifest, or in the descriptor that an index has of it."""

_NEED_AN_INDEX = ("index", "index-descriptor")
_PLACE = re.compile(r"(?P<place>[a-z-]+)(?:\[(?P<platform>[A-Za-z0-9_/-]+)\])?", re.ASCII)


class Annotation(msgspec.Struct, frozen=True):
    """A name and its value, and where it lies; ``platform`` is empty for every image."""

    name: str
    value: str
    place: Place = "manifest"
    platform: str = ""


class Annotations(msgspec.Struct, frozen=True):
    """What is said about one image, by where it lies."""

    manifest: dict[str, str] = {}
    descriptor: dict[str, str] = {}

    def __bool__(self) -> bool:
        return bool(self.manifest or self.descriptor)


NOTHING = Annotations()


def parse_annotations(given: Mapping[str, str]) -> tuple[Annotation, ...]:
    """Read annotations by their keys, ``[PLACE[PLATFORM],…:]NAME``, as ``--annotation`` has them.

    Raises:
        BadOption: there is no such place, or only an index has it.
    """
    return tuple(one for key, value in given.items() for one in _read(key, value))


def annotations_for(given: Iterable[Annotation], platform: Platform) -> Annotations:
    """Settle annotations for the image that is made for ``platform``; the last of a name counts.

    Raises:
        BadOption: one is for an image of another platform.
        BadPlatform: one names no platform.
    """
    found = Annotations({}, {})
    for one in given:
        if one.platform and parse_platform(one.platform, default=platform) != platform:
            raise BadOption(
                f"the annotation `{one.name}` is for `{one.platform}`, "
                f"and the image is for `{platform}`",
                hint="leave out the platform, or build for it",
            )
        held = found.manifest if one.place == "manifest" else found.descriptor
        held[one.name] = one.value
    return found


def _read(key: str, value: str) -> Iterator[Annotation]:
    places, colon, name = key.partition(":")
    if not colon:
        places, name = "manifest", key
    if not name or name.split() != [name]:
        raise BadOption(f"`{key}` is no name of an annotation", hint="write `NAME=VALUE`")
    for text in places.split(","):
        found = _PLACE.fullmatch(text)
        place = found["place"] if found else ""
        if place in _NEED_AN_INDEX:
            raise BadOption(
                f"`{place}` annotations need an index, and a build makes one image",
                hint="use `manifest:` or `manifest-descriptor:`",
            )
        known: tuple[Place, ...] = get_args(Place)
        settled = next((one for one in known if one == place), None)
        if found is None or settled is None:
            listed = ", ".join(f"`{one}`" for one in known)
            raise BadOption(
                f"annotations have no place `{text}`",
                hint=f"a name with a colon begins with one of {listed}",
            )
        yield Annotation(name, value, settled, found["platform"] or "")
