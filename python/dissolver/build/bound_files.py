"""``RUN --mount=type=bind``, and what caches start with: files of an origin in a step.

Files of layers are mounted where they are. Those of a context become a layer first, as
COPY would make it: the step sees what the ignore rules leave, as root's, and nothing
that anybody does to the context while it runs. That layer is no part of any image. It
is kept under a record, like a step's result, so the next build writes what changed.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from dissolver._core import CoreError
from dissolver.build.copy_step import as_plain
from dissolver.errors import ContextError, from_core
from dissolver.store.faults import explained

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dissolver._core.copy import CopyPlan
    from dissolver._core.layer import View
    from dissolver.build.origins import Origin
    from dissolver.build.workbench import Workbench
    from dissolver.errors import Where
    from dissolver.sandbox.spec import LayersMount

PLACE = "/files"
"""Where the files of a context lie in the layer that is made of them."""


@dataclass(frozen=True, slots=True)
class BoundFiles:
    """Files that a step sees at ``source`` of ``origin``; ``digest`` says what they are.

    ``place`` is where in its build the step is, and which of its mounts this is.
    """

    origin: Origin
    source: str
    plan: CopyPlan
    digest: str
    place: str
    predecessor: str | None

    def inputs(self) -> Iterator[tuple[str, str]]:
        """Name the files one by one, to explain a difference."""
        for name, value in self.plan.inputs():
            if name.startswith(("context/", "from/")):
                yield name, value

    def layers(self, bench: Workbench) -> tuple[tuple[str, ...], str]:
        """Return the layers that hold the files, and the path of the files in them.

        Raises:
            CoreFailure: a file changed since it was listed (``changed-while-read``).
            DiskFull: no space is left.
        """
        if self.origin.layers is not None:
            return self.origin.layers, self.source
        return (self.stored(bench),), PLACE

    def stored(self, bench: Workbench) -> str:
        """Make the files a layer of their own, at ``PLACE``, if that was not done before.

        Raises:
            CoreFailure: a file changed since it was listed (``changed-while-read``).
            DiskFull: no space is left.
        """
        from dissolver.cache.keys import bind_key
        from dissolver.store.records import StepRecord

        key = bind_key(self.digest, self.plan.packed_inputs)
        records = bench.store.records
        # `--no-cache` is about what steps do; these are the same bytes by their digest.
        found = records.find(key.digest)
        if found is not None:
            records.use(key.digest, bench.identity, self.place)
            return found.diff_id
        with explained("store the files to mount"):
            layer = self.plan.write(bench.store.layers, predecessor=self.predecessor)
        record = StepRecord(
            key=key.digest,
            kind="bind",
            diff_id=layer.diff_id,
            created_ns=time.time_ns(),
            build=bench.identity,
            step=self.place,
            inputs=key.inputs,
        )
        records.put(record)
        return layer.diff_id


def plan_files(
    bench: Workbench, origin: Origin, source: str, where: Where, place: str
) -> BoundFiles:
    """List the file or directory ``source`` of ``origin``, and digest what it holds.

    Raises:
        ContextError: it is not there.
    """
    from dissolver._core.copy import CopyPlan

    try:
        plan = CopyPlan.for_copy(
            bench.store.layers.view([]),
            origin.entries,
            # A mount names one thing; nothing in its name is a pattern.
            [as_plain(source)],
            PLACE,
            owner=None,
            keeps_owner=origin.keeps_owner,
            mode=None,
            new_directory_mtime=0,
        )
        predecessor = None
        if origin.layers is None:
            before = bench.store.records.latest_like(bench.identity, place)
            predecessor = None if before is None else before.diff_id
            plan.prepare(bench.store.layers, predecessor=predecessor)
        return BoundFiles(origin, source, plan, plan.digest(), place, predecessor)
    except CoreError as error:
        if error.kind == "not-found":
            raise origin.explain_missing(source, where) from error
        raise from_core(error) from error


def mount_files(
    bench: Workbench, files: BoundFiles, target: str, directory: Path, *, is_read_only: bool
) -> LayersMount:
    """Mount files at ``target``; what is written to them ends up in ``directory``, if anywhere."""
    from dissolver.sandbox import rootfs, rootless
    from dissolver.sandbox.spec import LayersMount, Rootfs

    layers, source = files.layers(bench)
    with explained("read the files to mount"):
        view = bench.store.layers.view(layers)
        lowers = rootfs.lowers(bench.store.layers, list(layers))
    for name in ("mountpoint", "upper", "work"):
        (directory / name).mkdir(parents=True)
    stack = Rootfs(
        lowers=lowers,
        upper=None if is_read_only else str(directory / "upper"),
        work=None if is_read_only else str(directory / "work"),
        mountpoint=str(directory / "mountpoint"),
        userxattr=rootless.is_rootless(),
        volatile=True,
    )
    return LayersMount(stack, source, target, is_read_only, _kind(view, source))


def seed_directory(bench: Workbench, files: BoundFiles, directory: Path) -> None:
    """Fill an empty directory with the directory ``files``: owners, modes and times as there.

    Raises:
        ContextError: the source is a file.
    """
    import os

    layer = files.stored(bench)
    with explained("fill the cache mount"), bench.store.workspace() as workspace:
        bench.store.layers.extract([layer], workspace / "whole")
        made = workspace / "whole" / PLACE.lstrip("/")
        if not made.is_dir():
            raise ContextError(f"`{files.source}` is no directory, which a cache has to be")
        if files.origin.layers is not None:
            view = bench.store.layers.view(files.origin.layers)
            top = view.stat(files.source)
            if top is not None:
                os.chown(made, top.uid, top.gid)
                made.chmod(top.mode)
        made.rename(directory)


def _kind(view: View, source: str) -> Literal["directory", "file"]:
    found = view.stat(source)
    return "file" if found is not None and found.kind != "directory" else "directory"
