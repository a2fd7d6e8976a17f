"""Several builds at the same time, with one display, that share what is the same.

Each is planned and carried out as it would be alone. They have listings of directories
in common, and every image and every step that two of them want is had once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from dissolver.build.events import Progress
from dissolver.build.scheduler import Cancellation, run_all
from dissolver.build.turns import Turns
from dissolver.errors import Cancelled, DissolverError

if TYPE_CHECKING:
    from dissolver.build.bases import OpenSources
    from dissolver.build.context import BuildContext
    from dissolver.build.events import OnEvent
    from dissolver.build.request import BuildRequest, BuildResult
    from dissolver.build.scheduler import Results
    from dissolver.store import Store


@dataclass(frozen=True, slots=True)
class Order:
    """One of several builds, by its name.

    ``links`` maps names of contexts to other builds, whose results these contexts are.
    """

    name: str
    request: BuildRequest
    links: Mapping[str, str] = field(default_factory=dict)


class Together:
    """What builds that run at the same time share.

    ``progress`` has the one display, ``cancellation`` ends all of them, ``turns`` keep two from
    doing the same, and ``open_sources`` is the way to registries.
    """

    def __init__(
        self,
        on_event: OnEvent | None = None,
        cancel: threading.Event | None = None,
        open_sources: OpenSources | None = None,
    ) -> None:
        self.progress = Progress(on_event)
        self.cancellation = Cancellation(cancel)
        self.turns = Turns()
        self.open_sources = open_sources
        self._lock = threading.Lock()
        self._contexts: dict[tuple[object, ...], BuildContext] = {}

    def context(self, key: tuple[object, ...], make: Callable[[], BuildContext]) -> BuildContext:
        """Give the context that ``key`` is all about; the first one who asks makes it."""
        with self._lock:
            if key not in self._contexts:
                self._contexts[key] = make()
            return self._contexts[key]


def build_together(
    store: Store,
    orders: Sequence[Order],
    on_event: OnEvent | None = None,
    *,
    cancel: threading.Event | None = None,
    open_sources: OpenSources | None = None,
) -> dict[str, BuildResult]:
    """Carry out ``orders``, as many at a time as wait for none of the others.

    Those that others take something from come before them in ``orders``. The first failure
    ends all; what was finished stays cached, and images that were finished stay.

    Raises:
        DissolverError: as ``builder.build``, with the name of the build that failed.
        Cancelled: ``cancel`` was set. Ctrl-C ends the builds as well, and passes through.
    """
    from dissolver.build.outputs import check_outputs

    numbers = {order.name: number for number, order in enumerate(orders)}
    dependencies = {
        number: [numbers[other] for other in order.links.values()]
        for number, order in enumerate(orders)
    }
    has_labels = len(orders) > 1
    check_outputs(*(order.request for order in orders))
    together = Together(on_event, cancel, open_sources)
    with store.lock_shared():

        def work(number: int, results: Results[BuildResult]) -> BuildResult:
            from dissolver.build.builder import build_within

            order = orders[number]
            images = {
                context: results.wait(numbers[other]).image
                for context, other in order.links.items()
            }
            request = replace(order.request, context_images=images)
            label = order.name if has_labels else ""
            try:
                return build_within(together, store, request, label=label)
            except Cancelled:
                raise
            except DissolverError as error:
                if has_labels and not hasattr(error, "errors"):
                    error.message = f"`{order.name}`: {error.message}"
                raise

        found = run_all(dependencies, work, together.cancellation)
    return {order.name: found[number] for number, order in enumerate(orders)}
