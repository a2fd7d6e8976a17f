"""From a name to what it means in a registry: manifest and configuration, no layer yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dissolver.errors import NotInRegistry, RegistryError, RegistryUnreachable
from dissolver.image import manifest as manifests
from dissolver.image import media_types
from dissolver.image.choice import choose, distance_between
from dissolver.image.config import decode_config
from dissolver.image.manifest import checked_digest, platform_of
from dissolver.image.validate import check_config
from dissolver.registry.client import connect
from dissolver.registry.mirrored import MirroredRepository

if TYPE_CHECKING:
    from dissolver.image.config import ImageConfig
    from dissolver.image.digest import Digest
    from dissolver.image.manifest import Descriptor, Manifest
    from dissolver.image.platform import Platform
    from dissolver.image.reference import Reference
    from dissolver.registry.client import Document, Repository
    from dissolver.registry.credentials import CredentialStore
    from dissolver.registry.ends import Provider
    from dissolver.registry.transport import Transport

MOST_OFFERED = 20
"""Platforms that a message names; the images of official programs have ten."""

DEEPEST_INDEX = 4
"""Indexes within indexes that are followed; tools write one."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """An image in a registry or a layout, as far as documents tell.

    ``named`` is the manifest or index that the reference means, ``document`` the manifest for
    the platform, which may be the same. ``manifest`` has a layer for each diff ID of
    ``config``. ``provider`` is where it was found, a mirror's repository perhaps.
    """

    reference: Reference
    provider: Provider
    named: Document
    document: Document
    manifest: Manifest
    config: ImageConfig
    config_bytes: bytes

    @property
    def digest(self) -> Digest:
        """The digest that stands for the reference from now on."""
        return self.named.digest

    @property
    def image_id(self) -> Digest:
        """The identity of the image: the digest of its configuration."""
        return checked_digest(self.manifest.config)


class Sources:
    """Finds repositories: one connection to each registry, remembered."""

    def __init__(self, transport: Transport, credentials: CredentialStore) -> None:
        self.transport = transport
        self.credentials = credentials
        self._known: dict[str, Repository] = {}

    def fetch(self, reference: Reference) -> tuple[Repository, Document]:
        """Fetch what ``reference`` means, from the first place that has it.

        Mirrors that fail are passed over, also later on with what belongs to it; what the
        registry itself says counts.

        Raises:
            RegistryUnreachable: nobody answers.
            NotInRegistry, AccessDenied, RegistryError: what the registry says.
        """
        version = reference.digest or reference.tag or ""
        failure: RegistryError | None = None
        places = connect(reference.registry, self.transport, self.credentials, pulls=True)
        for found in places:
            repository = found.repository(reference.repository)
            try:
                document = repository.manifest(version)
            except RegistryError as error:
                if not found.endpoint.is_mirror:
                    raise
                failure = error
                continue
            if found.endpoint.is_mirror:
                repository = MirroredRepository(found, reference.repository, places)
            return repository, document
        raise failure or RegistryUnreachable(f"no address is known for `{reference.registry}`")

    def repository(self, reference: Reference) -> Repository:
        """Find the registry itself, to push to or to list what it has.

        Raises:
            RegistryUnreachable: it does not answer.
        """
        known = self._known.get(reference.name)
        if known is None:
            registry = next(
                connect(reference.registry, self.transport, self.credentials, pulls=False)
            )
            known = self._known[reference.name] = registry.repository(reference.repository)
        return known

    def resolve(self, reference: Reference, platform: Platform, *, is_strict: bool) -> Resolved:
        """Find out what an image is, without its layers; everything is verified.

        An index is followed to the image for ``platform``. An image that comes alone is taken
        as it is, unless ``is_strict`` says that the platform was asked for.

        Raises:
            NotInRegistry: there is none of that name, or none for the platform.
            BadManifest, BadImageConfig: a document does not say what it must.
            RegistryError: what the registry says.
        """
        repository, named = self.fetch(reference)
        return self.resolve_from(reference, repository, named, platform, is_strict=is_strict)

    def resolve_from(
        self,
        reference: Reference,
        provider: Provider,
        named: Document,
        platform: Platform,
        *,
        is_strict: bool,
    ) -> Resolved:
        """Do the same with what ``fetch`` answered."""
        return resolved_image(
            reference, provider, named, platform, name=reference.familiar, is_strict=is_strict
        )


def resolved_image(
    reference: Reference,
    provider: Provider,
    named: Document,
    platform: Platform,
    *,
    name: str,
    is_strict: bool,
) -> Resolved:
    """Find out what an image is, without its layers; everything is verified.

    ``reference`` is what the image will be called, ``name`` what messages call it now.

    Raises:
        As ``Sources.resolve``.
    """
    document = manifest_for(provider, named, name, platform)
    manifest = manifests.decode_manifest(document.content)
    if manifest.config.media_type not in media_types.CONFIGS:
        raise RegistryError(f"`{name}` is no container image but a `{manifest.config.media_type}`")
    content = provider.document_blob(checked_digest(manifest.config), manifest.config.size)
    config = check_config(decode_config(content))
    for layer in manifest.layers:
        checked_digest(layer)
        media_types.layer_compression(layer.media_type)
    if len(manifest.layers) != len(config.diff_ids):
        raise RegistryError(
            f"the manifest of `{name}` has {len(manifest.layers)} layers, "
            f"and its configuration {len(config.diff_ids)}"
        )
    diff_ids = dict(zip((layer.digest for layer in manifest.layers), config.diff_ids, strict=True))
    for layer, diff_id in zip(manifest.layers, config.diff_ids, strict=True):
        if diff_ids[layer.digest] != diff_id:
            raise RegistryError(
                f"the manifest of `{name}` has the blob `{layer.digest}` for two different layers"
            )
    if is_strict and distance_between(config.platform, platform) is None:
        raise NotInRegistry(f"`{name}` is for `{config.platform}` only, not for `{platform}`")
    return Resolved(reference, provider, named, document, manifest, config, content)


def manifest_for(provider: Provider, named: Document, name: str, platform: Platform) -> Document:
    """Follow an index to the manifest for a platform; a manifest stands for itself.

    Raises:
        NotInRegistry: there is none for the platform.
        RegistryError: an index says what is not so, or leads to too many others.
    """
    document = named
    for _ in range(DEEPEST_INDEX):
        if document.media_type not in media_types.INDEXES:
            return document
        chosen = entry_for(document, platform)
        if chosen is None:
            raise NotInRegistry(
                f"`{name}` has no image for `{platform}`",
                hint=_offered(manifests.decode_index(document.content).manifests),
            )
        document = entry_document(provider, chosen)
    raise RegistryError(f"`{name}` leads through too many indexes")


def entry_document(provider: Provider, entry: Descriptor) -> Document:
    """Give the manifest or index that an entry of an index means.

    Raises:
        RegistryError: it has another size than the index says; or what the provider says.
        BadManifest: the index names it by no SHA-256.
    """
    document = provider.manifest(checked_digest(entry))
    if len(document.content) != entry.size:
        raise RegistryError(
            f"the manifest `{entry.digest}` has {len(document.content)} bytes, "
            f"and the index says {entry.size}"
        )
    return document


def entry_for(index: Document, platform: Platform) -> Descriptor | None:
    """Choose the entry of an index for a platform; the only one need not say what it is for.

    Raises:
        BadManifest: it is no index.
    """
    entries = manifests.decode_index(index.content).manifests
    is_alone = len(entries) == 1 and entries[0].platform is None
    return choose(entries, platform) or (entries[0] if is_alone else None)


def _offered(entries: tuple[Descriptor, ...]) -> str | None:
    platforms = [platform_of(entry) for entry in entries]
    names = dict.fromkeys(str(one) for one in platforms if one is not None and one.os != "unknown")
    if not names:
        return None
    told = ", ".join(f"`{name}`" for name in list(names)[:MOST_OFFERED])
    others = len(names) - MOST_OFFERED
    return f"there are images for {told}" + (f" and {others} others" if others > 0 else "")
