"""What the caller of ``run`` and ``create`` may choose, and what it comes to with an image."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from dissolver.containers import names
from dissolver.containers.streams.kept_log import KeptLog, parse_kept_log
from dissolver.containers.volumes import Volume, image_volumes, parse_volume
from dissolver.errors import RunError
from dissolver.network import ports
from dissolver.network.hosts import Host, parse_host
from dissolver.network.plan import parse_mode
from dissolver.sandbox import defaults
from dissolver.sandbox.confinement import USUAL, Confinement, Limit
from dissolver.sandbox.confining_options import RunConfinement, options_of, read_confinement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dissolver.image.config import RunConfig

FORMAT = 2
"""Format 1 had four of the fields of a confinement beside the others."""

LONGEST_HOSTNAME = 64
"""Bytes of ``__NEW_UTS_LEN``, as sethostname(2) takes them."""


@dataclass(frozen=True, slots=True)
class RunOptions(RunConfinement):
    """How a container differs from what its image says; texts are as on the command line.

    ``entrypoint`` of ``""`` clears the image's. ``env`` holds ``NAME=value``, ``ports`` and
    ``volumes`` what ``-p`` and ``-v`` take, ``add_hosts`` what ``--add-host`` takes, and
    ``log_driver`` and ``log_options`` what ``--log-driver`` and ``--log-opt`` take. ``labels``
    hold ``NAME=value``.
    ``name`` is made up where there is none. ``stop_timeout`` is in seconds. What confines the
    container is inherited, and only ever given by name.
    """

    detach: bool = False
    interactive: bool = False
    terminal: bool = False
    remove: bool = False
    name: str | None = None
    ports: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    workdir: str | None = None
    user: str | None = None
    entrypoint: str | None = None
    network: str = "bridge"
    hostname: str | None = None
    read_only: bool = False
    publishes_all: bool = False
    stop_signal: str | None = None
    stop_timeout: float | None = None
    add_hosts: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    log_driver: str | None = None
    log_options: tuple[str, ...] = ()


class ContainerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What a container is, settled when it was created; stored as JSON with its record.

    ``image`` is the name that was asked for. ``argv``, ``env`` and ``cwd`` are those of the
    first process. ``ports`` holds the texts of what is to be published. An empty ``hostname``
    is that of the machine.
    """

    format: int = FORMAT
    image: str
    argv: tuple[str, ...]
    env: tuple[str, ...]
    cwd: str
    user: str
    hostname: str
    network: str
    ports: tuple[str, ...] = ()
    volumes: tuple[Volume, ...] = ()
    is_interactive: bool = False
    has_terminal: bool = False
    is_removed_at_end: bool = False
    is_read_only: bool = False
    stop_signal: str = defaults.STOP_SIGNAL
    stop_seconds: float = defaults.STOP_SECONDS
    hosts: tuple[Host, ...] = ()
    confinement: Confinement = USUAL
    labels: dict[str, str] = {}
    kept_log: KeptLog = KeptLog()


class _Format1(msgspec.Struct, frozen=True):
    """What format 1 said of a container's confinement."""

    is_unconfined: bool = False
    no_new_privileges: bool = False
    rlimits: tuple[Limit, ...] = ()
    shm_bytes: int = USUAL.shm_bytes


def decode_config(data: bytes) -> ContainerConfig:
    """Read what a container is, in this format or an older one.

    Raises:
        msgspec.MsgspecError: a newer version wrote it, or it is damaged.
    """
    config = msgspec.json.decode(data, type=ContainerConfig)
    if config.format > FORMAT:
        raise msgspec.ValidationError(f"format {config.format} is newer than {FORMAT}")
    if config.format > 1:
        return config
    old = msgspec.json.decode(data, type=_Format1)
    confined = Confinement(
        seccomp="unconfined" if old.is_unconfined else "default",
        no_new_privileges=old.no_new_privileges,
        limits=old.rlimits,
        shm_bytes=old.shm_bytes,
    )
    return msgspec.structs.replace(config, format=FORMAT, confinement=confined)


def settle(
    options: RunOptions,
    command: Sequence[str],
    image: RunConfig,
    *,
    identity: str,
    image_name: str,
    working_directory: str,
) -> ContainerConfig:
    """Combine what the caller wants with what the image says.

    Pure: texts are checked, and nothing is made or looked up. ``working_directory`` is the
    caller's, for relative sources of volumes.

    Raises:
        RunError: there is nothing to run, or a text is not valid.
        BadOption: a text says no host, or nothing that confines.
    """
    volumes = [parse_volume(text, working_directory) for text in options.volumes]
    volumes += image_volumes(image.volumes, volumes)
    published = options.ports
    if options.publishes_all:
        published += tuple(
            f"{port.container_port}/{port.protocol}"
            for text in image.exposed_ports
            for port in ports.parse_exposed(text)
        )
    for text in published:
        ports.parse_port(text)
    mode = parse_mode(options.network)
    confining = {one.keyword: getattr(options, one.keyword) for one in options_of("run")}
    return ContainerConfig(
        image=image_name,
        argv=arguments(options.entrypoint, command, image),
        env=_merged(image.env, options.env),
        cwd=absolute_directory(options.workdir, image.working_dir),
        user=options.user if options.user is not None else image.user,
        hostname=_hostname(options.hostname) or ("" if mode == "host" else identity[:12]),
        network=mode,
        ports=published,
        volumes=tuple(volumes),
        is_interactive=options.interactive,
        has_terminal=options.terminal,
        is_removed_at_end=options.remove,
        is_read_only=options.read_only,
        stop_signal=options.stop_signal or image.stop_signal or defaults.STOP_SIGNAL,
        stop_seconds=defaults.STOP_SECONDS
        if options.stop_timeout is None
        else options.stop_timeout,
        hosts=tuple(parse_host(text) for text in options.add_hosts),
        confinement=read_confinement("run", confining),
        labels=image.labels | _labels(options.labels),
        kept_log=parse_kept_log(options.log_driver, options.log_options),
    )


def arguments(entrypoint: str | None, command: Sequence[str], image: RunConfig) -> tuple[str, ...]:
    """Decide what runs: ENTRYPOINT followed by CMD, where the caller replaced neither.

    A command of the caller's takes the place of CMD. An entrypoint of the caller's takes the
    place of both, since the image's CMD was written for the image's own.

    Raises:
        RunError: nothing is left.
    """
    if entrypoint is not None:
        first: tuple[str, ...] = (entrypoint,) if entrypoint else ()
        words = (*first, *command)
    else:
        words = (*image.entrypoint, *(command or image.cmd))
    if not words:
        raise RunError(
            "no command specified, and the image has none",
            hint="name one behind the image: `dissolver run IMAGE COMMAND`",
        )
    return words


def check_name(name: str | None) -> str | None:
    """Return the chosen name, if one was chosen and is valid."""
    return None if name is None else names.check_name(name)


def _merged(image: Sequence[str], given: Sequence[str]) -> tuple[str, ...]:
    variables = {text.partition("=")[0]: text for text in image}
    for text in given:
        name, separator, _ = text.partition("=")
        if not name:
            raise RunError(f"invalid variable `{text}`", hint="write `NAME=value`")
        if separator:
            variables[name] = text
        else:
            variables.pop(name, None)
    return tuple(variables.values())


def _labels(given: Sequence[str]) -> dict[str, str]:
    """Read labels; one without a value has an empty one."""
    pairs = [text.partition("=") for text in given]
    for name, _, value in pairs:
        if not name:
            raise RunError(f"invalid label `={value}`", hint="write `NAME=value`")
    return {name: value for name, _, value in pairs}


def _hostname(chosen: str | None) -> str:
    """Check a host name: the kernel has its length, and `/etc/hosts` lines of words."""
    if chosen and (len(os.fsencode(chosen)) > LONGEST_HOSTNAME or not _is_word(chosen)):
        raise RunError(
            f"invalid host name `{chosen}`",
            hint=f"it has at most {LONGEST_HOSTNAME} bytes, and no blanks",
        )
    return chosen or ""


def _is_word(text: str) -> bool:
    return text.isprintable() and " " not in text


def absolute_directory(chosen: str | None, image: str) -> str:
    """Settle a working directory: the chosen one, or else the image's.

    Raises:
        RunError: it is relative, and there is nothing that it could be relative to.
    """
    if not chosen:
        return image or "/"
    if not chosen.startswith("/"):
        raise RunError(
            f"the working directory `{chosen}` is not an absolute path",
            hint=f"write `/{chosen}`, or where it is from the root",
        )
    return os.path.normpath(chosen)
