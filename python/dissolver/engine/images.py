"""Images, as the engine offers them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dissolver.engine.results import HistoryRow
from dissolver.engine.wire import Descriptor

if TYPE_CHECKING:
    from collections.abc import Callable

    from dissolver.engine.session import Session
    from dissolver.image.config import Image
    from dissolver.image.reference import Reference
    from dissolver.store.images import ListedImage, Removal

    OnOutput = Callable[[int, bytes], None]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a tar comes from: a path or URL, or an open file."""

    location: str | None = None
    descriptor: Descriptor | None = None


def list_all(session: Session) -> list[ListedImage]:
    """List the images, the newest first."""
    return session.store.images.list()


def find(session: Session, image: str) -> Image:
    """Find one image."""
    return session.store.images.resolve(image)


def tag(session: Session, image: str, reference: str) -> None:
    """Give an image one more name."""
    from dissolver.image.reference import parse_new_name

    name = parse_new_name(reference)
    images = session.store.images
    images.tag(images.resolve(image).id, name)


def remove(session: Session, image: str, force: bool) -> Removal:
    """Remove a name, and the image with its last one."""
    from dissolver.engine.containers import is_running

    return session.store.images.remove(
        image, force=force, is_running=lambda container: is_running(session, container)
    )


def history(session: Session, image: str) -> list[HistoryRow]:
    """List how an image came about, the newest instruction first."""
    found = session.store.images.resolve(image)
    layers = iter(found.config.diff_ids)
    rows: list[HistoryRow] = []
    for entry in found.config.history:
        diff_id = None if entry.empty_layer else next(layers, None)
        info = None if diff_id is None else session.store.layers.info(diff_id)
        rows.append(
            HistoryRow(
                image=None,
                created_ns=entry.created,
                created_by=entry.created_by,
                size=0 if info is None else info.content_bytes,
                comment=entry.comment,
            )
        )
    rows.reverse()
    if rows:
        newest = rows[0]
        rows[0] = HistoryRow(
            found.id, newest.created_ns, newest.created_by, newest.size, newest.comment
        )
    return rows


def bootstrap(
    session: Session,
    suite: str,
    tags: tuple[str, ...],
    include: tuple[str, ...],
    on_output: OnOutput | None,
) -> Image:
    """Make a base image from the machine's apt sources."""
    from dissolver.intake.bootstrap import bootstrap as make

    def tell(line: str) -> None:
        if on_output is not None:
            on_output(2, line.encode(errors="replace") + b"\n")

    return make(session.store, suite, _references(tags), include=include, on_line=tell)


def import_tar(
    session: Session,
    source: Source,
    tags: tuple[str, ...],
    changes: tuple[str, ...],
    message: str,
    platform: str | None,
) -> Image:
    """Make an image of a root file system in a tar."""
    import os

    from dissolver.image.platform import parse_platform, platform_of_machine
    from dissolver.intake.tarball import import_tarball

    at = source.descriptor if source.descriptor is not None else source.location or ""
    machine = platform_of_machine(os.uname().machine)
    return import_tarball(
        session.store,
        at,
        _references(tags),
        changes=changes,
        message=message,
        platform=None if platform is None else parse_platform(platform, default=machine),
    )


def _references(tags: tuple[str, ...]) -> list[Reference]:
    from dissolver.image.reference import parse_new_name

    return [parse_new_name(tag) for tag in tags]


def layer_cat(session: Session, layer: str, target: Source) -> int:
    """Write a layer's tar to an open file; answer its size."""
    from dissolver.errors import AmbiguousIdentifier, StoreError
    from dissolver.store.faults import explained

    store = session.store
    digits = layer.removeprefix("sha256:")
    stored = store.layers.list()
    found = [name for name in stored if name.removeprefix("sha256:").startswith(digits)]
    if not found or not digits:
        raise StoreError(
            f"there is no layer `{layer}`",
            hint="`dissolver image inspect IMAGE` lists an image's layers",
        )
    if len(found) > 1:
        raise AmbiguousIdentifier(f"`{layer}` is the beginning of more than one layer's digest")
    # A prune would cut out of packs what a layer had that is removed meanwhile.
    with store.lock_shared(), explained(f"write the layer `{layer}`"):
        return store.layers.cat(found[0], int(target.descriptor or 0))
