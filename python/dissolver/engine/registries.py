"""Registries, as the engine offers them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from dissolver.engine.session import Session
    from dissolver.image.config import Image
    from dissolver.image.platform import Platform
    from dissolver.registry.access import Found
    from dissolver.registry.events import OnTransfer
    from dissolver.registry.pull import Pulled
    from dissolver.registry.push import Pushed


def pull(
    session: Session,
    image: str,
    platform: str | None,
    all_tags: bool,
    on_event: OnTransfer | None,
    cancel: threading.Event | None,
) -> list[Pulled]:
    """Fetch an image, or all tags of a repository."""
    from dissolver.image.reference import parse_reference
    from dissolver.registry.access import open_sources
    from dissolver.registry.pull import pull as fetch
    from dissolver.registry.pull import pull_all

    reference = parse_reference(image)
    wanted = platform_of(platform)
    with open_sources(session.settings.registries, asks(cancel)) as sources:
        if all_tags:
            return pull_all(session.store, sources, reference, wanted, on_event=on_event)
        return [
            fetch(
                session.store,
                sources,
                reference,
                wanted,
                is_strict=platform is not None,
                on_event=on_event,
            )
        ]


PULL_POLICIES = ("missing", "always", "never")


def ensure(
    session: Session,
    image: str,
    policy: str,
    platform: str | None,
    on_missing: Callable[[str], None] | None,
    on_event: OnTransfer | None,
    cancel: threading.Event | None,
) -> Image:
    """Have an image, fetched if the policy says so."""
    from dissolver.errors import BadReference, ConfigError, ImageNotFound, RegistryError
    from dissolver.image.reference import parse_reference

    if policy not in PULL_POLICIES:
        raise ConfigError(
            f"unknown pull policy `{policy}`",
            hint="use one of " + ", ".join(f"`{one}`" for one in PULL_POLICIES),
        )
    if policy == "always":
        return pull(session, image, platform, False, on_event, cancel)[0].image
    try:
        return _local(session, image, platform)
    except ImageNotFound as missing:
        try:
            name = parse_reference(image).familiar
        except BadReference:
            raise missing from None
        if policy == "never":
            raise
        if on_missing is not None:
            on_missing(name)
        try:
            return pull(session, image, platform, False, on_event, cancel)[0].image
        except RegistryError as error:
            from dissolver.registry.access import absent

            raise absent(missing, error) from error


def _local(session: Session, image: str, platform: str | None) -> Image:
    """Find an image in the store; one for another platform than the one asked for is none."""
    from dissolver.errors import ImageNotFound
    from dissolver.image.choice import is_for

    found = session.store.images.resolve(image)
    if platform is not None and not is_for(found.config.platform, wanted := platform_of(platform)):
        raise ImageNotFound(
            f"the local image `{image}` is for `{found.config.platform}`, not for `{wanted}`",
            hint="leave `--platform` out, or build the image for it",
        )
    return found


def push(
    session: Session,
    image: str,
    all_tags: bool,
    compression: str,
    on_event: OnTransfer | None,
    cancel: threading.Event | None,
) -> list[Pushed]:
    """Send an image, or all tags of a repository."""
    from dissolver.errors import ExportError
    from dissolver.image.media_types import COMPRESSIONS
    from dissolver.image.reference import parse_reference
    from dissolver.registry.access import open_sources
    from dissolver.registry.push import push as send
    from dissolver.registry.push import push_all

    reference = parse_reference(image)
    packing = next((known for known in COMPRESSIONS if known == compression), None)
    if packing is None:
        raise ExportError(
            f"unknown compression `{compression}`", hint=f"use one of {', '.join(COMPRESSIONS)}"
        )
    with open_sources(session.settings.registries, asks(cancel)) as sources:
        if all_tags:
            return push_all(
                session.store, sources, reference, compression=packing, on_event=on_event
            )
        return [send(session.store, sources, reference, compression=packing, on_event=on_event)]


def login(session: Session, registry: str, user: str, password: str) -> str | None:
    """Try credentials, and keep them; answer the file where they lie open."""
    from dissolver.registry.access import log_in
    from dissolver.registry.credentials import Credentials
    from dissolver.registry.endpoints import named_registry

    settings = session.settings.registries
    place = log_in(settings, named_registry(registry), Credentials(user, password))
    return None if place is None else str(place)


def logout(session: Session, registry: str) -> bool:
    """Forget credentials."""
    from dissolver.registry.access import log_out
    from dissolver.registry.endpoints import named_registry

    return log_out(session.settings.registries, named_registry(registry))


def search(session: Session, term: str, limit: int) -> list[Found]:
    """Ask a registry for images."""
    from dissolver.image.reference import DEFAULT_REGISTRY
    from dissolver.registry.access import search as ask

    first, slash, rest = term.partition("/")
    is_registry = bool(slash) and ("." in first or ":" in first or first == "localhost")
    registry, words = (first, rest) if is_registry else (DEFAULT_REGISTRY, term)
    return ask(session.settings.registries, registry, words, limit)


def platform_of(text: str | None) -> Platform:
    """Read a platform; without one, the machine's is meant."""
    from dissolver.image.platform import parse_platform, platform_of_machine

    machine = platform_of_machine(os.uname().machine)
    return machine if text is None else parse_platform(text, default=machine)


def asks(cancel: threading.Event | None) -> Callable[[], bool]:
    """Give what tells whether to end early."""
    return (lambda: False) if cancel is None else cancel.is_set
