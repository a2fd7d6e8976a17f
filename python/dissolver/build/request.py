"""What a build is asked for, and what it answers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dissolver.errors import BadOption, BuildError
from dissolver.sandbox.confinement import USUAL, Confinement

if TYPE_CHECKING:
    from dissolver.cache.shared.options import CacheExport, CacheImport
    from dissolver.export.output import Output
    from dissolver.image.annotations import Annotation, Annotations
    from dissolver.image.config import Image
    from dissolver.network.hosts import Host


_NETWORKS = {
    "": "default",
    "bridge": "default",
    "default": "default",
    "none": "none",
    "host": "host",
}
"""What `--network` may say, and what a key is made with."""


def network_mode(text: str) -> str:
    """Read the network of a build: ``default``, ``none`` or ``host``.

    Raises:
        BadOption: it is another word.
    """
    if text not in _NETWORKS:
        raise BadOption(
            f"unknown network `{text}` of a build", hint="it is `default`, `none` or `host`"
        )
    return _NETWORKS[text]


INLINE_ARGUMENT = "BUILDKIT_INLINE_CACHE"
"""The build argument that asks for an inline cache, as BuildKit has it."""


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """One build: a context, a Dockerfile, and how to build it.

    ``context`` and ``dockerfile`` are paths, relative ones to the current
    directory. Without ``dockerfile`` the context's ``Dockerfile`` or
    ``dockerfile`` is read; ``dockerfile_text`` takes its place where the text is
    at hand. ``platform`` is what the image is for; the machine's own by default.
    ``no_cache`` runs every RUN and COPY again and still records the results.
    ``pull`` asks registries what names mean even where images with these names are
    there. ``contexts`` are named contexts: paths, URLs, `docker-image://` and
    `oci-layout://`; ``context_images`` are further ones, images that another build has just
    made. ``context_file`` is an open file with an archive, or with a Dockerfile, that
    takes the place of ``context``. ``host_certificates`` lends the machine's trust store
    to RUN steps: ``certificate_file`` where one is named, else the one that is found.
    ``network`` is what RUN steps use that name none (``default``, ``none`` or ``host``), and
    ``hosts`` and ``confinement`` are what they see of the machine and may do.
    ``allow`` names rights that steps may ask for (``build.rights``).

    ``labels`` are put on the image, and ``annotations`` beside it. ``no_cache_filter`` names
    stages whose steps are done again.

    ``secrets`` are contents by their id. ``ssh`` maps ids of agents to the path of a
    socket, or to those of private keys. ``environment`` is the caller's, for programs
    that fetch sources. ``cache_from`` are shared caches that are asked for results, in order;
    ``cache_to`` those that results are written to. ``outputs`` is what the build leaves behind;
    by default the image goes into the store. ``places`` are paths that somebody else has
    named, and what they led to when that was allowed: absolute, and without links.
    """

    context: str
    dockerfile: str | None = None
    dockerfile_text: str | None = None
    tags: tuple[str, ...] = ()
    target: str | None = None
    build_args: Mapping[str, str] = field(default_factory=dict)
    no_cache: bool = False
    pull: bool = False
    host_certificates: bool = False
    certificate_file: str | None = None
    network: str = "default"
    platform: str | None = None
    contexts: Mapping[str, str] = field(default_factory=dict)
    context_images: Mapping[str, Image] = field(default_factory=dict)
    context_file: int | None = None
    hosts: tuple[Host, ...] = ()
    confinement: Confinement = USUAL
    allow: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: tuple[Annotation, ...] = ()
    no_cache_filter: tuple[str, ...] = ()
    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    ssh: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    cache_from: tuple[CacheImport, ...] = ()
    cache_to: tuple[CacheExport, ...] = ()
    outputs: tuple[Output, ...] = ()
    places: Mapping[str, str] = field(default_factory=dict)

    def refuse_moved(self) -> None:
        """Refuse to go on where one of ``places`` leads elsewhere by now.

        What one build leaves behind may have links, and another one may read or write there.

        Raises:
            BuildError: one does.
        """
        for path, place in self.places.items():
            if os.path.realpath(path) != place:
                raise BuildError(
                    f"`{path}` leads elsewhere since the build began",
                    hint="let no target name a path in a directory that another one writes to",
                )

    @property
    def writes_inline_cache(self) -> bool:
        """Whether the image is to hold the records of its steps."""
        asked = self.build_args.get(INLINE_ARGUMENT, "").lower() in ("1", "true")
        return asked or any(one.place.kind == "inline" for one in self.cache_to)

    @property
    def shares_cache(self) -> bool:
        """Whether any shared cache is named."""
        return bool(self.cache_from or self.cache_to) or self.writes_inline_cache


@dataclass(frozen=True, slots=True)
class Exported:
    """Something that a build left behind.

    ``kind`` is the type of the output, ``dest`` the path it was written to, or ``-`` for an
    open file. For images, ``image`` is the ID, ``names`` are whole references, and ``digest``
    is the manifest's where there is one: in archives, and where it was pushed.
    """

    kind: str
    dest: str | None = None
    image: str | None = None
    names: tuple[str, ...] = ()
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """What became of one step: where its layer came from, and why.

    ``name`` is as displayed (``[2/5] WORKDIR /app``); ``stage`` is the name of
    its stage, or ``stage-0`` and so on. ``reason`` says in words why a step was
    not cached, and is ``None`` for a cached one. FROM and metadata make no layer and
    have no outcome.
    """

    name: str
    stage: str
    cached: bool
    reason: str | None
    diff_id: str
    seconds: float


@dataclass(frozen=True, slots=True)
class BuildResult:
    """An image, and how each step of the build came about, in display order.

    ``annotations`` lie beside it. ``outputs`` tells what was left behind: where that is no image
    of the store, ``image`` is none that the store has.
    """

    image: Image
    steps: tuple[StepOutcome, ...]
    seconds: float
    annotations: Annotations | None = None
    outputs: tuple[Exported, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The image's new names in full, in the order of the outputs that have them."""
        return tuple(dict.fromkeys(name for one in self.outputs for name in one.names))

    @property
    def digest(self) -> str:
        """The digest of the manifest that was made last, or else the image's ID.

        An image of the store has no manifest yet, so its digest is its ID, as it is for the
        builder that Docker has built in.
        """
        made = [one.digest for one in self.outputs if one.digest is not None]
        return made[-1] if made else self.image.id

    @property
    def metadata(self) -> dict[str, str]:
        """What programs want to know, under BuildKit's keys; files have none of them."""
        if self.outputs and not any(one.image for one in self.outputs):
            return {}
        told = {
            "containerimage.config.digest": self.image.id,
            "containerimage.digest": self.digest,
        }
        return {**told, "image.name": ",".join(self.names)} if self.names else told

    @property
    def is_cached(self) -> bool:
        """Whether every step was answered by an earlier result."""
        return all(step.cached for step in self.steps)
