"""From the steps' layers to an image in the store.

The times in an image come from the records of its steps, never from the clock:
a layer's time is when it was first made, a metadata instruction takes that of
the step before it, and without any it is the base's. So the same inputs give the
same image ID, today and after the image was removed. With ``SOURCE_DATE_EPOCH`` all
of them are that time, and so the same in every store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dissolver.image.mutate import (
    with_author,
    with_created,
    with_history,
    with_labels,
    with_layer,
    with_run_config,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dissolver.build.events import Progress
    from dissolver.build.request import BuildRequest
    from dissolver.image.annotations import Annotations
    from dissolver.image.config import Image, ImageConfig
    from dissolver.image.reference import Reference
    from dissolver.plan.steps import Step
    from dissolver.store import Store


def with_step(
    config: ImageConfig, step: Step, diff_id: str | None, created_ns: int | None
) -> ImageConfig:
    """Return ``config`` after ``step``, which made the layer ``diff_id`` if any.

    A step without a layer is of the time ``created_ns`` too where that is given.
    """
    if diff_id is None:
        return with_history(
            config, step.history(config.created if created_ns is None else created_ns)
        )
    return with_layer(config, diff_id, step.history(created_ns))


def with_start_values(config: ImageConfig, lowered: ImageConfig) -> ImageConfig:
    """Return ``config`` with the start values and the author of ``lowered``."""
    return with_author(with_run_config(config, lowered.config), lowered.author)


def finished(config: ImageConfig, request: BuildRequest, epoch_ns: int | None) -> ImageConfig:
    """Return ``config`` with what the request puts on the image beyond the Dockerfile.

    It is of the time ``epoch_ns``, if there is one.
    """
    if request.labels:
        config = with_run_config(config, with_labels(config.config, request.labels))
    return config if epoch_ns is None else with_created(config, epoch_ns)


def export(
    store: Store,
    config: ImageConfig,
    tags: Sequence[Reference],
    annotations: Annotations,
    progress: Progress,
) -> Image:
    """Store the image and give it its names, and tell so as BuildKit does."""
    with progress.vertex("exporting to image") as vertex:
        with vertex.status("exporting layers"):
            # The layers are in the store since their steps ended: only the
            # image's configuration and its names are still to be written.
            image = store.images.put(config, tags=tags, annotations=annotations)
        with vertex.status(f"writing image {image.id}"):
            pass
        for tag in tags:
            with vertex.status(f"naming to {tag.canonical}"):
                pass
    return image
