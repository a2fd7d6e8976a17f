"""The files of containers: what changed, all of them as a tar, copies to and fro.

Paths may be ``str``, ``bytes`` or path-like. Failures are `CoreError`, as in ``_core.layer``.
"""

import os
from collections.abc import Sequence
from typing import Literal, final

from dissolver._core.layer import Entry, Layers, View

@final
class Root:
    """A directory that is the root of everything in it: a container's, or the machine's.

    The kernel resolves all paths with ``RESOLVE_IN_ROOT``: neither ``..`` nor an absolute
    symbolic link leads out of it, whoever changes what meanwhile.
    """

    def __new__(cls, directory: int) -> Root:
        """Take an open directory for a root; the descriptor is duplicated."""

    def stat(
        self, path: str | bytes | os.PathLike[str], *, follow: bool = True
    ) -> tuple[bytes, Entry | None]:
        """Describe what ``path`` leads to, and where that is.

        The path that is answered is absolute in this root. ``follow`` is about a symbolic
        link at the end; links before the last name are not resolved in the answer. Where
        there is nothing it is the path where something would be.

        Raises:
            CoreError: ``symlink-loop``, ``io``.
        """

    def copy(
        self,
        source: str | bytes | os.PathLike[str],
        target: Root,
        directory: str | bytes | os.PathLike[str],
        *,
        name: str | bytes | os.PathLike[str] | None,
        owner: tuple[int, int] | None,
        follow: bool = False,
    ) -> int:
        """Copy files to an existing directory of another root; return their bytes of content.

        They are called ``name`` there; without one, what is in the directory ``source`` is
        copied. Modes, times, symbolic and hard links are kept; owners and attributes are too
        without ``owner``. Where an owner changes, set-user-id bits go and only ``user.*``
        attributes stay. Directories are merged, all else is replaced, and appears when it is
        whole. Sockets, and what only the kernel or memory holds, such as ``/proc``, are left out.

        Raises:
            CoreError: ``not-a-directory`` or ``not-a-file`` where a directory and something else
                would have the same path, ``not-found``, ``symlink-loop``, ``io``.
        """

    def archive(
        self,
        source: str | bytes | os.PathLike[str],
        fd: int,
        *,
        name: str | bytes | os.PathLike[str] | None,
        follow: bool = False,
    ) -> int:
        """Write files to ``fd`` as a tar, under ``name``; return their bytes of content.

        Raises:
            CoreError: ``not-found``, ``not-a-directory`` for a file without a name, ``io``.
        """

    def unpack(self, view: View, directory: str | bytes | os.PathLike[str]) -> int:
        """Put what a view shows into an existing directory; return its bytes of content.

        Raises:
            CoreError: ``bad-tar`` for names that layers reserve, and as for `copy`.
        """

    def put(
        self,
        view: View,
        directory: str | bytes | os.PathLike[str],
        *,
        owner: tuple[int, int],
        mtime_ns: int | None = None,
    ) -> tuple[int, int]:
        """Put the root file system that a view shows into an existing directory.

        Directories are merged, all else is replaced, and no symbolic link of the directory is
        followed. Everything belongs to ``owner``, as for `copy`; devices are left out. With
        ``mtime_ns`` everything has that time. Returns bytes of content, and how many devices
        there were.

        Raises:
            CoreError: as for `copy`.
        """

def export_container(
    layers: Layers,
    diff_ids: Sequence[str],
    upper: str | bytes | os.PathLike[str],
    fd: int,
) -> None:
    """Write what layers and an overlay's upper directory show together to ``fd`` as one tar.

    The overlay may be mounted and written to meanwhile: what goes is left out, and files
    that shrink end in zeros.

    Raises:
        CoreError: ``unknown-layer``, ``unsupported-overlay``.
    """

def changes(
    layers: Layers,
    upper: str | bytes | os.PathLike[str],
    parents: Sequence[str],
    *,
    ignore_stubs: Sequence[str | bytes | os.PathLike[str]] = (),
) -> list[tuple[Literal["added", "changed", "deleted"], bytes]]:
    """List how an overlay's upper directory differs from the layers below, by absolute path.

    Sorted, directories before what they hold; they are changed if anything in them is. What
    a deleted directory held is not listed. The overlay may be mounted.

    Raises:
        CoreError: ``unknown-layer``, ``unsupported-overlay``.
    """
