"""What all steps of one build work with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dissolver.plan.origins import NamedContext

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dissolver.build.bases import BaseImages, Sought
    from dissolver.build.fetching import Fetcher
    from dissolver.build.layer_context import Context
    from dissolver.build.predecessor import Predecessors
    from dissolver.build.request import BuildRequest
    from dissolver.build.scheduler import Cancellation
    from dissolver.build.sharing import Sharing
    from dissolver.build.ssh_agents import Agents
    from dissolver.build.supply import Supply
    from dissolver.build.turns import Turns
    from dissolver.image.config import Image
    from dissolver.plan.origins import Origin
    from dissolver.store import Store


@dataclass(frozen=True, slots=True)
class Workbench:
    """The store, the context and the images of a build, and whether to go on.

    ``identity`` names what is built again and again, so that a step can be
    compared with what it was the last time. ``epoch_ns`` is the time that the image says
    its steps are of, in nanoseconds since the epoch, if one was given. ``sharing`` is there
    if the build names shared caches.
    """

    store: Store
    request: BuildRequest
    context: Context
    contexts: Mapping[str, Context]
    images: Mapping[Sought, Image]
    bases: BaseImages
    cancellation: Cancellation
    identity: str
    agents: Agents
    fetcher: Fetcher
    predecessors: Predecessors
    epoch_ns: int | None
    turns: Turns
    sharing: Sharing | None
    supply: Supply

    def time_of(self, created_ns: int) -> int:
        """Return the time that the image says of what was made at ``created_ns``.

        Whatever a build adds to an image's history asks here, so that with an epoch nothing in
        it is of the clock. Both are in nanoseconds since 1970.
        """
        return created_ns if self.epoch_ns is None else self.epoch_ns

    def context_of(self, origin: Origin) -> Context:
        """Give the context that ``origin`` names: the build's own, or a named one."""
        if origin is None:
            return self.context
        if isinstance(origin, NamedContext):
            return self.contexts[origin.name]
        raise TypeError(f"`{origin}` names no context")
