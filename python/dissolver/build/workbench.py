"""What all steps of one build work with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dissolver.build.bases import BaseImages
    from dissolver.build.context import BuildContext
    from dissolver.build.fetching import Fetcher
    from dissolver.build.predecessor import Predecessors
    from dissolver.build.request import BuildRequest
    from dissolver.build.scheduler import Cancellation
    from dissolver.build.ssh_agents import Agents
    from dissolver.image.config import Image
    from dissolver.image.reference import Reference
    from dissolver.plan.origins import Origin
    from dissolver.store import Store


@dataclass(frozen=True, slots=True)
class Workbench:
    """The store, the context and the images of a build, and whether to go on.

    ``identity`` names what is built again and again, so that a step can be
    compared with what it was the last time.
    """

    store: Store
    request: BuildRequest
    context: BuildContext
    images: Mapping[Reference, Image]
    bases: BaseImages
    cancellation: Cancellation
    identity: str
    agents: Agents
    fetcher: Fetcher
    predecessors: Predecessors

    def context_of(self, origin: Origin) -> BuildContext:
        """Give the directory that ``origin`` names, which is in no layers."""
        if origin is not None:
            raise TypeError(f"`{origin}` names no directory")
        return self.context
