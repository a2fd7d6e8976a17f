"""``pull``: an image from a registry into the store, ready to run."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from dissolver.errors import BadReference, ImageNotFound
from dissolver.image import media_types
from dissolver.image.annotations import Annotations
from dissolver.image.choice import distance_between
from dissolver.registry.crew import run_together
from dissolver.registry.download import fetch_layer
from dissolver.registry.events import TransferDone, TransferStarted
from dissolver.registry.meter import Meter, Teller
from dissolver.registry.resolve import entry_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dissolver.image.config import Image
    from dissolver.image.digest import Digest
    from dissolver.image.manifest import Descriptor
    from dissolver.image.platform import Platform
    from dissolver.image.reference import Reference
    from dissolver.registry.client import Document
    from dissolver.registry.events import OnTransfer
    from dissolver.registry.resolve import Resolved, Sources
    from dissolver.store import Store


@dataclass(frozen=True, slots=True)
class Pulled:
    """An image that a registry and the store agree about.

    ``digest`` is that of the manifest or index which ``reference`` means there; ``is_new``
    tells that something had to change in the store.
    """

    image: Image
    reference: Reference
    digest: str
    is_new: bool


def pull(
    store: Store,
    sources: Sources,
    reference: Reference,
    platform: Platform,
    *,
    is_strict: bool = False,
    on_event: OnTransfer | None = None,
) -> Pulled:
    """Have the image that ``reference`` means in its registry, under that name.

    Of an index the image for ``platform`` is taken. Layers that are there are not fetched
    again; of a pull that is interrupted those stay that were verified. An image appears
    whole, with its names, or not at all.

    Raises:
        RegistryError and its kinds: what the registry says, or nobody answers.
        ContentMismatch: something is not what its digest says.
        CoreFailure: a layer is no proper tar.
        Cancelled: somebody asked to end.
    """
    teller = Teller(on_event)
    version = reference.digest or reference.tag or ""
    with store.lock_shared():
        repository, named = sources.fetch(reference)
        teller.tell(TransferStarted("pull", version, reference.repository))
        before = _named(store, reference)
        image = known_image(store, reference, named, platform)
        if image is None:
            resolved = sources.resolve_from(
                reference, repository, named, platform, is_strict=is_strict
            )
            image = store_image(store, resolved, on_event)
        is_new = before != image.id
        if is_new:
            for name in names_of(reference, named.digest):
                store.images.tag(image.id, name)
    size = len(named.content)
    teller.tell(
        TransferDone(
            "pull", version, reference.canonical, reference.familiar, named.digest, size, is_new
        )
    )
    return Pulled(image, reference, named.digest, is_new)


def pull_all(
    store: Store,
    sources: Sources,
    reference: Reference,
    platform: Platform,
    *,
    on_event: OnTransfer | None = None,
) -> list[Pulled]:
    """Pull every tag of a repository, one after the other.

    Raises:
        BadReference: ``reference`` names a version.
        NotInRegistry: there is no such repository, or it has no tags.
    """
    if reference.digest is not None:
        raise BadReference("all tags and a digest cannot be pulled at once")
    tags = list(sources.repository(reference).tags())
    if not tags:
        raise ImageNotFound(f"`{reference.name_familiar}` has no tags")
    return [
        pull(store, sources, reference.with_tag(tag), platform, on_event=on_event)
        for tag in sorted(tags)
    ]


def store_image(
    store: Store,
    resolved: Resolved,
    on_event: OnTransfer | None = None,
    *,
    tags: Sequence[Reference] | None = None,
    is_placed: bool = True,
) -> Image:
    """Fetch the layers that are missing and store the image under its names.

    ``is_placed`` tells that the blobs lie in the repository that the reference names.

    Raises:
        As ``pull``.
    """
    teller = Teller(on_event)
    with store.lock_shared():
        place = resolved.reference.name if is_placed else ""
        _fetch_layers(store, resolved, teller, place)
        store.blobs.put(resolved.document.content)
        names = names_of(resolved.reference, resolved.digest) if tags is None else tags
        image = store.images.put(
            resolved.config,
            tags=names,
            document=resolved.config_bytes,
            annotations=Annotations(resolved.manifest.annotations or {}),
        )
        document = resolved.document
        store.transfers.remember_manifest(image.id, document.digest, document.media_type)
    return image


def names_of(reference: Reference, digest: Digest) -> list[Reference]:
    """List what a pulled image is called: by its tag, and for ever by its digest."""
    by_digest = reference.with_digest(digest)
    if reference.digest is None:
        return [reference, by_digest]
    # It may have been asked for by a digest of another algorithm, and will be again.
    return list(dict.fromkeys((by_digest, reference.with_digest(reference.digest))))


def _fetch_layers(store: Store, resolved: Resolved, teller: Teller, place: str) -> None:
    jobs = []
    seen: set[str] = set()
    for layer, diff_id in zip(resolved.manifest.layers, resolved.config.diff_ids, strict=True):
        if layer.digest in seen:
            continue
        seen.add(layer.digest)
        meter = Meter(teller, layer.digest, layer.size)
        meter.state("Pulling fs layer")
        jobs.append(partial(_fetch, store, resolved, layer, diff_id, meter, place))
    run_together(resolved.provider.transport, jobs)


def _fetch(
    store: Store, resolved: Resolved, layer: Descriptor, diff_id: str, meter: Meter, place: str
) -> None:
    with store.lock_shared():
        is_new = fetch_layer(store, resolved.provider, layer, diff_id, meter.state)
        if is_new and place:
            store.transfers.remember_place(layer.digest, place)
    meter.state("Pull complete" if is_new else "Already exists")


def _named(store: Store, reference: Reference) -> str | None:
    """Tell which image has the name now."""
    try:
        return store.images.resolve(reference.canonical).id
    except ImageNotFound:
        return None


def known_image(
    store: Store, reference: Reference, named: Document, platform: Platform
) -> Image | None:
    """Find the image that a manifest or index means for a platform, if it was pulled before.

    Of an index the image counts that would be chosen now: another one of it may run on the
    platform as well, and be the one that was pulled.

    Raises:
        BadManifest: the index does not say what it must.
    """
    try:
        image = store.images.resolve(f"{reference.name}@{named.digest}")
    except ImageNotFound:
        return None
    if named.media_type not in media_types.INDEXES:
        return image if distance_between(image.config.platform, platform) is not None else None
    chosen = entry_for(named, platform)
    is_chosen = chosen is not None and chosen.digest in dict(store.transfers.manifests(image.id))
    return image if is_chosen else None
