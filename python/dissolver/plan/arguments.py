"""Build arguments: what ARG, ``--build-arg`` and the platforms say."""

from __future__ import annotations

from collections.abc import Mapping

from dissolver.dockerfile.ast import Arg, Instruction
from dissolver.dockerfile.expand import expand
from dissolver.errors import DockerfileError
from dissolver.image.platform import Platform

PROXY_ARGUMENTS = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
"""Arguments that RUN sees without an ARG, in either case, and that no history or key holds."""

NOT_IN_ENVIRONMENT = frozenset(("BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"))
"""Arguments that steer the build and are no variables of RUN."""


def platform_arguments(target: Platform, build: Platform, stage: str) -> dict[str, str]:
    """Return the arguments that exist without an ARG before the first FROM."""
    arguments: dict[str, str] = {}
    for prefix, platform in (("TARGET", target), ("BUILD", build)):
        arguments[f"{prefix}PLATFORM"] = str(platform)
        arguments[f"{prefix}OS"] = platform.os
        arguments[f"{prefix}OSVERSION"] = ""
        arguments[f"{prefix}ARCH"] = platform.architecture
        arguments[f"{prefix}VARIANT"] = platform.variant
    arguments["TARGETSTAGE"] = stage or "default"
    return arguments


def global_arguments(
    instructions: tuple[Instruction, ...],
    build_args: Mapping[str, str],
    predefined: Mapping[str, str],
    escape: str,
) -> dict[str, str]:
    """Return the values of the ARGs before the first FROM, on top of those that are predefined.

    A ``--build-arg`` wins over a default; an ARG with neither has no value.

    Raises:
        DockerfileError: a default cannot be expanded.
    """
    values = {name: build_args.get(name, value) for name, value in predefined.items()}
    for instruction in instructions:
        if not isinstance(instruction, Arg):
            break
        for definition in instruction.definitions:
            name = definition.name.text
            if name in build_args:
                values[name] = build_args[name]
            elif definition.default is not None:
                try:
                    values[name] = expand(definition.default.text, values, escape)
                except DockerfileError as error:
                    error.where = error.where or instruction.where_of(definition.default)
                    raise
    return values


def proxy_variables(build_args: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return the proxy settings that RUN gets, in capitals and in lower case."""
    given = {name.upper(): value for name, value in sorted(build_args.items())}
    found = [(name, given[name]) for name in PROXY_ARGUMENTS if name in given]
    return tuple(pair for name, value in found for pair in ((name, value), (name.lower(), value)))
