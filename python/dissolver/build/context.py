"""The files that a build may copy: listed once, when a step first needs them."""

from __future__ import annotations

import os
import threading
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from dissolver._core import CoreError
from dissolver.errors import ContextError, from_core

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dissolver._core.tree import IgnoreRules, Tree
    from dissolver.build.definition import IgnoreFile
    from dissolver.build.events import OpenVertex
    from dissolver.errors import Where

# A directory of a context may hold a hundred thousand names; comparing a
# misspelt one with each of them is not worth more than a blink.
_NAMES_COMPARED = 5_000


class BuildContext:
    """The directory a build copies from, without what the ignore rules exclude.

    The listing is made once and shared by all steps, so they agree about what
    the context holds. Contents are read when a step's key is derived.
    """

    def __init__(
        self, root: Path, ignore: IgnoreFile, patterns: Sequence[str], cache: Path
    ) -> None:
        self.root = root
        self._ignore = ignore
        self._patterns = patterns
        self._cache = cache
        self._lock = threading.Lock()
        self._rules: IgnoreRules | None = None
        self._tree: Tree | None = None

    @property
    def rules(self) -> IgnoreRules:
        """The ignore rules, compiled.

        Raises:
            ContextError: a pattern is malformed.
        """
        if self._rules is None:
            from dissolver._core.tree import IgnoreRules

            try:
                self._rules = IgnoreRules(self._patterns)
            except CoreError as error:
                message = f"`{self._ignore.name}`: {error.message}"
                raise ContextError(message, hint=error.hint) from error
        return self._rules

    def load(self, vertex: OpenVertex) -> None:
        """List the context, and tell its size below ``vertex``.

        Raises:
            CoreFailure: a directory cannot be read.
        """
        with vertex, vertex.status("transferring context:") as status:
            tree = self.tree()
            # BuildKit tells 2 bytes where nothing had to be sent.
            status.reached(max(tree.total_bytes, 2))

    def tree(self) -> Tree:
        """Answer the listing, which is made by the first call."""
        with self._lock:
            if self._tree is None:
                self._tree = self._scan()
            return self._tree

    def again(self, stale: Tree) -> Tree:
        """Answer a newer listing than ``stale``, made by the first who asks for it."""
        with self._lock:
            if self._tree is stale or self._tree is None:
                self._tree = self._scan()
            return self._tree

    def _scan(self) -> Tree:
        from dissolver._core.tree import Tree

        rules = self.rules if self._patterns else None
        try:
            return Tree.scan(self.root, ignore=rules, stat_cache=self._cache)
        except CoreError as error:
            raise from_core(error) from error

    def explain_missing(self, source: str, where: Where) -> ContextError:
        """Say why ``source`` is not in the context, with the likeliest remedy."""
        inside = _rooted(source)
        if self._patterns and os.path.lexists(self.root / inside):
            return ContextError(
                f"`{source}` is excluded from the build context",
                where=where,
                hint=f"remove the pattern from `{self._ignore.name}` that matches it, "
                f"or add `!{inside}`",
            )
        if _climbs_out(source):
            return ContextError(
                f"`{source}` leads out of the build context",
                where=where,
                hint="only files below the context can be copied: move it there, "
                "or build with a directory further up",
            )
        return missing(source, where, "the build context", self._names_beside)

    def _names_beside(self, source: str) -> list[str]:
        """List what lies in the directory where ``source`` was looked for."""
        directory = PurePosixPath(_rooted(source)).parent
        try:
            with os.scandir(self.root / directory) as entries:
                names = [entry.name for entry in islice(entries, _NAMES_COMPARED)]
        except OSError:
            return []
        paths = (str(directory / name) for name in names)
        return [path for path in paths if not self.rules.excludes(os.fsencode(path))]


def missing(
    source: str, where: Where, origin: str, beside: Callable[[str], list[str]]
) -> ContextError:
    """Say that ``origin`` lacks ``source``, and suggest the name most like it."""
    from dissolver.dockerfile.suggest import did_you_mean

    hint = did_you_mean(_rooted(source), beside(source))
    if hint is None and source.startswith("/"):
        hint = f"a leading `/` stands for the top of {origin}"
    return ContextError(f"`{source}` is not in {origin}", where=where, hint=hint)


def _rooted(source: str) -> str:
    """Give ``source`` as COPY reads it: relative to the top, never above it."""
    return os.path.normpath("/" + source).lstrip("/")


def _climbs_out(source: str) -> bool:
    return os.path.normpath(source.lstrip("/")).startswith("..")
