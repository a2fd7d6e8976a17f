"""``pull``, ``push``, ``login``, ``logout`` and ``search``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from dissolver.cli.invocation import current
from dissolver.cli.words import UsageSlip

if TYPE_CHECKING:
    from dissolver.registry.events import OnTransfer

Image = Annotated[str, Argument(metavar="NAME[:TAG|@DIGEST]")]
Quiet = Annotated[bool, Option("-q", "--quiet", help="Print the name of the image only")]
PlatformOption = Annotated[
    str | None,
    Option("--platform", metavar="OS/ARCHITECTURE", help="Of several images, take this one"),
]
SEARCH_COLUMNS = {
    "Name": "NAME",
    "Description": "DESCRIPTION",
    "StarCount": "STARS",
    "IsOfficial": "OFFICIAL",
}
_DESCRIPTION_CELLS = 45


def pull(
    image: Image,
    all_tags: Annotated[
        bool, Option("-a", "--all-tags", help="Fetch all tags of the repository")
    ] = False,
    quiet: Quiet = False,
    platform: PlatformOption = None,
) -> None:
    """Fetch an image from a registry."""
    if all_tags and _has_version(image):
        raise UsageSlip("a tag or digest does not go with `--all-tags`", None)
    _tell_default_tag(image, quiet=quiet or all_tags)
    pulled = current().engine.pull(
        image, platform=platform, all_tags=all_tags, on_event=display(quiet=quiet)
    )
    names = dict.fromkeys(
        one.reference.name if all_tags else one.reference.canonical for one in pulled
    )
    sys.stdout.write("".join(f"{name}\n" for name in names))


def push(
    image: Image,
    all_tags: Annotated[
        bool, Option("-a", "--all-tags", help="Send all local tags of the repository")
    ] = False,
    quiet: Quiet = False,
    compression: Annotated[
        str, Option("--compression", metavar="KIND", help="Of new layers: gzip, zstd or none")
    ] = "gzip",
) -> None:
    """Send an image to a registry."""
    if all_tags and _has_version(image):
        raise UsageSlip("a tag does not go with `--all-tags`", None)
    _tell_default_tag(image, quiet=quiet or all_tags)
    pushed = current().engine.push(
        image, all_tags=all_tags, compression=compression, on_event=display(quiet=quiet)
    )
    if quiet:
        names = dict.fromkeys(
            one.reference.name if all_tags else one.reference.canonical for one in pushed
        )
        sys.stdout.write("".join(f"{name}\n" for name in names))


def login(
    server: Annotated[str, Argument(metavar="[SERVER]", show_default=False)] = "",
    user: Annotated[str | None, Option("-u", "--username", metavar="NAME", help="User")] = None,
    password: Annotated[
        str | None,
        Option("-p", "--password", metavar="PASSWORD", help="Password, or access token"),
    ] = None,
    password_stdin: Annotated[
        bool, Option("--password-stdin", help="Read the password from standard input")
    ] = False,
) -> None:
    """Log in to a registry."""
    if password is not None:
        if password_stdin:
            raise UsageSlip("`--password` and `--password-stdin` do not go together", None)
        sys.stderr.write(
            "WARNING! Using --password via the CLI is insecure. Use --password-stdin.\n"
        )
    if password_stdin:
        if user is None:
            raise UsageSlip("`--password-stdin` needs a user name", None, "name it with `-u`")
        password = sys.stdin.read().rstrip("\r\n")
    name = user if user is not None else _asked("Username: ")
    secret = password if password is not None else _asked("Password: ", is_secret=True)
    if not name or not secret:
        raise UsageSlip("a login needs a user name and a password", None)
    place = current().engine.login(server, name, secret)
    if place is not None:
        sys.stderr.write(
            f"WARNING! Your credentials are stored unencrypted in '{place}'.\n"
            "Configure a credential helper to remove this warning.\n"
        )
    sys.stdout.write("Login Succeeded\n")


def logout(
    server: Annotated[str, Argument(metavar="[SERVER]", show_default=False)] = "",
) -> None:
    """Log out from a registry."""
    from dissolver.registry.endpoints import login_server, named_registry

    name = login_server(named_registry(server))
    if current().engine.logout(server):
        sys.stdout.write(f"Removing login credentials for {name}\n")
    else:
        sys.stdout.write(f"Not logged in to {name}\n")


def search(
    term: Annotated[str, Argument(metavar="TERM")],
    limit: Annotated[int, Option("--limit", metavar="N", help="Show at most so many")] = 25,
    no_trunc: Annotated[bool, Option("--no-trunc", help="Do not shorten anything")] = False,
    form: Annotated[
        str | None, Option("--format", metavar="FORM", help="table, json, or a template")
    ] = None,
) -> None:
    """Search a registry for images."""
    from dissolver.cli.listing import listed
    from dissolver.cli.render.cells import ellipsis

    rows = [
        {
            "Name": found.name,
            "Description": found.description
            if no_trunc
            else ellipsis(found.description, _DESCRIPTION_CELLS),
            "StarCount": str(found.stars),
            "IsOfficial": "[OK]" if found.is_official else "",
        }
        for found in current().engine.search(term, limit=limit)
    ]
    sys.stdout.write(listed(rows, SEARCH_COLUMNS, form, SEARCH_COLUMNS))


def display(*, quiet: bool) -> OnTransfer | None:
    """Choose what shows transfers on standard output."""
    from dissolver.cli.render.transfers import transfer_display

    if quiet:
        return None
    return transfer_display(sys.stdout, is_dumb=current().settings.is_dumb_terminal)


def _has_version(image: str) -> bool:
    return "@" in image or ":" in image.rpartition("/")[2]


def _tell_default_tag(image: str, *, quiet: bool) -> None:
    if not quiet and not _has_version(image):
        sys.stdout.write("Using default tag: latest\n")
        sys.stdout.flush()


def _asked(question: str, *, is_secret: bool = False) -> str:
    """Ask the user at the terminal."""
    if not sys.stdin.isatty():
        raise UsageSlip(
            "there is no terminal to ask for a user name and a password",
            None,
            "give `-u NAME --password-stdin` and the password on standard input",
        )
    if is_secret:
        from getpass import getpass

        return getpass(question)
    sys.stdout.write(question)
    sys.stdout.flush()
    return sys.stdin.readline().strip()
