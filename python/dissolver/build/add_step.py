"""ADD: files of the context, archives that are unpacked, URLs and git repositories.

All of them become one listing. What an archive holds is found out only when the layer has
to be made: its key is that of the archive itself, and of where it goes.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dissolver._core import CoreError
from dissolver.build.context import BuildContext
from dissolver.build.copy_step import (
    as_plain,
    documents,
    excluded,
    explain_failure,
    plan_transfer,
)
from dissolver.errors import BuildError, CoreFailure
from dissolver.plan.sources import GitSource, LocalSource, UrlSource
from dissolver.store.faults import explained

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from dissolver._core.copy import CopyPart
    from dissolver._core.layer import LayerInfo, View
    from dissolver._core.tree import IgnoreRules
    from dissolver.build.copy_step import CopyWork
    from dissolver.build.events import OpenVertex
    from dissolver.build.origins import Origin
    from dissolver.build.workbench import Workbench
    from dissolver.cache.inputs import CacheKey
    from dissolver.plan.steps import AddStep

Identity = tuple[int, int, int, int]
"""What shows that a file was changed: inode, size, and two times."""


@dataclass(frozen=True, slots=True)
class Archive:
    """An archive to unpack: a file of the context, or one in layers.

    ``part`` is the file itself, as it would be copied, ``name`` what it is called where it
    comes from, ``path`` where it can be read.
    """

    part: CopyPart
    name: str
    path: str
    identity: Identity | None = None
    view: View | None = None


@dataclass(frozen=True, slots=True)
class AddWork:
    """An ADD with archives: its key, and what to unpack for its layer."""

    kind: str
    key: CacheKey
    step: AddStep
    parts: tuple[CopyPart | Archive, ...]
    parents: tuple[str, ...]
    mtime_ns: int

    def make(self, bench: Workbench, vertex: OpenVertex) -> LayerInfo:
        """Unpack, and write the layer.

        Raises:
            BuildError: an archive is broken, or would write outside of its root.
            CoreFailure: a file changed since it was listed (``changed-while-read``).
            DiskFull: no space is left.
        """
        with ExitStack() as stack:
            parts = []
            for part in self.parts:
                if isinstance(part, Archive):
                    with vertex.status(f"unpacking {os.path.basename(part.name)}"):  # noqa: PTH119
                        parts.append(self._unpacked(bench, part, stack))
                else:
                    parts.append(part)
            try:
                plan = plan_transfer(
                    bench,
                    self.step,
                    self.parents,
                    parts,
                    self.mtime_ns,
                    destination=as_directory(self.step.destination),
                )
            except CoreError as error:
                raise explain_failure(error, self.step, None) from error
            with explained("store the layer"):
                return plan.write(bench.store.layers)

    def _unpacked(self, bench: Workbench, archive: Archive, stack: ExitStack) -> CopyPart:
        from dissolver._core.copy import CopyPart
        from dissolver._core.layer import Layers

        # In a store of its own, which goes with the step: nothing else needs this layer.
        directory = stack.enter_context(bench.store.workspace())
        layers = Layers(directory, userxattr=False)
        with explained("unpack the archive"):
            try:
                with _opened(archive.path, archive.view, directory) as descriptor:
                    info = layers.ingest(descriptor)
            except CoreError as error:
                if error.kind == "io":
                    raise
                raise BuildError(
                    f"cannot unpack `{archive.name.lstrip('/')}`: {error.message}",
                    hint=error.hint or "`--unpack=false` copies the archive as it is",
                    where=self.step.where,
                ) from error
        if archive.identity is not None and archive.identity != _identity(archive.path):
            raise CoreFailure(
                f"`{archive.name.lstrip('/')}` changed while it was read",
                kind="changed-while-read",
                path=os.fsencode(archive.path),
            )
        return CopyPart(layers.view([info.diff_id]), ["/"], keeps_owner=True, is_verbatim=True)


def plan_add(
    bench: Workbench,
    step: AddStep,
    parents: Sequence[str],
    mtime_ns: int,
    place: str,
    vertex: OpenVertex,
    scratch: ExitStack,
) -> AddWork | CopyWork:
    """List what ``step``, at ``place`` in its build, puts where, and derive its key.

    URLs and repositories are fetched for this, if they are not known.

    Raises:
        ContextError: a source is not there.
        BuildError: something cannot be fetched, an owner is unknown, or source and
            destination do not fit.
    """
    from dissolver.build.copy_step import CopyWork
    from dissolver.cache.keys import add_key, copy_key

    origin: Origin | None = None
    if any(isinstance(source, LocalSource) for source in step.sources):
        origin = bench.context.origin()
    try:
        rules = excluded(step)
        parts: list[CopyPart | Archive] = []
        for source in step.sources:
            if isinstance(source, LocalSource) and origin is not None:
                parts += _local(bench, source, origin, rules)
            elif isinstance(source, UrlSource):
                parts += _behind_url(bench, step, source, vertex)
            elif isinstance(source, GitSource):
                parts.append(_repository(bench, step, source, rules, vertex))
        parts += documents(bench, step, mtime_ns, scratch)
        archives = [part for part in parts if isinstance(part, Archive)]
        plain = [_as_file(part) for part in parts]
        destination = as_directory(step.destination) if archives else step.destination
        plan = plan_transfer(bench, step, parents, plain, mtime_ns, destination=destination)
        if archives:
            sources = tuple(_sources(bench, step, parents, parts, mtime_ns))
            key = add_key(plan.digest(), len(archives), sources, plan.packed_inputs)
            return AddWork("add", key, step, tuple(parts), tuple(parents), mtime_ns)
        predecessor = bench.predecessors.of(place, step.destination)
        plan.prepare(bench.store.layers, predecessor=predecessor)
        key = copy_key(step, plan.digest(), plan.packed_inputs)
        return CopyWork("copy", key, plan, predecessor)
    except CoreError as error:
        raise explain_failure(error, step, origin) from error


def _as_file(part: CopyPart | Archive) -> CopyPart:
    return part.part if isinstance(part, Archive) else part


def _sources(
    bench: Workbench,
    step: AddStep,
    parents: Sequence[str],
    parts: Sequence[CopyPart | Archive],
    mtime_ns: int,
) -> Iterator[str]:
    """Describe each source by itself, in their order: what is unpacked later lies on top.

    The listing of all of them says neither which came first, nor what is in an archive whose
    name a later one has as well. A single source it describes in full.
    """
    if len(parts) == 1:
        return
    destination = as_directory(step.destination)
    for part in parts:
        plan = plan_transfer(
            bench, step, parents, [_as_file(part)], mtime_ns, destination=destination
        )
        how = "unpacked" if isinstance(part, Archive) else "copied"
        yield f"{how} {plan.digest()}"


def as_directory(destination: str) -> str:
    """Write a destination such that it can only be a directory: what archives go into."""
    return destination.rstrip("/") + "/"


def _local(
    bench: Workbench, source: LocalSource, origin: Origin, rules: IgnoreRules | None
) -> list[CopyPart | Archive]:
    """Find the archives among what a source selects."""
    from dissolver._core.copy import CopyPart

    keeps_owner = origin.keeps_owner
    whole = CopyPart(origin.entries, [source.path], keeps_owner=keeps_owner, excludes=rules)
    if not source.unpacks:
        return [whole]
    parts: list[CopyPart | Archive] = []
    for path, kind in whole.selected():
        name = "/" + os.fsdecode(path)
        part = CopyPart(origin.entries, [as_plain(name)], keeps_owner=keeps_owner, excludes=rules)
        archive = _as_archive(bench, part, name) if kind == "file" else None
        parts.append(archive or part)
    # What is no archive is copied under the name it was asked for by, links and all.
    return parts if any(isinstance(part, Archive) for part in parts) else [whole]


def _as_archive(bench: Workbench, part: CopyPart, name: str) -> Archive | None:
    """Look into a file of the context; nothing if it is no archive."""
    if isinstance(bench.context, BuildContext):
        host = bench.context.path_on_host(name)
        return Archive(part, name, host, _identity(host)) if _holds_archive(host) else None
    view = bench.context.view
    return Archive(part, name, name, view=view) if _view_holds_archive(view, name) else None


def _holds_archive(path: str) -> bool:
    from dissolver._core.compress import is_archive

    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False  # Reading it for its digest says what is wrong.
    try:
        return is_archive(descriptor)
    finally:
        os.close(descriptor)


def _identity(path: str) -> Identity:
    with explained("read the archive"):
        found = os.lstat(path)
    return (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


@contextmanager
def _opened(path: str, view: View | None, directory: Path) -> Iterator[int]:
    """Open a file for reading; one in layers is written below ``directory`` first."""
    with explained("read the archive"):
        if view is None:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        else:
            place = directory / "archive"
            descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if view is not None:
            with explained("read the archive"):
                view.write(path, descriptor)
                os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)


def _behind_url(
    bench: Workbench, step: AddStep, source: UrlSource, vertex: OpenVertex
) -> Iterator[CopyPart | Archive]:
    from dissolver._core.copy import CopyPart

    with _placed(step):
        file = bench.fetcher.url(
            source.url,
            source.file_name,
            checksum=source.checksum,
            vertex=vertex,
            build=bench.identity,
        )
    view = bench.store.layers.view([file.layer])
    part = CopyPart(view, [f"/{as_plain(file.name)}"], keeps_owner=False)
    path = f"/{file.name}"
    if source.unpacks and _view_holds_archive(view, path):
        yield Archive(part, file.name, path, view=view)
    else:
        yield part


def _view_holds_archive(view: View, path: str) -> bool:
    with explained("read the archive"):
        return view.is_archive(path)


def _repository(
    bench: Workbench,
    step: AddStep,
    source: GitSource,
    rules: IgnoreRules | None,
    vertex: OpenVertex,
) -> CopyPart:
    from dissolver._core.copy import CopyPart

    with _placed(step):
        layer = bench.fetcher.git(
            source.reference,
            checksum=source.checksum,
            keeps_git_directory=source.keeps_git_directory,
            vertex=vertex,
            build=bench.identity,
        )
    view = bench.store.layers.view([layer])
    return CopyPart(view, ["/"], keeps_owner=False, excludes=rules)


@contextmanager
def _placed(step: AddStep) -> Iterator[None]:
    """Give failures to fetch the place of the step."""
    try:
        yield
    except BuildError as error:
        if error.where is None:
            error.where = step.where
        raise
