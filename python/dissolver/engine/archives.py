"""Archives, as the engine offers them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dissolver.engine.images import Source
    from dissolver.engine.results import Change
    from dissolver.engine.session import Session
    from dissolver.intake.load import Loaded


def save(
    session: Session, images: tuple[str, ...], target: Source, form: str, compression: str | None
) -> None:
    """Write images to a file or a directory."""
    from dissolver.export.save import save as write

    write(session.store, images, place_of(target), form=form, compression=compression)


def load(session: Session, source: Source) -> list[Loaded]:
    """Store the images of an archive."""
    from dissolver.intake.load import load as read

    return read(session.store, place_of(source))


def export(session: Session, container: str, target: Source) -> None:
    """Write a container's root file system as a tar."""
    from dissolver.export.files import opened
    from dissolver.export.rootfs import write_tar

    store = session.store
    identity = store.containers.resolve(container).id
    upper = store.containers.directory(identity) / "upper"
    with store.lock_shared(), opened(place_of(target)) as descriptor:
        write_tar(store, store.containers.layers(identity), descriptor, upper=upper)


def diff(session: Session, container: str) -> list[Change]:
    """List what a container changed."""
    import os

    from dissolver._core.files import changes
    from dissolver.engine.results import Change
    from dissolver.store.faults import explained

    store = session.store
    identity = store.containers.resolve(container).id
    upper = store.containers.directory(identity) / "upper"
    if not upper.is_dir():
        return []
    with explained("compare the container with its image"):
        found = changes(store.layers, upper, store.containers.layers(identity))
    return [Change(kind, os.fsdecode(path)) for kind, path in found]


def copy_to(
    session: Session,
    container: str,
    path: str,
    source: Source,
    keeps_owner: bool,
    follows_link: bool,
) -> int:
    """Copy files, or what a tar holds, into a container."""
    from dissolver.containers.files import transfer

    place = place_of(source)
    if isinstance(place, int):
        return transfer.unpack_in(session.store, container, place, path)
    return transfer.copy_in(
        session.store,
        container,
        place,
        path,
        keeps_owner=keeps_owner,
        follows_link=follows_link,
    )


def copy_from(
    session: Session,
    container: str,
    path: str,
    target: Source,
    keeps_owner: bool,
    follows_link: bool,
) -> int:
    """Copy files of a container, or write them as a tar."""
    from dissolver.containers.files import transfer

    place = place_of(target)
    if isinstance(place, int):
        return transfer.archive_out(
            session.store, container, path, place, follows_link=follows_link
        )
    return transfer.copy_out(
        session.store,
        container,
        path,
        place,
        keeps_owner=keeps_owner,
        follows_link=follows_link,
    )


def place_of(source: Source) -> str | int:
    """Give the path, or the number of the open file."""
    return int(source.descriptor) if source.descriptor is not None else source.location or ""
