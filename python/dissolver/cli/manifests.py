"""``manifest`` and ``image copy``: what registries have, put together and moved around."""

from __future__ import annotations

import json
import sys
from typing import Annotated

from typer import Argument, Option

from dissolver.cli.invocation import current
from dissolver.cli.registries import PlatformOption, display
from dissolver.cli.targets import each
from dissolver.cli.words import UsageSlip

ListName = Annotated[str, Argument(metavar="LIST")]
Insecure = Annotated[bool, Option("--insecure", hidden=True)]


def copy(
    source: Annotated[str, Argument(metavar="SOURCE")],
    target: Annotated[str, Argument(metavar="TARGET")],
    all_platforms: Annotated[
        bool, Option("-a", "--all", help="Copy the images for all platforms, or fail")
    ] = False,
    platform: PlatformOption = None,
    quiet: Annotated[bool, Option("-q", "--quiet", help="Print the digest only")] = False,
) -> None:
    """Copy an image between registries, layouts, archives and the store."""
    if all_platforms and platform is not None:
        raise UsageSlip("`--all` and `--platform` do not go together", None)
    copied = current().engine.copy_image(
        source,
        target,
        platform=platform,
        all_platforms=all_platforms,
        on_event=display(quiet=quiet),
    )
    if quiet:
        sys.stdout.write(f"{copied.digest}\n")


def inspect(
    name: Annotated[str, Argument(metavar="NAME")],
    verbose: Annotated[
        bool, Option("-v", "--verbose", help="Show its digest and size as well")
    ] = False,
    insecure: Insecure = False,  # noqa: ARG001  (config.toml says which registries are)
) -> None:
    """Show a manifest, an index or a list."""
    found = current().engine.inspect_manifest(name)
    shown = found if verbose else found["Manifest"]
    sys.stdout.write(json.dumps(shown, indent=4, ensure_ascii=False) + "\n")


def create(
    name: ListName,
    images: Annotated[list[str], Argument(metavar="IMAGE...", show_default=False)],
    amend: Annotated[bool, Option("-a", "--amend", help="Add to a list that there is")] = False,
    insecure: Insecure = False,  # noqa: ARG001
) -> None:
    """Begin a list of images."""
    created = current().engine.create_manifest(name, images, amend=amend)
    sys.stdout.write(f"Created manifest list {created['Name']}\n")


def annotate(
    name: ListName,
    image: Annotated[str, Argument(metavar="IMAGE")],
    os: Annotated[str | None, Option("--os", metavar="NAME", help="Operating system")] = None,
    arch: Annotated[str | None, Option("--arch", metavar="NAME", help="Architecture")] = None,
    variant: Annotated[
        str | None, Option("--variant", metavar="NAME", help="Variant of the architecture")
    ] = None,
    annotation: Annotated[
        list[str] | None,
        Option("--annotation", metavar="NAME=VALUE", help="Annotate it (may be repeated)"),
    ] = None,
) -> None:
    """Change what a list says of an image."""
    given = {"os": os, "architecture": arch, "variant": variant}
    annotations = dict(_pair(word) for word in annotation or ())
    current().engine.annotate_manifest(
        name,
        image,
        platform={key: value for key, value in given.items() if value is not None},
        annotations=annotations,
    )


def _pair(word: str) -> tuple[str, str]:
    key, equals, value = word.partition("=")
    if not key or not equals:
        raise UsageSlip(f"`{word}` is no annotation", None, "write `--annotation NAME=VALUE`")
    return key, value


def push(
    name: ListName,
    purge: Annotated[bool, Option("-p", "--purge", help="Remove the list here afterwards")] = False,
    quiet: Annotated[bool, Option("-q", "--quiet", help="Print the digest only")] = False,
    insecure: Insecure = False,  # noqa: ARG001
) -> None:
    """Send a list to its registry and print its digest."""
    digest = current().engine.push_manifest(name, purge=purge, on_event=display(quiet=quiet))
    sys.stdout.write(f"{digest}\n")


def rm(
    names: Annotated[list[str], Argument(metavar="LIST...", show_default=False)],
) -> int:
    """Remove lists that are kept here."""
    engine = current().engine

    def removed(name: str) -> str:
        engine.remove_manifest(name)
        return ""

    return each(names, removed)
