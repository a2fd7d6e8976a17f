"""What a step has to do with shared caches: its shortcut, and what they are told of it."""

from __future__ import annotations

from functools import cached_property, partial
from typing import TYPE_CHECKING

from dissolver.build.shortcuts import shortcut_of
from dissolver.build.supply import found_at
from dissolver.cache.shared.exporting import Finished

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dissolver.build.origins import Origins
    from dissolver.build.sharing import Sharing
    from dissolver.build.workbench import Workbench
    from dissolver.cache.inputs import CacheKey
    from dissolver.cache.shared.document import SharedRecord
    from dissolver.cache.shared.importing import ImportedCache
    from dissolver.image.platform import Platform
    from dissolver.plan.steps import Step
    from dissolver.store.records import StepRecord


class SharedStep:
    """A step in a build that names shared caches.

    ``order`` is its place in the whole build, ``place`` that in its own stage. ``derive``
    makes its shortcut, which is not done before somebody wants it: by then the files of a
    context have been read for the step itself, unless the layers below are not here.
    """

    def __init__(
        self,
        bench: Workbench,
        sharing: Sharing,
        *,
        order: tuple[int, int],
        place: str,
        derive: Callable[[], str],
    ) -> None:
        self.bench = bench
        self.sharing = sharing
        self.order = order
        self.place = place
        self._derive = derive

    @cached_property
    def shortcut(self) -> str:
        """What the step's result is found by before the layers that it reads are here."""
        return self._derive()

    def early(self) -> StepRecord | None:
        """Find the step's result without the layers that it reads; nothing if there is none."""
        bench = self.bench
        if not self.shortcut:
            return None
        found = self.sharing.look(self.shortcut)
        if found is not None:
            cache, record = found
            here = cache.step_record(record, self.shortcut)
            self._offer(here, cache, record)
            self._tell(here, cache=cache, claimed=record)
            return here
        known = bench.store.records.find(self.shortcut, self.sharing.depots)
        if known is not None:
            bench.store.records.use(known.key, bench.identity, self.place)
            self._tell(known)
        return known

    def found(self, record: StepRecord, key: CacheKey) -> None:
        """Take note that a shared cache has the result of the step with this key."""
        found = self.sharing.look(key.digest)
        if found is not None:
            self._offer(record, found[0], found[1], key)
            self._tell(record, key=key, cache=found[0], claimed=found[1])

    def missed(self, key: CacheKey, reason: str) -> None:
        """Take note that the step with this key has to be done, and why."""
        self.sharing.missed[self.order, key.digest] = reason

    def reason(self, key: CacheKey) -> str | None:
        """Tell why the step was done in this build, before that began anew; nothing if it was not.

        That its own result answers it then does not make it a cached one.
        """
        return self.sharing.missed.get((self.order, key.digest))

    def done(self, record: StepRecord, key: CacheKey) -> None:
        """Tell those who want to know of a result that is in the store."""
        self._tell(record, key=key)

    def _offer(
        self,
        record: StepRecord,
        cache: ImportedCache,
        claimed: SharedRecord,
        key: CacheKey | None = None,
    ) -> None:
        here = found_at(record, self.bench.identity, self.place, key)
        self.bench.supply.offer(here, cache, cache.blob(claimed))

    def _tell(
        self,
        record: StepRecord,
        *,
        key: CacheKey | None = None,
        cache: ImportedCache | None = None,
        claimed: SharedRecord | None = None,
    ) -> None:
        sharing = self.sharing
        if not sharing.is_told:
            return
        is_known = cache is not None and claimed is not None
        sharing.tell(
            Finished(
                order=self.order,
                in_result=sharing.is_in_result(self.order[0]),
                kind=record.kind,
                layer=record.diff_id,
                created_ns=record.created_ns,
                place=self.place,
                inputs=record.inputs if key is None else key.inputs,
                key="" if key is None else key.digest,
                shortcut=self.shortcut,
                claimed_by=cache.name if cache is not None and is_known else "",
                claimed_key=claimed.key if claimed is not None else "",
                blob=cache.blob(claimed) if cache is not None and claimed is not None else None,
            )
        )


def share(
    bench: Workbench,
    sharing: Sharing,
    step: Step,
    parents: Sequence[str],
    origins: Origins,
    platform: Platform,
    *,
    order: tuple[int, int],
    place: str,
) -> SharedStep:
    """Prepare a step of a build that names shared caches; nothing is asked or derived yet."""
    derive = partial(shortcut_of, bench, step, parents, origins, place, platform)
    return SharedStep(bench, sharing, order=order, place=place, derive=derive)
