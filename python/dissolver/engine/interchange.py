"""The part of the engine that gives images and files out, and takes them in."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

if TYPE_CHECKING:
    from dissolver.engine.images import Source
    from dissolver.engine.results import Change
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
        tar) or ``oci-directory``. Layers that came compressed are written as they came, others
        as ``none`` for ``docker`` and ``gzip`` for the others; with ``compression`` (``none``,
        ``gzip`` or ``zstd``) all are written so. A bare name stands for all its tags. The same
        images give the same bytes. A path appears when
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

    def export(self, container: str, target: str | os.PathLike[str] | int) -> None:
        """Write a container's root file system, its own changes included, as a tar.

        ``target`` is a file or an open file. Volumes are no part of it. The container may
        run; files that change meanwhile are written as they are found.

        Raises:
            ContainerNotFound: there is no such container.
            ExportError: the target does not fit.
        """
        from dissolver.engine import archives

        self._do(archives.export, container, _place(target))

    def diff(self, container: str) -> list[Change]:
        """List what a container has added, changed and deleted, sorted by path."""
        from dissolver.engine import archives

        return self._do(archives.diff, container)

    def copy_to(
        self,
        container: str,
        path: str,
        source: str | os.PathLike[str] | int,
        *,
        keeps_owner: bool = False,
        follows_link: bool = False,
    ) -> int:
        """Copy a file or directory of this machine into a container, running or not.

        An existing directory gets it with its own name; ``/.`` at the end of ``source`` means
        what it holds. The copies are root's unless ``keeps_owner``. An open file as ``source``
        is read as a tar, which goes into the directory ``path`` with its owners. Answers how
        many bytes were copied.

        Raises:
            CopyFailed: one of the two does not exist, or is not of the kind that it must be.
        """
        from dissolver.engine import archives

        return self._do(
            archives.copy_to, container, path, _place(source), keeps_owner, follows_link
        )

    def copy_from(
        self,
        container: str,
        path: str,
        target: str | os.PathLike[str] | int,
        *,
        keeps_owner: bool = False,
        follows_link: bool = False,
    ) -> int:
        """Copy a file or directory of a container, running or not, to this machine.

        As ``copy_to``, the other way round: the copies are the caller's unless
        ``keeps_owner``. To an open file as ``target`` a tar is written, with owners.

        Raises:
            CopyFailed: one of the two does not exist, or is not of the kind that it must be.
        """
        from dissolver.engine import archives

        return self._do(
            archives.copy_from, container, path, _place(target), keeps_owner, follows_link
        )


def _place(where: str | os.PathLike[str] | int) -> Source:
    """Name a file so that another process finds it."""
    from dissolver.engine.images import Source
    from dissolver.engine.wire import Descriptor

    if isinstance(where, int):
        return Source(descriptor=Descriptor(where))
    text = os.fspath(where)
    # Not normalized: a slash or a dot at the end of a path means something.
    return Source(location=f"{Path.cwd()}/{text}" if not text.startswith("/") else text)
