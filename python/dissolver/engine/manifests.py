"""Manifests, lists and copies between registries, as the engine offers them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import threading

    from dissolver.engine.session import Session
    from dissolver.registry.copying import Copied
    from dissolver.registry.events import OnTransfer


def copy(
    session: Session,
    source: str,
    target: str,
    platform: str | None,
    takes_all: bool,
    on_event: OnTransfer | None,
    cancel: threading.Event | None,
) -> Copied:
    """Copy an image from place to place."""
    from dissolver.engine.registries import asks, platform_of
    from dissolver.exchange.copying import Copying
    from dissolver.exchange.places import parse_place
    from dissolver.registry.access import open_sources

    begins, ends = parse_place(source), parse_place(target)
    with open_sources(session.settings.registries, asks(cancel)) as sources:
        copying = Copying(session.store, sources, platform_of(None), on_event)
        return copying.copy(
            begins,
            ends,
            platform=None if platform is None else platform_of(platform),
            takes_all=takes_all,
        )


def inspect(session: Session, image: str) -> dict[str, Any]:
    """Give a manifest, an index or a list that is kept here, with its digest and type."""
    import json

    from dissolver.image import manifest as manifests
    from dissolver.image.digest import digest_of
    from dissolver.image.reference import parse_reference
    from dissolver.registry import lists
    from dissolver.registry.access import open_sources

    reference = parse_reference(image)
    kept = lists.find(session.store, reference)
    if kept is not None:
        index = kept.index()
        content, media_type = manifests.encode(index), index.media_type
    else:
        with open_sources(session.settings.registries) as sources:
            _, document = sources.fetch(reference)
        content, media_type = document.content, document.media_type
    return {
        "Name": reference.canonical,
        "MediaType": media_type,
        "Digest": digest_of(content),
        "Size": len(content),
        "Manifest": json.loads(content),
    }


def inspect_remote(session: Session, image: str, platform: str | None) -> dict[str, Any]:
    """Tell about an image in a registry as `docker image inspect` would, without its layers."""
    from dissolver.engine.inspect import image_document
    from dissolver.engine.registries import platform_of
    from dissolver.image.config import Image
    from dissolver.image.reference import parse_reference
    from dissolver.registry.access import open_sources

    reference = parse_reference(image)
    with open_sources(session.settings.registries) as sources:
        found = sources.resolve(reference, platform_of(platform), is_strict=platform is not None)
    size = sum(layer.size for layer in found.manifest.layers)
    names = [reference.with_digest(found.digest)]
    if reference.digest is None:
        names.append(reference)
    return image_document(Image(found.image_id, found.config, size), names)


def create(session: Session, name: str, images: tuple[str, ...], amends: bool) -> dict[str, Any]:
    """Begin a list of images, or add to one."""
    from dissolver.image.reference import parse_reference
    from dissolver.registry import lists
    from dissolver.registry.access import open_sources

    references = [parse_reference(image) for image in images]
    with open_sources(session.settings.registries) as sources:
        lists.create(session.store, sources, parse_reference(name), references, amends=amends)
    return inspect(session, name)


def annotate(
    session: Session,
    name: str,
    image: str,
    platform: dict[str, str],
    annotations: dict[str, str],
) -> dict[str, Any]:
    """Change what a list says of an image."""
    from dissolver.image.reference import parse_reference
    from dissolver.registry import lists

    lists.annotate(
        session.store,
        parse_reference(name),
        parse_reference(image),
        platform=platform,
        annotations=annotations,
    )
    return inspect(session, name)


def push(session: Session, name: str, purges: bool, on_event: OnTransfer | None) -> str:
    """Send a list to its registry; answer its digest."""
    from dissolver.image.reference import parse_reference
    from dissolver.registry import lists
    from dissolver.registry.access import open_sources

    with open_sources(session.settings.registries) as sources:
        return lists.push_list(
            session.store, sources, parse_reference(name), purges=purges, on_event=on_event
        )


def remove(session: Session, name: str) -> None:
    """Remove a list that is kept here."""
    from dissolver.image.reference import parse_reference
    from dissolver.registry import lists

    lists.remove(session.store, parse_reference(name))
