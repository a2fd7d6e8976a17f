"""Changes to images: every function returns a new value and leaves the old one alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from dissolver.image.config import HistoryEntry, ImageConfig, RootFs, RunConfig
from dissolver.image.platform import Platform

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""The search path of an image that names none: Docker's default on Linux."""


def empty_image(platform: Platform) -> ImageConfig:
    """Return what ``FROM scratch`` starts with: no layers, a search path, and ``/``."""
    return ImageConfig(
        architecture=platform.architecture,
        os=platform.os,
        variant=platform.variant,
        config=RunConfig(env=(f"PATH={DEFAULT_PATH}",), working_dir="/"),
    )


def with_layer(config: ImageConfig, diff_id: str, entry: HistoryEntry) -> ImageConfig:
    """Return ``config`` with one more layer on top, and how it came about."""
    return replace(
        config,
        created=entry.created if entry.created is not None else config.created,
        rootfs=RootFs(config.rootfs.type, (*config.rootfs.diff_ids, diff_id)),
        history=(*_whole_history(config), replace(entry, empty_layer=False)),
    )


def with_layers(config: ImageConfig, diff_ids: Iterable[str]) -> ImageConfig:
    """Return ``config`` with each of its layers replaced; their history is the same."""
    return replace(config, rootfs=RootFs(config.rootfs.type, tuple(diff_ids)))


def with_history(config: ImageConfig, entry: HistoryEntry) -> ImageConfig:
    """Return ``config`` with an entry for a step that made no layer."""
    return replace(
        config,
        created=entry.created if entry.created is not None else config.created,
        history=(*_whole_history(config), replace(entry, empty_layer=True)),
    )


def _whole_history(config: ImageConfig) -> tuple[HistoryEntry, ...]:
    """Give a history with an entry for each layer, as who reads a longer one expects.

    Some tools write none, and adding to that would leave the older layers without.
    """
    told = sum(not entry.empty_layer for entry in config.history)
    missing = len(config.rootfs.diff_ids) - told
    return (*config.history, *(HistoryEntry(created=config.created) for _ in range(missing)))


def with_run_config(config: ImageConfig, run: RunConfig) -> ImageConfig:
    """Return ``config`` with another set of start values for its containers."""
    return replace(config, config=run)


def with_created(config: ImageConfig, created: int | None) -> ImageConfig:
    """Return ``config`` with another time of creation, in nanoseconds since the epoch."""
    return replace(config, created=created)


def with_author(config: ImageConfig, author: str) -> ImageConfig:
    """Return ``config`` with another author."""
    return replace(config, author=author)


def without_field(config: ImageConfig, name: str) -> ImageConfig:
    """Return ``config`` without a field that is not OCI's, if it has that."""
    if name not in config.unknown:
        return config
    return replace(config, unknown={k: v for k, v in config.unknown.items() if k != name})


def with_platform(config: ImageConfig, platform: Platform) -> ImageConfig:
    """Return ``config`` made for another kind of machine."""
    return replace(
        config, os=platform.os, architecture=platform.architecture, variant=platform.variant
    )


def with_environment(run: RunConfig, name: str, value: str) -> RunConfig:
    """Return ``run`` with ``name`` set; a name that was set keeps its position."""
    prefix = f"{name}="
    env = run.env
    for index, item in enumerate(env):
        if item.startswith(prefix) or item == name:
            return replace(run, env=(*env[:index], prefix + value, *env[index + 1 :]))
    return replace(run, env=(*env, prefix + value))


def with_labels(run: RunConfig, labels: Mapping[str, str]) -> RunConfig:
    """Return ``run`` with ``labels`` added; a later value wins."""
    return replace(run, labels={**run.labels, **labels})


def with_ports(run: RunConfig, ports: Iterable[str]) -> RunConfig:
    """Return ``run`` with ``ports`` (``80/tcp``) exposed as well."""
    return replace(run, exposed_ports=_united(run.exposed_ports, ports))


def with_volumes(run: RunConfig, volumes: Iterable[str]) -> RunConfig:
    """Return ``run`` with ``volumes`` (paths) added."""
    return replace(run, volumes=_united(run.volumes, volumes))


def _united(old: tuple[str, ...], new: Iterable[str]) -> tuple[str, ...]:
    """Merge ``new`` into sorted texts; their order is kept up to here, so that sorting is cheap."""
    return tuple(sorted(dict.fromkeys((*old, *new))))


def environment_of(run: RunConfig) -> dict[str, str]:
    """Return the environment of ``run`` as a mapping, in order; the last value wins."""
    pairs = (item.partition("=") for item in run.env)
    return {name: value for name, _, value in pairs}
