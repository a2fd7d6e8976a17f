"""COPY and WORKDIR: layers made of listings, without mounting anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dissolver._core import CoreError
from dissolver.build.ownership import resolve_owner
from dissolver.errors import BuildError, RunError, from_core
from dissolver.plan.modes import ModeProgram
from dissolver.store.faults import explained

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dissolver._core.layer import CopyPlan, LayerInfo, View
    from dissolver.build.events import OpenVertex
    from dissolver.build.origins import Origin
    from dissolver.build.workbench import Workbench
    from dissolver.cache.inputs import CacheKey
    from dissolver.plan.steps import CopyStep, WorkdirStep

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
) -> CopyWork:
    """List what ``step``, at ``place`` in its build, puts where, and derive its key.

    This reads the contents of what is selected, except those that the stat cache
    knows. A step that was never done before writes them to the store while it is at
    it; one that was shares with its last layer what did not change. Directories that
    have to be made get ``mtime_ns`` as their time, which comes from the base image: a
    time from the clock would make two builds of the same files differ.

    Raises:
        ContextError: a source is not there.
        BuildError: an owner is unknown, or source and destination do not fit.
    """
    from dissolver._core.layer import CopyPlan
    from dissolver.cache.keys import copy_key

    view = _view(bench, parents)
    owner = None if step.chown is None else resolve_owner(step.chown, view, step.where)
    if isinstance(step.chmod, ModeProgram):
        raise TypeError(f"nothing carries out the mode `{step.chmod.text}`")
    try:
        plan = CopyPlan.for_copy(
            view,
            origin.entries,
            list(step.sources),
            step.destination,
            owner=owner,
            keeps_owner=origin.keeps_owner,
            mode=step.chmod,
            new_directory_mtime=mtime_ns,
        )
        predecessor = bench.predecessors.of(place, step.destination)
        plan.prepare(bench.store.layers, predecessor=predecessor)
        key = copy_key(step, plan.digest(), plan.packed_inputs)
        return CopyWork("copy", key, plan, predecessor)
    except CoreError as error:
        raise _explained(error, step, origin) from error


def plan_workdir(
    bench: Workbench, step: WorkdirStep, parents: Sequence[str], mtime_ns: int
) -> CopyWork:
    """Plan the directory that ``step`` makes sure of; an empty layer if it is there.

    Raises:
        BuildError: the user is unknown, or something that is no directory is in the way.
    """
    from dissolver._core.layer import CopyPlan
    from dissolver.cache.keys import workdir_key
    from dissolver.runtime.users import resolve_user

    view = _view(bench, parents)
    try:
        user = resolve_user(step.user, view)
        plan = CopyPlan.for_directory(
            view, step.path, uid=user.uid, gid=user.gid, new_directory_mtime=mtime_ns
        )
        return CopyWork("workdir", workdir_key(step, plan.digest(), plan.packed_inputs), plan)
    except RunError as error:
        raise BuildError(error.message, hint=error.hint, where=step.where) from error
    except CoreError as error:
        raise BuildError(error.message, hint=error.hint, where=step.where) from error


def _view(bench: Workbench, diff_ids: Sequence[str]) -> View:
    with explained("read the layers"):
        return bench.store.layers.view(diff_ids)


def _explained(error: CoreError, step: CopyStep, origin: Origin) -> Exception:
    if error.kind == "not-found" and error.path is not None:
        return origin.explain_missing(error.path.decode("utf-8", "replace"), step.where)
    if error.kind == "changed-while-read":
        return from_core(error)
    failure = from_core(error)
    failure.where = step.where
    return failure
