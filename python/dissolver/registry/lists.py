"""Lists of images for several platforms, put together here and pushed as an index.

A list that is not pushed yet is a file in the store (`lists/`), named by the SHA-256 of
its name. It refers to images by digest; these are in registries already.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from dissolver.errors import BadManifest, ImageNotFound, RegistryError
from dissolver.image import manifest as manifests
from dissolver.image import media_types
from dissolver.image.config import decode_config
from dissolver.image.manifest import Descriptor, Index, checked_digest, platform_fields
from dissolver.image.reference import parse_reference
from dissolver.registry.copying import copy_image
from dissolver.registry.uploads import Uploads
from dissolver.store.faults import explained

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dissolver.image.reference import Reference
    from dissolver.registry.events import OnTransfer
    from dissolver.registry.resolve import Sources
    from dissolver.store import Store

FORMAT = 1


class Entry(msgspec.Struct, frozen=True):
    """An image of a list: its descriptor, and the name that it was found under."""

    descriptor: Descriptor
    name: str


class ManifestList(msgspec.Struct, frozen=True):
    """A list that is being put together; ``name`` is whole."""

    name: str
    entries: tuple[Entry, ...] = ()
    format: int = FORMAT

    def index(self) -> Index:
        """Give it as what is pushed: Docker's if all its images are Docker's, else OCI's."""
        types = {entry.descriptor.media_type for entry in self.entries}
        is_docker = types == {media_types.DOCKER_MANIFEST}
        return Index(
            media_type=media_types.DOCKER_INDEX if is_docker else media_types.OCI_INDEX,
            manifests=tuple(entry.descriptor for entry in self.entries),
        )


def create(
    store: Store,
    sources: Sources,
    name: Reference,
    images: Sequence[Reference],
    *,
    amends: bool = False,
) -> ManifestList:
    """Begin a list with ``images``, which are in registries; or add them to it.

    The images of an index are added one by one.

    Raises:
        RegistryError: there is such a list and ``amends`` is not set; or what registries say.
    """
    _entries_so_far(store, name, amends=amends)
    found = [entry for image in images for entry in _entries(sources, image)]
    with _alone(store):
        entries: dict[str, Entry] = {}
        for entry in (*_entries_so_far(store, name, amends=amends), *found):
            entries.setdefault(entry.descriptor.digest, entry)
        made = ManifestList(name.canonical, tuple(entries.values()))
        _write(store, name, made)
    return made


def annotate(
    store: Store,
    name: Reference,
    image: Reference,
    *,
    platform: dict[str, str],
    annotations: dict[str, str],
) -> ManifestList:
    """Change what a list says of an image: fields of its platform, and annotations.

    Raises:
        ImageNotFound: there is no such list, or the image is not in it.
    """
    wanted = {image.canonical, image.digest or ""}

    def changed(entry: Entry) -> Entry:
        descriptor = entry.descriptor
        if not {entry.name, descriptor.digest} & wanted:
            return entry
        before = descriptor.platform or manifests.PlatformFields("", "linux")
        descriptor = msgspec.structs.replace(
            descriptor,
            platform=msgspec.structs.replace(before, **platform),
            annotations={**descriptor.annotations, **annotations},
        )
        return Entry(descriptor, entry.name)

    with _alone(store):
        found = get(store, name)
        if not any({entry.name, entry.descriptor.digest} & wanted for entry in found.entries):
            raise ImageNotFound(f"the list `{name.familiar}` has no image `{image.familiar}`")
        made = ManifestList(found.name, tuple(map(changed, found.entries)))
        _write(store, name, made)
    return made


def push_list(
    store: Store,
    sources: Sources,
    name: Reference,
    *,
    purges: bool = False,
    on_event: OnTransfer | None = None,
) -> str:
    """Send a list to its registry, with the images that are not in its repository yet.

    Answers its digest. With ``purges`` the list is removed here afterwards.

    Raises:
        ImageNotFound: there is no such list.
        RegistryError: what registries say.
    """
    found = get(store, name)
    for entry in found.entries:
        source = parse_reference(entry.name)
        digest = checked_digest(entry.descriptor)
        if source.name != name.name:
            copy_image(
                store,
                sources,
                source.with_digest(digest),
                name.with_digest(digest),
                on_event=on_event,
            )
    index = found.index()
    content = manifests.encode(index)
    uploads = Uploads(sources.repository(name))
    uploads.put_manifest(content, index.media_type, name.tag or "")
    if purges:
        remove(store, name)
    return manifests.describe(index.media_type, content).digest


def get(store: Store, name: Reference) -> ManifestList:
    """Find a list.

    Raises:
        ImageNotFound: there is none of that name.
    """
    found = find(store, name)
    if found is None:
        raise ImageNotFound(
            f"there is no list `{name.familiar}`",
            hint=f"begin one: `dissolver manifest create {name.familiar} IMAGE…`",
        )
    return found


def find(store: Store, name: Reference) -> ManifestList | None:
    """Find a list, if there is one of that name.

    Raises:
        BadManifest: its file is damaged.
    """
    with explained("read the list"):
        try:
            content = _path(store, name).read_bytes()
        except FileNotFoundError:
            return None
    try:
        found = msgspec.json.decode(content, type=ManifestList)
    except msgspec.MsgspecError as error:
        raise BadManifest(f"the list `{name.familiar}` is damaged: {error}") from None
    if found.format != FORMAT:
        raise BadManifest(
            f"the list `{name.familiar}` has format {found.format}, and this version knows {FORMAT}"
        )
    return found


def remove(store: Store, name: Reference) -> None:
    """Remove a list that is kept here; what was pushed stays.

    Raises:
        ImageNotFound: there is none of that name.
    """
    get(store, name)
    with explained("remove the list"):
        _path(store, name).unlink(missing_ok=True)


def _entries_so_far(store: Store, name: Reference, *, amends: bool) -> tuple[Entry, ...]:
    known = find(store, name)
    if known is None:
        return ()
    if not amends:
        raise RegistryError(
            f"there is a list `{name.familiar}` already",
            hint="add to it with `--amend`, or remove it with `dissolver manifest rm`",
        )
    return known.entries


def _entries(sources: Sources, image: Reference) -> list[Entry]:
    repository, document = sources.fetch(image)
    if document.media_type in media_types.INDEXES:
        index = manifests.decode_index(document.content)
        name = image.with_digest(None).canonical if image.tag else image.canonical
        return [Entry(descriptor, name) for descriptor in index.manifests]
    manifest = manifests.decode_manifest(document.content)
    config = decode_config(
        repository.document_blob(checked_digest(manifest.config), manifest.config.size)
    )
    described: dict[str, Any] = {"platform": platform_fields(config.platform)}
    descriptor = manifests.describe(document.media_type, document.content, **described)
    return [Entry(descriptor, image.canonical)]


def _path(store: Store, name: Reference) -> Path:
    digits = hashlib.sha256(name.canonical.encode()).hexdigest()
    return store.root / "lists" / f"{digits}.json"


@contextmanager
def _alone(store: Store) -> Iterator[None]:
    """Change lists alone among all processes, so that what two of them add is all kept."""
    directory = store.root / "lists"
    with explained("write the list"):
        directory.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with explained("write the list"):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _write(store: Store, name: Reference, made: ManifestList) -> None:
    path = _path(store, name)
    part = store.layout.tmp / f"list-{os.getpid()}-{path.name}"
    with explained("write the list"):
        part.write_bytes(msgspec.json.encode(made))
        part.rename(path)
