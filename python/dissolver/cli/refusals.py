"""Flags of Docker's that there is no use for here: why, and what to do instead."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from dissolver.sandbox import confining_options

if TYPE_CHECKING:
    from collections.abc import Sequence

_STEPS_HAVE_NO_GROUP = (
    "steps run in the control group of who builds",
    "limit that: `systemd-run --user --scope -p MemoryMax=2G dissolver build …`",
)
_NO_ATTESTATIONS = (
    "no attestations are made here",
    "sign and attest the image when it is in a registry, or leave the flag out",
)
_LIMITS = (
    *("--cgroup-parent", "--resource", "-m", "--memory", "--memory-swap", "-c", "--cpu-shares"),
    *("--cpu-period", "--cpu-quota", "--cpuset-cpus", "--cpuset-mems"),
)

BUILD: dict[str, tuple[str, str]] = {
    **dict.fromkeys(_LIMITS, _STEPS_HAVE_NO_GROUP),
    "--attest": _NO_ATTESTATIONS,
    "--builder": ("there is one builder, and it runs in this command", "leave the flag out"),
    "--policy": ("policies for sources are not evaluated here", "leave the flag out"),
}
"""Of ``build``: a reason and a hint for each."""

_NO_LIMITS = (
    "containers have the limits of who starts them",
    "`systemd-run --user --scope -p MemoryMax=2G dissolver run …` limits one, and `--ulimit`",
)
_VOLUMES = ("files are lent with `-v`", "`-v /path:/path:ro`, or `-v NAME:/path` for a volume")
_HEALTH = ("health checks are kept in images and not carried out", "look from outside, or `exec`")
_NAMESPACES = ("a container has namespaces of its own", "`--network host` shares the network's")
_NETWORKS = ("networks are `bridge`, `host` and `none`", "`-p` publishes ports")

RUN: dict[str, tuple[str, str]] = {
    **dict.fromkeys(_LIMITS, _NO_LIMITS),
    **dict.fromkeys(
        (
            *("--cpus", "--cpu-rt-period", "--cpu-rt-runtime", "--memory-reservation"),
            *("--memory-swappiness", "--kernel-memory", "--pids-limit", "--blkio-weight"),
            *("--oom-kill-disable", "--oom-score-adj", "--device-read-bps", "--device-write-bps"),
            *("--device-read-iops", "--device-write-iops", "--cgroupns"),
        ),
        _NO_LIMITS,
    ),
    **dict.fromkeys(("--mount", "--tmpfs", "--volumes-from", "--volume-driver"), _VOLUMES),
    **dict.fromkeys(
        (
            *("--health-cmd", "--health-interval", "--health-retries", "--health-timeout"),
            *("--health-start-period", "--health-start-interval", "--no-healthcheck"),
        ),
        _HEALTH,
    ),
    **dict.fromkeys(("--pid", "--ipc", "--uts", "--userns"), _NAMESPACES),
    **confining_options.REFUSED["run"],
    **dict.fromkeys(
        (
            *("--network-alias", "--link", "--ip", "--ip6", "--mac-address", "--dns"),
            *("--dns-option", "--dns-search", "--domainname"),
        ),
        _NETWORKS,
    ),
    "--restart": ("nothing runs that could start it again", "let a systemd unit run it"),
    "--init": ("the program is process 1", "put `tini` into the image where it needs one"),
    "--group-add": ("groups come from the image", "`-u USER:GROUP`"),
    **dict.fromkeys(
        ("-a", "--attach", "--detach-keys", "--sig-proxy"),
        (
            "a container is connected to all streams of this terminal, or with `-d` to none",
            "`-i`, `-t` and redirections choose what is passed on; ctrl-p ctrl-q lets go of `-it`",
        ),
    ),
    "--expose": ("ports are reached without it", "`-p` publishes one, whatever the image says"),
    "--label-file": ("labels are given one by one", "`--label NAME=VALUE`"),
    "--annotation": ("nobody reads annotations of containers here", "`--label NAME=VALUE`"),
    "--storage-opt": ("a container has the room that the store has", "leave the flag out"),
    "--cidfile": ("the name of a container is printed", "`id=$(dissolver run -d …)`"),
}
"""Of ``run``: a reason and a hint for each."""

LOGS: dict[str, tuple[str, str]] = {
    **dict.fromkeys(("--since", "--until"), ("lines are chosen by their number", "`-n 100`")),
    "--details": ("what a container writes is kept in one way", "leave the flag out"),
}
"""Of ``logs``: a reason and a hint for each."""

_DETACHING = ("the keys are ctrl-p ctrl-q", "leave the flag out")

EXEC: dict[str, tuple[str, str]] = {
    **confining_options.REFUSED["exec"],
    "--detach-keys": _DETACHING,
}
"""Of ``exec``: a reason and a hint for each."""

_ONE_PLATFORM = {
    "--platform": (
        "an image of the store is for one platform",
        "`dissolver image copy --platform OS/ARCHITECTURE` takes one of several",
    )
}
_CACHE_SIZES = ("--keep-storage", "--max-used-space", "--min-free-space", "--reserved-space")
_NO_SIZE = ("the cache is kept to no size", "`--filter until=24h` leaves what was used since")
_SUMS = ("sums are told", "`images`, `ps -a`, `volume ls` and `builder du` tell of each")

FLAGS: dict[str, dict[str, tuple[str, str]]] = {
    "build": BUILD,
    "run": RUN,
    "logs": LOGS,
    "exec": EXEC,
    "start": {"--detach-keys": _DETACHING},
    "attach": {"--detach-keys": _DETACHING},
    **dict.fromkeys(("save", "load", "history", "rmi", "image rm"), _ONE_PLATFORM),
    "builder prune": dict.fromkeys(_CACHE_SIZES, _NO_SIZE),
    "volume prune": {"--filter": ("volumes have no labels", "`dissolver volume rm` removes one")},
    "system df": dict.fromkeys(("-v", "--verbose"), _SUMS),
}
"""Of commands, or of groups and commands, where another group has one of the same name."""

COMMANDS: dict[str, tuple[str, str]] = {
    "buildx": ("there is one builder", "`dissolver build`, or `dissolver bake`"),
    "commit": ("images are built from Dockerfiles", "`dissolver export` and `dissolver import`"),
    "compose": ("services are not orchestrated", "`dissolver bake` builds those of a compose file"),
    "create": ("containers are made when they run", "`dissolver run -d`"),
    "context": ("there is no daemon to choose", "leave it out"),
    "events": ("there is no daemon that could tell", "`dissolver ps -a`"),
    "network": _NETWORKS,
    "pause": ("containers are not frozen", "`dissolver kill -s STOP NAME`"),
    "plugin": ("there are no plugins", "see `dissolver --help`"),
    "port": ("it is part of `ps`", "`dissolver ps`"),
    "restart": ("it is two commands", "`dissolver stop NAME`, then `dissolver start NAME`"),
    "rename": ("containers keep their names", "`dissolver run --name NAME`"),
    "service": ("services are not orchestrated", "see `dissolver --help`"),
    "stack": ("services are not orchestrated", "see `dissolver --help`"),
    "stats": ("what a container uses is not measured", "`dissolver inspect` has its process"),
    "swarm": ("services are not orchestrated", "see `dissolver --help`"),
    "top": ("processes are not listed", "`dissolver exec NAME ps`"),
    "trust": ("images are not signed here", "pin them by digest: `NAME@sha256:…`"),
    "unpause": ("containers are not frozen", "`dissolver kill -s CONT NAME`"),
    "update": ("containers stay as they were made", "`dissolver rm` it and `run` it again"),
}
"""Commands of Docker's: a reason and a hint for each."""

VOLUME_COMMANDS: dict[str, tuple[str, str]] = {
    "create": ("volumes are made when they are first used", "`dissolver run -v NAME:/path …`"),
    "inspect": ("volumes have no settings", "`dissolver volume ls --format json`"),
}
"""Commands of Docker's about volumes: a reason and a hint for each."""


_GENERAL = ("dissolver", "dissolver container", "dissolver system")
_VOLUME = "dissolver volume"


def refusal(command: str, flag: str) -> tuple[str, str] | None:
    """Say why ``command`` has no ``flag``, and what to do; nothing about unknown ones."""
    path = command.removeprefix("dissolver ")
    found = (FLAGS.get(path) or FLAGS.get(path.rpartition(" ")[2], {})).get(flag)
    return None if found is None else (f"`{flag}` is not supported: {found[0]}", found[1])


def command_refusal(group: str, command: str) -> tuple[str, str] | None:
    """Say why there is no ``command``, and what to do; nothing about unknown ones."""
    known = COMMANDS if group in _GENERAL else VOLUME_COMMANDS if group == _VOLUME else {}
    if command not in known:
        return None
    reason, hint = known[command]
    return f"`{command}` is not supported: {reason}", hint


def refuse_attestations(**wanted: str | None) -> None:
    """Check that nobody wants attestations; to say so in so many words is no mistake.

    Raises:
        UsageSlip: somebody does.
    """
    from dissolver.cli.words import UsageSlip

    for name, value in wanted.items():
        if value is not None and value.lower() not in ("false", "0", "f", "disabled=true"):
            reason, hint = _NO_ATTESTATIONS
            raise UsageSlip(f"`--{name} {value}` is not supported: {reason}", None, hint)


def tell_ignored(flags: Sequence[str], *, isolation: str | None, squash: bool) -> None:
    """Warn of flags that an older builder of Docker's had, which its newer one ignores as well.

    ``flags`` are more of them that were given.
    """
    given = {
        "--isolation": isolation not in (None, "", "default"),
        "--squash": squash,
        **dict.fromkeys(flags, True),
    }
    for flag in sorted(given):
        if given[flag]:
            from dissolver.cli.invocation import current
            from dissolver.cli.render.failures import warning

            text = f"`{flag}` has no effect on a build, as it has none with BuildKit"
            sys.stderr.write(warning(text, colored=current().colors_errors))
