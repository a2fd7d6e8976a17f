"""``image copy``: an image from any place to any other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from dissolver.errors import BadReference, ExportError, ImageNotFound
from dissolver.exchange.archives import Scratch, archived_image
from dissolver.exchange.layouts import LayoutProvider
from dissolver.exchange.places import ArchivePlace, LayoutPlace, RegistryPlace, StorePlace
from dissolver.exchange.receivers import DirectoryReceiver, TarReceiver, described, docker_row
from dissolver.export.files import opened
from dissolver.export.parcels import TarParcel
from dissolver.image import media_types
from dissolver.image.choice import distance_between
from dissolver.image.digest import digest_of
from dissolver.image.reference import parse_reference
from dissolver.intake.archive_files import opened_files
from dissolver.registry.copying import Copied, Copy, copy_image
from dissolver.registry.events import TransferDone, TransferStarted
from dissolver.registry.layer_push import LayersSent
from dissolver.registry.meter import Teller
from dissolver.registry.pull import store_image
from dissolver.registry.push import send_image
from dissolver.registry.resolve import manifest_for, resolved_image
from dissolver.registry.uploads import Uploads

if TYPE_CHECKING:
    from pathlib import Path

    from dissolver.exchange.places import Place
    from dissolver.image.media_types import Compression
    from dissolver.image.platform import Platform
    from dissolver.image.reference import Reference
    from dissolver.registry.client import Document
    from dissolver.registry.ends import Provider, Receiver
    from dissolver.registry.events import OnTransfer
    from dissolver.registry.resolve import Sources
    from dissolver.store import Store

_Elsewhere: TypeAlias = "RegistryPlace | LayoutPlace | ArchivePlace"
"""A place that is not the store."""

_Finish = Callable[[bytes, str], None]
"""Names what was brought to a receiver, by its manifest or index and the type of that."""


class Copying:
    """Copies of images between places, through one store and its connections.

    ``machine`` is the platform of this machine, which is chosen where a place takes one image.
    """

    def __init__(
        self, store: Store, sources: Sources, machine: Platform, on_event: OnTransfer | None = None
    ) -> None:
        self._store = store
        self._sources = sources
        self._machine = machine
        self._on_event = on_event
        self._teller = Teller(on_event)

    def copy(
        self,
        source: Place,
        target: Place,
        *,
        platform: Platform | None = None,
        takes_all: bool = False,
    ) -> Copied:
        """Copy an image; its name at the target appears when all else is there.

        Documents and blobs stay as they are, and so do digests. What has no manifest, an image
        of the store that was built here or one of an old archive, gets one. An index goes with
        all its images, or with ``platform`` the one for that. The store and archives for
        Docker hold an image for one platform: the machine's, unless ``platform`` is another.
        ``takes_all`` says that all must come along.

        Raises:
            NotInRegistry, AccessDenied, RegistryError: what a registry says.
            ImageNotFound, IntakeError: the source has no such image, or lacks a part of it.
            ExportError: the target cannot hold what it should.
            ContentMismatch: something is not what its digest says.
        """
        is_single = isinstance(target, StorePlace | ArchivePlace)
        if is_single and takes_all:
            what = "the store" if isinstance(target, StorePlace) else "an archive for Docker"
            raise ExportError(
                f"{what} holds an image for one platform, not for all",
                hint="name the platform with `--platform`, or copy to `oci:DIRECTORY`",
            )
        if isinstance(source, StorePlace):
            if isinstance(target, StorePlace):
                raise BadReference(
                    "the image is in the store already", hint="name it anew with `dissolver tag`"
                )
            return self._from_store(source, target, platform)
        if isinstance(source, RegistryPlace) and isinstance(target, RegistryPlace):
            return copy_image(
                self._store,
                self._sources,
                source.reference,
                target.reference,
                platform=platform,
                on_event=self._on_event,
            )
        with self._provided(source, target) as (provider, document, reference):
            if isinstance(target, StorePlace):
                return self._into_store(source, provider, document, target, platform)
            wanted = self._machine if is_single and platform is None else platform
            if wanted is not None:
                document = manifest_for(provider, document, str(source), wanted)
            return self._across(source, provider, document, target, reference)

    def _across(
        self,
        source: Place,
        provider: Provider,
        document: Document,
        target: _Elsewhere,
        reference: Reference | None,
    ) -> Copied:
        """Copy a document with all that it is made of."""
        version = self._begun(target, document.digest)
        with (
            self._store.workspace() as workspace,
            self._received(target, reference, workspace) as (receiver, finish),
        ):
            work = Copy(provider, receiver, workspace, self._teller, name=str(source))
            work.document(document, version)
            finish(document.content, document.media_type)
        return self._ended(target, document.content, version, work.sent_bytes)

    def _from_store(
        self, source: StorePlace, target: _Elsewhere, platform: Platform | None
    ) -> Copied:
        with self._store.lock_shared():
            image = self._store.images.resolve(source.name)
            own = image.config.platform
            if platform is not None and distance_between(own, platform) is None:
                raise ImageNotFound(f"`{source}` is for `{own}`, not for `{platform}`")
            place = target.reference.name if isinstance(target, RegistryPlace) else ""
            version = self._begun(target, "")
            with (
                self._store.workspace() as workspace,
                self._received(target, _named(source.name), workspace) as (receiver, finish),
            ):
                compression: Compression = "none" if isinstance(target, ArchivePlace) else "gzip"
                layers = LayersSent(
                    self._store, receiver, place, compression, workspace, self._teller
                )
                sent = send_image(self._store, layers, image, version, self._teller)
                finish(sent.document, sent.media_type)
            if place:
                # Once it has a manifest, it goes everywhere with that.
                digest = self._store.blobs.put(sent.document)
                self._store.transfers.remember_manifest(image.id, digest, sent.media_type)
        return self._ended(target, sent.document, version, layers.sent_bytes)

    def _into_store(
        self,
        source: Place,
        provider: Provider,
        document: Document,
        target: StorePlace,
        platform: Platform | None,
    ) -> Copied:
        name = parse_reference(target.name)
        if name.tag is None or name.digest is not None:
            raise BadReference(f"`{target.name}` is no name with a tag, which an image needs here")
        is_remote = isinstance(source, RegistryPlace)
        self._teller.tell(TransferStarted("copy", name.tag, str(target)))
        with self._store.lock_shared():
            resolved = resolved_image(
                source.reference if isinstance(source, RegistryPlace) else name,
                provider,
                document,
                platform or self._machine,
                name=str(source),
                is_strict=platform is not None,
            )
            store_image(self._store, resolved, self._on_event, tags=[name], is_placed=is_remote)
        size = sum(layer.size for layer in resolved.manifest.layers)
        found = resolved.document
        self._teller.tell(
            TransferDone(
                *("copy", name.tag, name.canonical, name.familiar, found.digest),
                size=len(found.content),
                is_new=True,
            )
        )
        return Copied(str(target), found.digest, size)

    @contextmanager
    def _provided(
        self, source: _Elsewhere, target: Place
    ) -> Iterator[tuple[Provider, Document, Reference | None]]:
        """Open a source that is not the store: what provides it, its document, its name."""
        if isinstance(source, RegistryPlace):
            yield (*self._sources.fetch(source.reference), source.reference)
            return
        transport = self._sources.transport
        label = str(source.path)
        with opened_files(self._store, label) as files:
            if isinstance(source, LayoutPlace):
                layout = LayoutProvider(files, label, transport)
                yield layout, layout.named(source.tag, source.digest), None
                return
            with self._store.workspace() as workspace, Scratch(workspace) as scratch:
                archive, document, names = archived_image(
                    files,
                    source.reference,
                    label,
                    transport,
                    scratch,
                    compresses=isinstance(target, RegistryPlace),
                )
                yield archive, document, _named(names[0]) if len(names) == 1 else source.reference

    @contextmanager
    def _received(
        self, target: _Elsewhere, reference: Reference | None, workspace: Path
    ) -> Iterator[tuple[Receiver, _Finish]]:
        """Open a target that is not the store: what takes the parts, and what names the image."""
        transport = self._sources.transport
        if isinstance(target, RegistryPlace):
            repository = self._sources.repository(target.reference)
            yield Uploads(repository), lambda _content, _media_type: None
            return
        names = _annotations(target, reference)
        if isinstance(target, LayoutPlace) and target.kind == "oci":
            with DirectoryReceiver(target.path, transport) as directory:
                yield directory, partial(_enter, directory, names)
            return
        with opened(str(target.path)) as descriptor:
            tar = TarReceiver(TarParcel(descriptor, workspace, mtime=0), target.path, transport)

            def finish(content: bytes, media_type: str) -> None:
                row = None
                if isinstance(target, ArchivePlace):
                    named = target.reference or reference
                    tags = [named.familiar] if named is not None and named.tag else []
                    row = docker_row(content, tags)
                tar.finish(described(content, media_type, names), row)

            yield tar, finish

    def _begun(self, target: _Elsewhere, digest: str) -> str:
        """Tell that a copy begins; answer the version that it will have."""
        if isinstance(target, RegistryPlace):
            version = target.reference.tag or digest
            self._teller.tell(TransferStarted("copy", version, target.reference.name))
            return version
        version = (target.tag if isinstance(target, LayoutPlace) else None) or target.path.name
        self._teller.tell(TransferStarted("copy", version, str(target)))
        return version

    def _ended(self, target: _Elsewhere, content: bytes, version: str, sent_bytes: int) -> Copied:
        name = target.reference.canonical if isinstance(target, RegistryPlace) else str(target)
        digest = digest_of(content)
        self._teller.tell(
            TransferDone(
                *("copy", version or digest, name, str(target), digest),
                size=len(content),
                is_new=sent_bytes > 0,
            )
        )
        return Copied(name, digest, sent_bytes)


def _enter(
    directory: DirectoryReceiver, names: dict[str, str], content: bytes, media_type: str
) -> None:
    directory.name(described(content, media_type, names))


def _annotations(target: LayoutPlace | ArchivePlace, reference: Reference | None) -> dict[str, str]:
    """Name an image in the index of a layout: as was said, or else as it is called where it was."""
    if isinstance(target, LayoutPlace) and target.tag is not None:
        return {media_types.REFERENCE_NAME: target.tag}
    named = target.reference if isinstance(target, ArchivePlace) else None
    named = named or reference
    if named is None or named.tag is None:
        return {}
    return {
        media_types.CONTAINERD_NAME: named.with_digest(None).canonical,
        media_types.REFERENCE_NAME: named.tag,
    }


def _named(text: str) -> Reference | None:
    """Read a name, if it is one and no ID."""
    with suppress(BadReference):
        return parse_reference(text)
    return None
