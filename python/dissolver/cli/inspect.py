"""``inspect``: everything about images and containers, as JSON or through a template."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Annotated, Any

from typer import Argument, Option

from dissolver.cli import exits
from dissolver.cli.invocation import current
from dissolver.cli.render.templates import compile_template
from dissolver.cli.words import UsageSlip
from dissolver.errors import ContainerNotFound, DissolverError, ImageNotFound

Names = Annotated[list[str], Argument(metavar="NAME...", show_default=False)]
Form = Annotated[
    str | None, Option("-f", "--format", metavar="FORM", help="json, or a template for each")
]


def inspect(
    names: Names,
    form: Form = None,
    type_: Annotated[
        str | None, Option("--type", metavar="TYPE", help="Look for these only: container or image")
    ] = None,
) -> int:
    """Show everything about containers or images."""
    engine = current().engine
    kinds = {"container": engine.inspect_container, "image": engine.inspect_image, None: _either}
    if type_ not in kinds:
        raise UsageSlip(f"unknown type `{type_}`", None, "use one of `container`, `image`")
    return _shown(names, kinds[type_], form)


def inspect_images(
    names: Names,
    form: Form = None,
    remote: Annotated[
        bool, Option("--remote", help="Ask registries, without fetching layers")
    ] = False,
    platform: Annotated[
        str | None,
        Option("--platform", metavar="OS/ARCHITECTURE", help="With --remote: of this platform"),
    ] = None,
) -> int:
    """Show everything about images."""
    engine = current().engine
    if platform is not None and not remote:
        raise UsageSlip("`--platform` goes with `--remote`", None)
    if remote:
        return _shown(names, lambda name: engine.inspect_remote(name, platform=platform), form)
    return _shown(names, engine.inspect_image, form)


def inspect_containers(names: Names, form: Form = None) -> int:
    """Show everything about containers."""
    return _shown(names, current().engine.inspect_container, form)


def _either(name: str) -> dict[str, Any]:
    engine = current().engine
    try:
        return engine.inspect_container(name)
    except ContainerNotFound:
        pass
    try:
        return engine.inspect_image(name)
    except ImageNotFound:
        raise DissolverError(
            f"no container or image answers to `{name}`",
            hint="see `dissolver ps -a` and `dissolver images`",
        ) from None


def _shown(names: list[str], look: Callable[[str], dict[str, Any]], form: str | None) -> int:
    """Show all that was found, then tell about what was not."""
    render = None if form in (None, "json") else compile_template(str(form))
    found: list[dict[str, Any]] = []
    failures: list[DissolverError] = []
    for name in names:
        try:
            found.append(look(name))
        except DissolverError as error:
            failures.append(error)
    if render is not None:
        sys.stdout.write("".join(f"{render(item)}\n" for item in found))
    else:
        indent = None if form == "json" else 4
        sys.stdout.write(json.dumps(found, indent=indent, ensure_ascii=False) + "\n")
    statuses = [exits.report(error, current()) for error in failures]
    return statuses[-1] if statuses else 0
