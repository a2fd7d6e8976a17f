"""Archives, as the engine offers them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dissolver.engine.images import Source
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


def place_of(source: Source) -> str | int:
    """Give the path, or the number of the open file."""
    return int(source.descriptor) if source.descriptor is not None else source.location or ""
