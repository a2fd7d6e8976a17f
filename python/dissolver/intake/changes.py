"""``--change``: Dockerfile instructions that shape a configuration without building."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dissolver.errors import DissolverError, IntakeError

if TYPE_CHECKING:
    from dissolver.image.config import ImageConfig, RunConfig

ALLOWED = (
    *("CMD", "ENTRYPOINT", "ENV", "EXPOSE", "HEALTHCHECK", "LABEL", "ONBUILD"),
    *("STOPSIGNAL", "USER", "VOLUME", "WORKDIR"),
)
"""Instructions that change nothing but the configuration."""


def with_changes(config: ImageConfig, changes: Sequence[str]) -> ImageConfig:
    """Return ``config`` with what ``changes`` say, in their order.

    Raises:
        IntakeError: an instruction that is no change of a configuration.
        DockerfileError: a mistake in one; the message quotes it.
    """
    from dissolver.image.mutate import with_run_config

    if not changes:
        return config
    for change in changes:
        _check(change)
        # One by one, so that a mistake can be told with the text it is in.
        try:
            config = with_run_config(config, _apply(config, change))
        except DissolverError as error:
            error.message = f"in the change `{change}`: {error.message}"
            error.where = None
            raise
    return config


def _check(change: str) -> None:
    word = change.split(maxsplit=1)[0].upper() if change.strip() else ""
    if word not in ALLOWED or "\n" in change:
        raise IntakeError(
            f"`{change}` is not a change of an image's configuration",
            hint="use one of " + ", ".join(f"`{name}`" for name in ALLOWED),
        )


def _apply(config: ImageConfig, change: str) -> RunConfig:
    from msgspec.structs import replace

    from dissolver.dockerfile.parse import parse
    from dissolver.image.mutate import with_run_config
    from dissolver.plan.graph import stage_graph
    from dissolver.plan.lower import lower_stage

    # What stands on an image fires its triggers, and this is the image itself.
    triggers = config.config.on_build
    base = with_run_config(config, replace(config.config, on_build=()))
    dockerfile = parse(f"FROM scratch\n{change}\n", name="--change")
    graph = stage_graph(dockerfile, build_args={}, target=None, platform=config.platform)
    lowered = lower_stage(graph, graph.target, base, build_args={}, inherited_args={})
    run = lowered.config.config
    return replace(run, on_build=(*triggers, *run.on_build))
