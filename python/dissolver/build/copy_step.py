"""COPY and WORKDIR: layers made of listings, without mounting anything."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dissolver._core import CoreError
from dissolver.build.ownership import resolve_owner
from dissolver.cache.keys import copy_key, workdir_key
from dissolver.errors import BuildError, from_core
from dissolver.plan.modes import ModeProgram
from dissolver.store.faults import explained

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import ExitStack

    from dissolver._core.copy import CopyPart, CopyPlan
    from dissolver._core.layer import LayerInfo, View
    from dissolver._core.tree import IgnoreRules
    from dissolver.build.events import OpenVertex
    from dissolver.build.origins import Origin
    from dissolver.build.workbench import Workbench
    from dissolver.cache.inputs import CacheKey
    from dissolver.plan.modes import FileMode
    from dissolver.plan.steps import CopyStep, TransferStep, WorkdirStep

NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class CopyWork:
    """A COPY or WORKDIR step whose layer is planned: its key, and how to make it."""

    kind: str
    key: CacheKey
    plan: CopyPlan
    predecessor: str | None = None

    def make(self, bench: Workbench, vertex: OpenVertex) -> LayerInfo:
        """Write the planned layer into the store.

        Raises:
            CoreFailure: a file changed since it was listed (``changed-while-read``).
            DiskFull: no space is left.
        """
        del vertex
        with explained("store the layer"):
            return self.plan.write(bench.store.layers, predecessor=self.predecessor)


def plan_copy(
    bench: Workbench,
    step: CopyStep,
    parents: Sequence[str],
    origin: Origin,
    mtime_ns: int,
    place: str,
    scratch: ExitStack,
) -> CopyWork:
    """List what ``step``, at ``place`` in its build, puts where, and derive its key.

    This reads the contents of what is selected, except those that the stat cache
    knows. A step that was never done before writes them to the store while it is at
    it; one that was shares with its last layer what did not change. Directories that
    have to be made get ``mtime_ns`` as their time, which comes from the base image: a
    time from the clock would make two builds of the same files differ. What is needed
    until the layer is written is left to ``scratch``.

    Raises:
        ContextError: a source is not there.
        BuildError: an owner is unknown, or source and destination do not fit.
    """
    from dissolver._core.copy import CopyPart

    try:
        parts = [
            CopyPart(
                origin.entries,
                step.sources,
                keeps_owner=origin.keeps_owner,
                pivots=step.pivots or None,
                excludes=excluded(step),
            ),
            *documents(bench, step, mtime_ns, scratch),
        ]
        plan = plan_transfer(bench, step, parents, parts, mtime_ns)
        predecessor = bench.predecessors.of(place, step.destination)
        plan.prepare(bench.store.layers, predecessor=predecessor)
        key = copy_key(step, plan.digest(), plan.packed_inputs)
        return CopyWork("copy", key, plan, predecessor)
    except CoreError as error:
        raise explain_failure(error, step, origin) from error


def plan_transfer(
    bench: Workbench,
    step: TransferStep,
    parents: Sequence[str],
    parts: Sequence[CopyPart],
    mtime_ns: int,
    *,
    destination: str | None = None,
) -> CopyPlan:
    """List what ``parts`` put where, with the owner and the mode that ``step`` asks for.

    Raises:
        CoreError: a source is not there, or does not fit what is at its destination.
        BuildError: an owner is unknown.
    """
    from dissolver._core.copy import CopyPlan

    # As for BuildKit, a linked copy that changes modes is an ordinary one.
    is_linked = step.link and step.chmod is None
    view = _view(bench, () if is_linked else parents)
    owner = None if step.chown is None else resolve_owner(step.chown, view, step.where)
    return CopyPlan.for_parts(
        view,
        parts,
        destination or step.destination,
        owner=owner,
        mode=_mode(step.chmod),
        new_directory_mtime=mtime_ns,
    )


def _mode(mode: FileMode | None) -> int | list[tuple[str, str, str]] | None:
    if isinstance(mode, ModeProgram):
        return [(clause.who, clause.operator, clause.bits) for clause in mode.clauses]
    return mode


def excluded(step: TransferStep) -> IgnoreRules | None:
    """Compile what ``--exclude`` says.

    Raises:
        BuildError: a pattern is malformed.
    """
    from dissolver._core.tree import IgnoreRules

    if not step.excludes:
        return None
    try:
        return IgnoreRules(step.excludes)
    except CoreError as error:
        raise BuildError(error.message, hint=error.hint, where=step.where) from error


def documents(
    bench: Workbench, step: TransferStep, mtime_ns: int, scratch: ExitStack
) -> list[CopyPart]:
    """Make files of what the Dockerfile itself holds, which ``scratch`` takes away."""
    import os

    from dissolver._core.copy import CopyPart
    from dissolver._core.tree import Tree

    if not step.documents:
        return []
    directory = scratch.enter_context(bench.store.workspace())
    for document in step.documents:
        path = directory / document.path
        with explained("write a document of the Dockerfile"):
            path.write_bytes(document.content.encode("utf-8", "surrogateescape"))
            path.chmod(document.mode)
            os.utime(path, ns=(mtime_ns, mtime_ns))
    names = [f"/{as_plain(document.path)}" for document in step.documents]
    return [CopyPart(Tree.scan(directory), names, keeps_owner=False)]


_SPECIAL = re.compile(r"[*?\[\]\\]")


def as_plain(path: str) -> str:
    """Write a path so that nothing in it is taken for a pattern."""
    return _SPECIAL.sub(r"\\\g<0>", path)


def plan_workdir(
    bench: Workbench, step: WorkdirStep, parents: Sequence[str], mtime_ns: int
) -> CopyWork:
    """Plan the directory that ``step`` makes sure of; an empty layer if it is there.

    Raises:
        BuildError: the user is unknown, or something that is no directory is in the way.
    """
    from dissolver._core.copy import CopyPlan

    view = _view(bench, parents)
    uid, gid = resolve_owner(step.user, view, step.where)
    try:
        plan = CopyPlan.for_directory(
            view, step.path, uid=uid, gid=gid, new_directory_mtime=mtime_ns
        )
        return CopyWork("workdir", workdir_key(step, plan.digest(), plan.packed_inputs), plan)
    except CoreError as error:
        raise BuildError(error.message, hint=error.hint, where=step.where) from error


def _view(bench: Workbench, diff_ids: Sequence[str]) -> View:
    with explained("read the layers"):
        return bench.store.layers.view(diff_ids)


def explain_failure(error: CoreError, step: TransferStep, origin: Origin | None) -> Exception:
    """Say why a copy cannot be made as it was asked, with its place."""
    if error.kind == "not-found" and error.path is not None and origin is not None:
        return origin.explain_missing(error.path.decode("utf-8", "replace"), step.where)
    if error.kind == "changed-while-read":
        return from_core(error)
    failure = from_core(error)
    failure.where = step.where
    return failure
