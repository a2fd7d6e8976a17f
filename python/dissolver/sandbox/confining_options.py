"""The one table of options that confine what runs, such as ``--shm-size``.

All that there is to such an option follows from its class here: the flags of ``run`` and ``build``,
keywords of the Python API, attributes of bake and compose files, inputs of cache keys and the
words for a change of theirs, and what ``inspect`` shows. docs/sandbox.md tells how to add one.

The command line imports this for every build, so it has to be cheap: what reads a value is
imported when there is a value to read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypedDict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dissolver.sandbox.confinement import Confinement
    from dissolver.store.packed_inputs import Input

    Fields = dict[str, Any]


class BuildConfinement(TypedDict, total=False):
    """The keywords of ``Engine.build`` about what RUN steps may do and have.

    ``shm_size`` is the size of ``/dev/shm`` (``1g``, or bytes), and ``ulimits`` are limits of
    resources (``nofile=1024:2048``).
    """

    shm_size: str | int | None
    ulimits: Sequence[str]


# The class that derives from it makes the methods; every build would pay for these, too.
@dataclass(frozen=True, slots=True, kw_only=True, init=False, repr=False, eq=False)
class RunConfinement:
    """The fields of ``RunOptions`` about what a container may do and have.

    Each holds what the flag of its option takes; ``security`` is ``--security-opt``.
    """

    security: tuple[str, ...] = ()
    shm_size: str | None = None
    ulimits: tuple[str, ...] = ()


class ConfiningOption:
    """One option, and all that follows from it.

    ``keyword`` is its name in the Python API, and ``is_repeatable`` tells whether it holds several
    texts. Help lists it behind the parameter ``listed_after``. The ``commands`` are those that
    have it; what is in ``ignored_by`` takes the flag and warns that it does nothing.

    ``attribute`` is its name in bake files, and with ``_`` for ``-`` in compose files, where it
    is written in ``compose_form``. An input of the key of a RUN step has the name ``input_name``,
    or begins with that and a dot; ``change`` says that one is different, where ``{item}`` is
    what is behind the dot, and ``{verb}`` is `added`, `removed` or `changed`. ``shown`` is the
    field of Docker's ``HostConfig`` that ``show`` has the value of.
    """

    keyword: str
    flag: str
    metavar: str
    help: str
    listed_after: str
    shown: str
    is_repeatable: bool = False
    commands: tuple[str, ...] = ("run", "build")
    ignored_by: tuple[str, ...] = ()
    attribute: str | None = None
    compose_form: Literal["size", "limits"] | None = None
    input_name: str | None = None
    change: str = ""

    def read(self, said: Any) -> Fields:
        """Turn what was said, which is never empty, into fields of a `Confinement`.

        Raises:
            BadOption: it means nothing.
        """
        raise AssertionError(said)

    def show(self, confined: Confinement) -> Any:
        """Return what ``inspect`` shows of a container that is so confined."""
        raise AssertionError(confined)

    def inputs(self, confined: Confinement) -> Iterator[Input]:  # noqa: ARG002 - most have none
        """Yield what is unusual for a step, for its key: a disk format, docs/cache-keys.md."""
        yield from ()


class SecurityOption(ConfiningOption):
    """``--security-opt``: no filter of system calls, or no new privileges."""

    keyword = "security"
    flag = "--security-opt"
    metavar = "OPTION"
    help = "seccomp=unconfined, no-new-privileges"
    listed_after = "stop_timeout"
    shown = "SecurityOpt"
    is_repeatable = True
    commands = ("run",)
    ignored_by = ("build",)

    def read(self, said: Sequence[str]) -> Fields:
        """Read ``NAME[=VALUE]``, or with a colon.

        Raises:
            RunError: there is no such option.
        """
        fields: Fields = {}
        for text in said:
            name, _, value = text.replace(":", "=", 1).partition("=")
            if (name, value) == ("seccomp", "unconfined"):
                fields["seccomp"] = "unconfined"
            elif name == "no-new-privileges" and value in ("", "true"):
                fields["no_new_privileges"] = True
            elif (name, value) != ("no-new-privileges", "false"):
                from dissolver.errors import RunError

                raise RunError(
                    f"unknown security option `{text}`",
                    hint="the options are `seccomp=unconfined` and `no-new-privileges`",
                )
        return fields

    def show(self, confined: Confinement) -> list[str] | None:
        """Return the texts that are in effect."""
        texts = ["seccomp=unconfined"] if confined.seccomp == "unconfined" else []
        if confined.no_new_privileges:
            texts.append("no-new-privileges")
        return texts or None


class ShmSize(ConfiningOption):
    """``--shm-size``: the size of ``/dev/shm``."""

    keyword = "shm_size"
    flag = "--shm-size"
    metavar = "SIZE"
    help = "Size of /dev/shm, such as 1g"
    listed_after = "add_host"
    shown = "ShmSize"
    attribute = "shm-size"
    compose_form = "size"
    input_name = "shm"
    change = "the size of `/dev/shm` changed"

    def read(self, said: str | int) -> Fields:
        """Read a size, such as ``64m``; 0 is the usual one, as with Docker.

        Raises:
            BadOption: it is no size.
        """
        from dissolver.errors import BadOption
        from dissolver.plan.sizes import FORMS, parse_bytes

        found = parse_bytes(str(said))
        if found is None:
            raise BadOption(f"`{said}` is no size of `/dev/shm`", hint=FORMS)
        return {"shm_bytes": found} if found else {}

    def show(self, confined: Confinement) -> int:
        """Return the size in bytes."""
        return confined.shm_bytes

    def inputs(self, confined: Confinement) -> Iterator[Input]:
        """Yield the size, unless it is the usual one."""
        from dissolver.sandbox.confinement import SHM_BYTES

        if confined.shm_bytes != SHM_BYTES:
            yield "shm", str(confined.shm_bytes)


class Ulimits(ConfiningOption):
    """``--ulimit``: limits of resources."""

    keyword = "ulimits"
    flag = "--ulimit"
    metavar = "NAME=SOFT[:HARD]"
    help = "Limit a resource, such as nofile=1024:2048 (may be repeated)"
    listed_after = "shm_size"
    shown = "Ulimits"
    is_repeatable = True
    attribute = "ulimits"
    compose_form = "limits"
    input_name = "ulimit"
    change = "the limit `{item}` of `--ulimit` was {verb}"

    def read(self, said: Sequence[str]) -> Fields:
        """Read limits; the last one of a name counts.

        Raises:
            BadOption: one is of another form, or of a name that there is not.
        """
        from dissolver.sandbox.limits import parse_limits

        return {"limits": parse_limits(said)}

    def show(self, confined: Confinement) -> list[dict[str, Any]]:
        """Return the limits that were given."""
        return [
            {"Name": limit.name, "Soft": limit.soft, "Hard": limit.hard}
            for limit in confined.limits
        ]

    def inputs(self, confined: Confinement) -> Iterator[Input]:
        """Yield each limit, sorted by name."""
        for limit in sorted(confined.limits, key=lambda limit: limit.name):
            yield f"ulimit.{limit.name}", f"{limit.soft}:{limit.hard}"


OPTIONS: tuple[ConfiningOption, ...] = (SecurityOption(), ShmSize(), Ulimits())
"""The table, in the order of the inputs of a key."""

_CAPABILITIES = (
    "containers have the capabilities that Docker gives by default",
    "leave the flag out",
)
_DEVICES = ("containers have Docker's default devices", "leave the flag out")

REFUSED: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "run": {
        **dict.fromkeys(("--cap-add", "--cap-drop", "--privileged"), _CAPABILITIES),
        **dict.fromkeys(("--device", "--device-cgroup-rule", "--gpus", "--runtime"), _DEVICES),
        "--sysctl": ("kernel parameters stay as they are", "leave the flag out"),
    },
    "exec": {"--privileged": _CAPABILITIES},
}
"""Flags of Docker's of the same kind that are not there: a reason and a hint by command."""


def options_of(command: str) -> tuple[ConfiningOption, ...]:
    """List the options that ``command`` has."""
    return tuple(option for option in OPTIONS if command in option.commands)


def read_confinement(command: str, said: Mapping[str, object]) -> Confinement:
    """Read what was said of the options of ``command``, by their keywords.

    What is empty says nothing, and leaves the usual.

    Raises:
        TypeError: a keyword that the command has no option of.
        BadOption: a text that means nothing.
        RunError: the same, of ``security``.
    """
    from dissolver.sandbox.confinement import Confinement

    options = options_of(command)
    for keyword in said:
        if keyword not in {option.keyword for option in options}:
            raise TypeError(f"{command}() got an unexpected keyword argument '{keyword}'")
    fields: Fields = {}
    for option in options:
        if value := said.get(option.keyword):
            fields |= option.read(value)
    return Confinement(**fields)


def key_inputs(confined: Confinement) -> Iterator[Input]:
    """Yield what is unusual about a confinement, as inputs of the key of a step.

    Names and values are a disk format: docs/cache-keys.md.
    """
    for option in OPTIONS:
        yield from option.inputs(confined)


def explain_input(name: str, verb: str) -> str | None:
    """Say that an input of a key was added, removed or changed; nothing about those of others."""
    known, _, item = name.partition(".")
    for option in OPTIONS:
        if option.input_name == known:
            return option.change.format(item=item, verb=verb)
    return None


def inspected(confined: Confinement) -> dict[str, Any]:
    """Return the fields of Docker's ``HostConfig`` that show a confinement."""
    return {option.shown: option.show(confined) for option in OPTIONS}
