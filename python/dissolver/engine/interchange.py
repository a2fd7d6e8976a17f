"""The part of the engine that gives images and files out, and takes them in."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

if TYPE_CHECKING:
    from dissolver.engine.images import Source
    from dissolver.engine.session import Session
    from dissolver.intake.load import Loaded

P = ParamSpec("P")
R = TypeVar("R")


class Interchange:
    """Archives, layouts and root file systems; ``Engine`` is what people use."""

    if TYPE_CHECKING:

        def _do(
            self,
            operation: Callable[Concatenate[Session, P], R],
            *arguments: P.args,
            **named: P.kwargs,
        ) -> R: ...

    def save(
        self,
        images: Sequence[str],
        target: str | os.PathLike[str] | int,
        *,
        form: str = "docker",
        compression: str | None = None,
    ) -> None:
        """Write images to a file, an open file, or a directory.

        ``form`` is ``docker`` (what ``docker load`` takes), ``oci`` (an OCI image layout in a
        tar) or ``oci-directory``. ``compression`` of the layers is ``none``, ``gzip`` or
        ``zstd``; by default ``none`` for ``docker`` and ``gzip`` for the others. A bare name
        stands for all its tags. The same images give the same bytes. A path appears when
        everything is written, or not at all.

        Raises:
            ImageNotFound: no local image answers to one of ``images``.
            ExportError: form or compression are unknown, or the target does not fit.
        """
        from dissolver.engine import archives

        self._do(archives.save, tuple(images), _place(target), form, compression)

    def load(self, source: str | os.PathLike[str] | int) -> list[Loaded]:
        """Store the images of an archive or OCI layout, and answer them with their names.

        ``source`` is a file, an open file, compressed or not, or a directory. Every digest
        is verified while the bytes are read.

        Raises:
            IntakeError: it cannot be read, is no archive of images, or lacks a part.
            CoreFailure: a layer is no proper tar, or has another digest.
        """
        from dissolver.engine import archives

        return self._do(archives.load, _place(source))


def _place(where: str | os.PathLike[str] | int) -> Source:
    """Name a file so that another process finds it."""
    from dissolver.engine.images import Source
    from dissolver.engine.wire import Descriptor

    if isinstance(where, int):
        return Source(descriptor=Descriptor(where))
    return Source(location=os.path.abspath(where))  # noqa: PTH100  (a path may be a link)
