"""The files that a build may copy: listed once, when a step first needs them."""

from __future__ import annotations

import os
import re
import threading
from contextlib import suppress
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from dissolver._core import CoreError
from dissolver.dockerfile.ignore import clean_path
from dissolver.errors import ContextError, DissolverError, Where, from_core

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dissolver._core.tree import IgnoreRules, Tree
    from dissolver.build.definition import IgnoreFile
    from dissolver.build.events import OpenVertex
    from dissolver.build.origins import Origin
    from dissolver.plan.checks.subject import Listing
    from dissolver.store import Store

# A directory of a context may hold a hundred thousand names; comparing a
# misspelt one with each of them is not worth more than a blink.
_NAMES_COMPARED = 5_000

# What a source may look like in an instruction, JSON or not.
_WORD = re.compile(r"[^\s\"',\[\]]+")


TITLE = "the build context"
"""What messages call the context that a build was given as its own."""


class BuildContext:
    """The directory a build copies from, without what the ignore rules exclude.

    The listing is made once and shared by all steps, so they agree about what
    the context holds. Contents are read when a step's key is derived. ``title`` is what
    messages call it. Where ``store`` lies in the directory it is no part of the context:
    the build itself changes it all the time.
    """

    may_change = True

    def __init__(
        self,
        root: Path,
        ignore: IgnoreFile,
        patterns: Sequence[str],
        store: Store,
        title: str = TITLE,
    ) -> None:
        self.root = root
        self._title = title
        self._ignore = ignore
        self._patterns = patterns
        self._cache = store.stat_cache(root)
        self._store = _inside(store.root, root)
        self._lock = threading.Lock()
        self._rules: IgnoreRules | None = None
        self._tree: Tree | None = None

    @property
    def patterns(self) -> tuple[str, ...]:
        """The patterns of the ignore file, in order."""
        return tuple(self._patterns)

    @property
    def ignore_name(self) -> str:
        """What to call the ignore file in messages."""
        return self._ignore.name

    @property
    def rules(self) -> IgnoreRules:
        """The ignore rules, compiled.

        Raises:
            ContextError: a pattern is malformed.
        """
        if self._rules is None:
            from dissolver._core.tree import IgnoreRules
            from dissolver.build.copy_step import as_plain

            own = () if self._store is None else (as_plain(self._store),)
            try:
                self._rules = IgnoreRules([*self._patterns, *own])
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

    def begin(self) -> None:
        """Begin to list the context beside what the caller does next.

        Whoever asks for the listing waits for it, or hears why there is none.
        """
        import atexit

        def list_it() -> None:
            try:
                with suppress(DissolverError):
                    self.tree()
            finally:
                atexit.unregister(thread.join)

        thread = threading.Thread(target=list_it, name="context", daemon=True)
        # The interpreter must not be taken apart under a thread that comes back from the core.
        atexit.register(thread.join)
        thread.start()

    @property
    def identity(self) -> str:
        """What names the context from build to build."""
        return os.fspath(self.root)

    def origin(self) -> Origin:
        """Take files from it; they become root's unless told otherwise."""
        from dissolver.build.origins import Origin

        return Origin(self.tree(), False, self.explain_missing)

    def listing(self) -> Listing:
        """Look at the names at its top, for checks."""
        from dissolver.build.inquiry import listing_of

        return listing_of(self.root, self.patterns, self.ignore_name)

    def path_on_host(self, path: str) -> str:
        """Tell where a file of it lies on this machine."""
        return os.fspath(self.root / path.lstrip("/"))

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

        rules = self.rules if self._patterns or self._store else None
        try:
            return Tree.scan(self.root, ignore=rules, stat_cache=self._cache)
        except CoreError as error:
            raise from_core(error) from error

    def explain_missing(self, source: str, where: Where) -> ContextError:
        """Say why ``source`` is not in the context, with the likeliest remedy.

        ``source`` is rooted at the context, as COPY reads it; the message quotes it as
        the Dockerfile has it.
        """
        inside = source.lstrip("/")
        written, place = as_written(source, where)
        if self._store and PurePosixPath(inside).is_relative_to(self._store):
            return ContextError(
                f"`{written}` belongs to the store, which is no part of {self._title}",
                where=place,
                hint="`dissolver layer cat` and `dissolver save` read what is in the store",
            )
        if self._patterns and os.path.lexists(self.root / inside):
            return ContextError(
                f"`{written}` is excluded from {self._title}",
                where=place,
                hint=f"remove the pattern from `{self._ignore.name}` that matches it, "
                f"or add `!{inside}`",
            )
        if _climbs_out(written):
            return ContextError(
                f"`{written}` leads out of {self._title}",
                where=place,
                hint="only files below the context can be copied: move it there, "
                "or build with a directory further up",
            )
        return missing(source, where, self._title, self._names_beside)

    def _names_beside(self, source: str) -> list[str]:
        """List what lies in the directory where ``source`` was looked for."""
        directory = PurePosixPath(source.lstrip("/")).parent
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

    written, place = as_written(source, where)
    hint = did_you_mean(source.lstrip("/"), beside(source))
    if hint is None and written.startswith("/"):
        hint = f"a leading `/` stands for the top of {origin}"
    return ContextError(f"`{written}` is not in {origin}", where=place, hint=hint)


def as_written(source: str, where: Where) -> tuple[str, Where]:
    """Find the word of an instruction that means ``source``, and its exact place.

    Where no word reads like it, such as with a variable, it is given as it is.
    """
    for number, line in enumerate(where.source, start=where.line):
        for word in _WORD.finditer(line):
            if clean_path(f"/{word[0]}") == source:
                place = Where(where.file, number, number, (line,), word.start(), len(word[0]))
                return word[0], place
    return source.lstrip("/"), where


def _inside(store: Path, root: Path) -> str | None:
    """Tell where in the directory ``root`` the store is, if it is there."""
    inside = os.path.relpath(os.path.realpath(store), os.path.realpath(root))
    return None if inside == "." or inside.split("/", 1)[0] == ".." else inside


def _climbs_out(written: str) -> bool:
    return clean_path(written.lstrip("/")).startswith("..")
