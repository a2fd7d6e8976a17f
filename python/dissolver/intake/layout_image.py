"""One image out of an OCI image layout on this machine, for a build."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from dissolver.errors import IntakeError
from dissolver.intake import layout
from dissolver.intake.archive_files import opened_files
from dissolver.intake.load import INDEX_FILE, found_image, store_image

if TYPE_CHECKING:
    from dissolver.image.config import Image
    from dissolver.intake.layout import LayoutImage
    from dissolver.store import Store

_DIGEST = re.compile(r"@(sha256:[0-9a-f]{64})$")
_TAG = re.compile(r":([A-Za-z0-9_][A-Za-z0-9_.-]*)$")


def load_layout_image(store: Store, text: str) -> Image:
    """Store the image that ``PATH``, ``PATH:TAG`` or ``PATH@DIGEST`` means; it gets no name.

    Without a tag or a digest it is the only one of the layout, or the one called `latest`.

    Raises:
        IntakeError: there is no layout, or no such image in it.
        CoreFailure: a layer is no proper tar, or has another digest.
    """
    path, tag, digest = _parts(text)
    with opened_files(store, path) as files, store.lock_shared():
        index = files.find(INDEX_FILE)
        if index is None:
            raise IntakeError(f"`{path}` is no OCI image layout: it has no `{INDEX_FILE}`")
        images = layout.images(files, index)
        fitting = [
            one
            for one in images
            if (digest is None or digest == one.digest) and (tag is None or _is_called(one, tag))
        ]
        if len(fitting) > 1 and tag is None and digest is None:
            fitting = [one for one in fitting if _is_called(one, "latest")]
        if not fitting:
            names = ", ".join(f"`{name}`" for one in images for name in _names(one))
            raise IntakeError(
                f"`{path}` has no image `{tag or digest or 'latest'}`",
                hint=f"it has {names}" if names else None,
            )
        return store_image(store, found_image(files, fitting[0]))


def layout_path(text: str) -> str:
    """Give the path of the layout that ``PATH``, ``PATH:TAG`` or ``PATH@DIGEST`` lies in."""
    return _parts(text)[0]


def _parts(text: str) -> tuple[str, str | None, str | None]:
    """Cut a text into a path, a tag and a digest; what is a path as it stands is one."""
    found = _DIGEST.search(text)
    digest = found[1] if found is not None else None
    rest = text[: found.start()] if found is not None else text
    if not Path(rest).exists():
        tagged = _TAG.search(rest)
        if tagged is not None:
            return rest[: tagged.start()], tagged[1], digest
    return rest, None, digest


def _is_called(one: LayoutImage, tag: str) -> bool:
    return any(name.rpartition(":")[2] == tag for name in _names(one))


def _names(one: LayoutImage) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*one.names, *one.tags)))
