"""Where steps take files from: the context, stages, images and named contexts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dissolver._core import CoreError
from dissolver.build.bases import Sought
from dissolver.build.context import BuildContext, missing
from dissolver.plan.mounts import origin_of
from dissolver.plan.origins import EmptyOrigin, NamedContext
from dissolver.plan.sources import LocalSource
from dissolver.plan.steps import AddStep, CopyStep, RunStep
from dissolver.store.faults import explained

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from dissolver._core.layer import View
    from dissolver._core.tree import Tree
    from dissolver.build.scheduler import Results
    from dissolver.build.stage import StageResult
    from dissolver.build.workbench import Workbench
    from dissolver.errors import Where
    from dissolver.image.platform import Platform
    from dissolver.image.reference import Reference
    from dissolver.plan import origins
    from dissolver.plan.steps import Step
    from dissolver.store import Store


@dataclass(frozen=True, slots=True)
class Origin:
    """Where files are taken from, and how to explain that one is not there.

    ``layers`` are those that ``entries`` shows, bottom first; ``None`` for files of a
    directory.
    """

    entries: Tree | View
    keeps_owner: bool
    explain_missing: Callable[[str, Where], Exception]
    layers: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Layered:
    """A stage's result or an image: what messages call it, and its layers, bottom first."""

    name: str
    diff_ids: tuple[str, ...]


class Origins:
    """The origins of one step.

    What lies in layers is known once and for all; directories are listed again where
    a file turned out to be another one than was listed.
    """

    def __init__(
        self,
        bench: Workbench,
        layers: Mapping[origins.Origin, Layered],
        names: Sequence[origins.Origin],
    ) -> None:
        self._bench = bench
        self._layers = layers
        contexts = [bench.context_of(name) for name in names if name not in layers]
        self._contexts = [context for context in contexts if context.may_change]

    def find(self, name: origins.Origin) -> Origin:
        """Give the origin with this name; its layers have to be in the store."""
        layered = self._layers.get(name)
        if layered is not None:
            return layers_origin(self._bench.store, layered.diff_ids, layered.name)
        return self._bench.context_of(name).origin()

    def layers_of(self, name: origins.Origin) -> tuple[str, ...] | None:
        """List the layers of an origin, in the store or not; nothing for a context."""
        layered = self._layers.get(name)
        return None if layered is None else layered.diff_ids

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers of all origins that are stages or images."""
        return tuple(diff_id for one in self._layers.values() for diff_id in one.diff_ids)

    @property
    def reads_directories(self) -> bool:
        """Whether the step takes files that somebody may change meanwhile."""
        return bool(self._contexts)

    def seen(self) -> list[tuple[BuildContext, Tree]]:
        """List the directories as they are known now."""
        directories = [each for each in self._contexts if isinstance(each, BuildContext)]
        return [(context, context.tree()) for context in directories]


def take_origins(
    bench: Workbench, step: Step, platform: Platform, results: Results[StageResult]
) -> Origins:
    """Find the origins of ``step``, waiting for the stages among them; images for ``platform``."""
    names = list(dict.fromkeys(origins_of(step)))
    layers: dict[origins.Origin, Layered] = {
        name: _in_layers(bench, name, platform, results)
        for name in names
        if name is not None and not isinstance(name, NamedContext)
    }
    return Origins(bench, layers, names)


def origins_of(step: Step) -> Iterator[origins.Origin]:
    """List where a step takes files from."""
    if isinstance(step, CopyStep):
        yield step.from_
    elif isinstance(step, AddStep):
        if any(isinstance(source, LocalSource) for source in step.sources):
            yield None
    elif isinstance(step, RunStep):
        from dissolver.plan.mounts import BindMount, CacheMount

        for mount in step.mounts:
            if isinstance(mount, BindMount) or (isinstance(mount, CacheMount) and mount.is_seeded):
                yield origin_of(mount)


def _in_layers(
    bench: Workbench,
    name: int | Reference | EmptyOrigin,
    platform: Platform,
    results: Results[StageResult],
) -> Layered:
    if isinstance(name, int):
        source = results.wait(name)
        return Layered(f"the stage `{source.label}`", source.config.diff_ids)
    if isinstance(name, EmptyOrigin):
        return Layered("`scratch`", ())
    image = bench.images[Sought(name, platform)]
    return Layered(f"the image `{name.familiar}`", image.config.diff_ids)


def layers_origin(store: Store, diff_ids: Sequence[str], name: str) -> Origin:
    """Take files from the result of a stage or from an image, with their owners."""
    with explained(f"read {name}"):
        view = store.layers.view(diff_ids)

    def beside(source: str) -> list[str]:
        directory = "/" + source.strip("/").rpartition("/")[0]
        try:
            names = view.list(directory)
        except CoreError:
            return []
        prefix = directory.strip("/") + "/" if directory != "/" else ""
        return [prefix + name.decode("utf-8", "replace") for name in names]

    def explain(source: str, where: Where) -> Exception:
        return missing(source, where, name, beside)

    return Origin(view, True, explain, tuple(diff_ids))
