"""Compose files: every service with a ``build`` section is a target.

See https://docs.docker.com/reference/compose-file/build/ and
https://docs.docker.com/build/bake/compose-file/.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dissolver.bake.compose_build import BuildSection
from dissolver.bake.hcl.limits import refuse_larger
from dissolver.bake.hcl.values import ValueFault
from dissolver.bake.interpolation import interpolate
from dissolver.bake.target import Definition, Group, Target, check_name
from dissolver.bake.yaml_text import OVERRIDE, RESET, Placed, parse_yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dissolver.bake.hcl.source import Source

_SERVICE_KEYS = ("image", "build", "environment", "env_file", "extends")
"""What of a service has to do with its build; the rest is about running it."""

_BY_NAME = frozenset(("args", "labels", "additional_contexts", "extra_hosts", "environment"))
"""Keys whose lists of ``name=value`` are mappings in another form."""


def read_compose(
    sources: Sequence[Source],
    variables: Mapping[str, str],
    read_file: Callable[[str], str | None],
) -> Definition:
    """Read compose files, the later ones on top of the earlier ones.

    ``variables`` are put in where the files ask for them. ``read_file`` gives the text of
    another file that these name, or nothing.

    Raises:
        BakeFileError: a file is none, or says something that a build here cannot do.
    """
    services: dict[str, dict[str, Placed]] = {}
    secrets: dict[str, Placed] = {}
    for source in sources:
        whole = _Filling(variables).of(parse_yaml(source)).mapping("a compose file")
        if "include" in whole:
            raise whole["include"].fault(
                "`include` is not supported",
                hint="name the other file, too: `-f compose.yaml -f other.yaml`",
            )
        found = _services(whole)
        for name, service in found.items():
            extended = _extended(name, service, found, ())
            services[name] = _merged_service(services.get(name, {}), extended)
        if "secrets" in whole:
            secrets |= whole["secrets"].mapping("`secrets`")
    targets: dict[str, Target] = {}
    for name, service in services.items():
        if "build" not in service or service["build"].value is None:
            continue
        section = BuildSection(name, service, secrets, variables, read_file)
        target = section.target(name.replace(".", "_"))
        check_name(target.name, target.where)
        targets[target.name] = target
    groups = {"default": Group("default", tuple(targets))} if services else {}
    return Definition(targets, groups)


def is_compose(source: Source) -> bool:
    """Tell whether a text that may be anything is a compose file."""
    from dissolver.errors import BakeFileError

    try:
        whole = parse_yaml(source).value
    except BakeFileError:
        return False
    return isinstance(whole, dict) and "services" in whole


class _Filling:
    """Puts variables into all texts of a file, as far as the memory for them goes."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self._size = 0

    def of(self, placed: Placed) -> Placed:
        """Give a value with variables put into its texts."""
        if isinstance(placed.value, str) and "$" in placed.value:
            try:
                text = interpolate(placed.value, self._variables)
                self._size += len(text)
                refuse_larger(self._size)
            except ValueFault as fault:
                raise placed.fault(str(fault)) from None
            return replace(placed, value=text)
        if isinstance(placed.value, list):
            return replace(placed, value=[self.of(item) for item in placed.value])
        if isinstance(placed.value, dict):
            filled = {key: self.of(item) for key, item in placed.value.items()}
            return replace(placed, value=filled)
        return placed


def _services(whole: Mapping[str, Placed]) -> dict[str, dict[str, Placed]]:
    if "services" not in whole:
        return {}
    found: dict[str, dict[str, Placed]] = {}
    for name, service in whole["services"].mapping("`services`").items():
        parts = service.mapping(f"the service `{name}`")
        found[name] = {key: _normal(key, parts[key]) for key in _SERVICE_KEYS if key in parts}
    return found


def _normal(key: str, given: Placed) -> Placed:
    """Bring a value into its long form, so that two can be merged."""
    if key == "build":
        if isinstance(given.value, str):
            return replace(given, value={"context": given})
        parts = given.mapping("`build`")
        return replace(given, value={name: _normal(name, parts[name]) for name in parts})
    if key in _BY_NAME and isinstance(given.value, list):
        named: dict[str, Placed] = {}
        for item in given.value:
            name, value = _pair(key, item)
            before = named.get(name)
            if key == "extra_hosts" and before is not None:
                value = replace(value, value=f"{before.value},{value.value}")
            named[name] = value
        return replace(given, value=named)
    return given


def _pair(key: str, item: Placed) -> tuple[str, Placed]:
    text = item.text(f"an entry of `{key}`")
    name, separator, value = text.partition("=")
    if not separator and key == "extra_hosts":
        name, separator, value = text.partition(":")
    if not separator:
        return name, replace(item, value=None)
    return name, replace(item, value=value)


def _extended(
    name: str,
    service: Mapping[str, Placed],
    services: Mapping[str, Mapping[str, Placed]],
    way: tuple[str, ...],
) -> dict[str, Placed]:
    """Put a service on top of the one that it extends."""
    given = service.get("extends")
    if given is None:
        return dict(service)
    if name in way:
        raise given.fault(f"`{name}` extends itself: {' → '.join((*way, name))}")
    if isinstance(given.value, str):
        other = given.value
    else:
        parts = given.mapping("`extends`")
        if "file" in parts:
            raise parts["file"].fault(
                "a service of another file cannot be extended here",
                hint="name both files: `-f base.yaml -f compose.yaml`",
            )
        if "service" not in parts:
            raise given.fault("`extends` needs a `service`")
        other = parts["service"].text("`service`")
    if other not in services:
        raise given.fault(f"there is no service `{other}` to extend")
    below = _extended(other, services[other], services, (*way, name))
    return _merged_service(below, {key: service[key] for key in service if key != "extends"})


def _merged_service(first: Mapping[str, Placed], second: Mapping[str, Placed]) -> dict[str, Placed]:
    merged = dict(first)
    for key, value in second.items():
        if value.tag == RESET:
            merged.pop(key, None)
        elif key not in merged:
            merged[key] = value
        else:
            merged[key] = _merged(merged[key], value)
    return merged


def _merged(first: Placed, second: Placed) -> Placed:
    if second.tag == OVERRIDE:
        return second
    if isinstance(first.value, dict) and isinstance(second.value, dict):
        return replace(second, value=_merged_service(first.value, second.value))
    if isinstance(first.value, list) and isinstance(second.value, list):
        return replace(second, value=[*first.value, *second.value])
    return second if second.value is not None else first
