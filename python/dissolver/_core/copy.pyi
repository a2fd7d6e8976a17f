"""Copies: planned on listings, digested, and written as layers.

Sources and destinations are texts; diff IDs and failures are as in ``_core.layer``.
"""

import builtins
from collections.abc import Sequence
from typing import Self, final

from dissolver._core.layer import LayerInfo, Layers, View
from dissolver._core.tree import IgnoreRules, Tree

@final
class CopyPart:
    """What is copied from one origin; immutable."""

    def __new__(
        cls,
        origin: Tree | View,
        sources: Sequence[str],
        *,
        keeps_owner: bool,
        pivots: Sequence[str] | None = None,
        excludes: IgnoreRules | None = None,
        is_verbatim: bool = False,
    ) -> Self:
        """Take ``sources``, names and patterns rooted at ``origin``.

        Directories give what they hold; symbolic links are followed where they are named or
        matched, and stay links inside a directory; a pattern that matches nothing copies
        nothing. With ``pivots``, one for each source, directories are kept: the destination
        gets everything of the directory at the pivot that matches the rest of the source, where
        ``**`` is any depth, together with the directories that lead there. ``excludes`` are
        left out of directories, by their paths in the source; what is a source itself stays.
        Without an owner for all, entries keep theirs if ``keeps_owner``, else they are root's.
        ``is_verbatim`` is for what an archive holds: modes stay as they are, and what is in the
        way goes.
        """

    def selected(self) -> builtins.list[tuple[bytes, str]]:
        """List what the sources select: the path of each in the origin, and its kind.

        Raises:
            CoreError: ``not-found`` (``path`` is the source), ``bad-pattern``, ``symlink-loop``.
        """

@final
class CopyPlan:
    """What a COPY will put where, known from listings alone; immutable.

    Contents are read by `digest`, where they are not known, and by `write`, once each.
    """

    @staticmethod
    def for_copy(
        base: View,
        origin: Tree | View,
        sources: Sequence[str],
        destination: str,
        *,
        owner: tuple[int, int] | None,
        keeps_owner: bool,
        mode: int | None,
        new_directory_mtime: int,
    ) -> CopyPlan:
        """Plan a copy of ``sources``, names and patterns rooted at ``origin``, onto ``base``.

        Directories give what they hold; symbolic links are followed where they are named or
        matched, and stay links inside a directory; a pattern that matches nothing copies
        nothing. ``destination`` is absolute; with a slash at the end, or where a directory is,
        it means a directory, and its symbolic links are followed in ``base``. ``owner`` and
        ``mode`` hold for all that is copied or made (``mode`` not for symbolic links); without
        ``owner`` entries keep theirs if ``keeps_owner``, else they are root's. Directories
        that exist keep their metadata, but for those that a copied directory is merged into.
        ``new_directory_mtime`` is in nanoseconds since the epoch. Nothing is read.

        Raises:
            CoreError: ``not-found`` (``path`` is the source), ``bad-pattern``, ``symlink-loop``;
                ``is-a-directory`` or ``not-a-directory`` (``path`` is what is in the way) where
                a directory and something else would have the same path.
        """

    @staticmethod
    def for_parts(
        base: View,
        parts: Sequence[CopyPart],
        destination: str,
        *,
        owner: tuple[int, int] | None,
        mode: int | Sequence[tuple[str, str, str]] | None,
        new_directory_mtime: int,
    ) -> CopyPlan:
        """Plan a copy of several parts, in their order, as `for_copy` plans one.

        ``mode`` may be changes to the modes that files have: for whom (``u``, ``g``, ``o``;
        empty is everybody), ``+``, ``-`` or ``=``, and letters of ``rwxXst`` or one of ``ugo``.
        """

    @staticmethod
    def for_directory(
        base: View, path: str, *, uid: int, gid: int, new_directory_mtime: int
    ) -> CopyPlan:
        """Plan to make a directory and those above it; nothing if it exists.

        Raises:
            CoreError: ``not-a-directory`` if something else is at ``path`` or above it.
        """

    @property
    def entry_count(self) -> int:
        """Entries that the layer will have, the repeated directories of the base included."""

    @property
    def total_bytes(self) -> int:
        """Bytes of all files that are copied, hard links counted once."""

    @property
    def bytes_hashed(self) -> int:
        """Bytes that `digest` had to read; 0 before it was called."""

    def prepare(self, layers: Layers, *, predecessor: str | None = None) -> None:
        """Say where the layer would be written, before asking for its digest.

        If most of the bytes have to be read for `digest` and there is no ``predecessor``, they
        are written to ``layers`` at the same time, each file opened once; `write` then has
        only to give the layer its name. Without that it goes with the plan.
        """

    def digest(self) -> str:
        """Digest everything that the layer will be but for modification times: ``blake3:<hex>``.

        Reads the files of a context whose contents the stat cache does not know, on all
        cores; files of layers are known by their indexes. After `prepare` it may write, too.

        Raises:
            CoreError: ``changed-while-read`` names the file, ``io`` what cannot be read.
        """

    def inputs(self) -> builtins.list[tuple[str, str]]:
        """Name what `digest` covers: ``destination``, ``directory/<path>`` for those on the way,
        and ``context/<path>`` or ``from/<path>`` for what is copied.

        Values are permission bits in octal and a short digest of everything that counts;
        ask after `digest`, which is what finds contents out.
        """

    def packed_inputs(self) -> bytes:
        """Give `inputs` as they are kept: names and values in turn, separated by NUL, with zlib."""

    def write(self, layers: Layers, *, predecessor: str | None = None) -> LayerInfo:
        """Write the layer in one pass, and make it visible once it is complete.

        ``predecessor`` is the diff ID of a layer that an earlier copy of the same made: what
        did not change since is shared with it, and only the rest is read, written and, from
        the first difference on, hashed. One that is missing is none. Memory does not
        grow with the files. What is written is what was digested; a layer that exists
        already is found and left as it is.

        Raises:
            CoreError: ``changed-while-read`` names the file, by its path in the origin;
                ``digest-mismatch`` a damaged layer that is copied from; ``io`` a full disk.
        """
