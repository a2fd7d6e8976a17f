"""Contexts: what a directory holds, and what `.dockerignore` leaves of it."""

import os
from collections.abc import Sequence
from typing import Self, final

@final
class IgnoreRules:
    """The rules of a `.dockerignore`, compiled once; immutable.

    The last pattern that matches a path or one of its parent directories decides;
    `!` brings back what earlier patterns excluded.
    """

    def __new__(cls, patterns: Sequence[str]) -> Self:
        """Compile ``patterns``, in their order in the file, comments already removed.

        Raises:
            CoreError: ``bad-pattern`` for the first one that is not a pattern.
        """

    def excludes(self, path: str | bytes | os.PathLike[str], is_directory: bool = False) -> bool:
        """Tell whether ``path``, relative to the context, is excluded, if only with a parent."""

@final
class Tree:
    """A directory, listed at one moment; immutable, safe to share between threads.

    Contents are read when a plan asks for their digests, and remembered for as long
    as the tree lives. A file that is no longer what was listed is then an error.
    """

    @staticmethod
    def scan(
        root: str | bytes | os.PathLike[str],
        *,
        ignore: IgnoreRules | None = None,
        stat_cache: str | bytes | os.PathLike[str] | None = None,
    ) -> Tree:
        """List everything beneath ``root`` that ``ignore`` leaves, on all cores.

        No content is read, symbolic links are not followed, sockets are left out, and
        excluded directories are not entered unless a `!` pattern can match inside them.
        ``stat_cache`` is a file that keeps digests of contents from run to run; it is
        written, in one step, when contents were hashed, and whatever is wrong with it,
        it counts as empty.

        Raises:
            CoreError: ``not-found`` or ``not-a-directory`` for ``root``, ``io`` for a
                directory that cannot be read. One that this user may not read is listed;
                wanting what is in it is the error.
        """

    @property
    def root(self) -> str:
        """The directory that was listed, as it was named."""

    @property
    def entry_count(self) -> int:
        """How many entries there are, the root not counted."""

    @property
    def total_bytes(self) -> int:
        """The bytes of all regular files."""

def stat_cache_context(path: str | bytes | os.PathLike[str]) -> str | None:
    """Tell which context directory a stat cache is about.

    ``None`` for a file that is damaged, of another format, or no stat cache.
    """
