"""``images``, ``tag``, ``rmi`` and ``history``: images that are there."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from dissolver.cli.invocation import current
from dissolver.cli.listing import Row, has_label, listed, read_filters
from dissolver.cli.names import image_names
from dissolver.cli.render.cells import ellipsis
from dissolver.cli.render.sizes import human_size
from dissolver.cli.render.times import SECOND_NS, age, local_time
from dissolver.cli.targets import each
from dissolver.cli.words import UsageSlip
from dissolver.errors import ImageNotFound

if TYPE_CHECKING:
    from dissolver.engine.results import HistoryRow
    from dissolver.image.reference import Reference
    from dissolver.store.images import ListedImage

NONE = "<none>"
SHORT_ID = 12
CREATED_BY_CELLS = 45
_TRUTH = {"true": True, "1": True, "false": False, "0": False}
FILTERS = ("dangling", "reference", "label", "before", "since")

COLUMNS = {
    "Repository": "REPOSITORY",
    "Tag": "TAG",
    "ID": "IMAGE ID",
    "CreatedSince": "CREATED",
    "Size": "SIZE",
}
TITLES = {**COLUMNS, "Digest": "DIGEST", "CreatedAt": "CREATED AT"}
HISTORY_COLUMNS = {
    "ID": "IMAGE",
    "CreatedSince": "CREATED",
    "CreatedBy": "CREATED BY",
    "Size": "SIZE",
    "Comment": "COMMENT",
}
HISTORY_TITLES = {**HISTORY_COLUMNS, "CreatedAt": "CREATED AT"}
Form = Annotated[str | None, Option("--format", metavar="FORM", help="table, json, or a template")]
Untruncated = Annotated[bool, Option("--no-trunc", help="Do not shorten anything")]


def images(
    repository: Annotated[str | None, Argument(metavar="[NAME[:TAG]]", show_default=False)] = None,
    all_: Annotated[  # noqa: ARG001  (there are no images that only -a would show)
        bool, Option("-a", "--all", help="Show all images")
    ] = False,
    quiet: Annotated[bool, Option("-q", "--quiet", help="Print the IDs only")] = False,
    no_trunc: Untruncated = False,
    digests: Annotated[bool, Option("--digests", help="Show the digests, too")] = False,
    filter_: Annotated[
        list[str] | None,
        Option("-f", "--filter", metavar="KEY=VALUE", help="Show those that match"),
    ] = None,
    form: Form = None,
    tree: Annotated[bool, Option("--tree", help="Show the platform below each image")] = False,
) -> None:
    """List images, the newest first; untagged ones as <none>."""
    if tree and (quiet or form is not None):
        raise UsageSlip("`--tree` is a table", None, "leave `-q` and `--format` out")
    filters = read_filters(filter_, FILTERS)
    for value in filters.get("dangling", ()):
        if value.lower() not in _TRUTH:
            raise UsageSlip(f"`dangling` is true or false, not `{value}`", None)
    now = time.time_ns()
    rows: list[Row] = []
    for image in _made_between(current().engine.images(), filters):
        own = [
            row(image, reference, now, shortens=not no_trunc)
            for reference in _shown(image, repository, filters)
        ]
        rows += [*own, _leaf(image, own[0])] if own and tree else own
    if quiet:
        ids = dict.fromkeys(line["ID"] for line in rows)
        sys.stdout.write("".join(f"{identity}\n" for identity in ids))
        return
    columns = dict(COLUMNS)
    if digests:
        columns = {"Repository": "", "Tag": "", "Digest": "DIGEST"} | columns
        columns |= COLUMNS
    sys.stdout.write(listed(rows, columns, form, TITLES))
    if not rows and repository in ("ls", "rm", "prune", "inspect", "history", "build"):
        sys.stderr.write(f"hint: did you mean `dissolver image {repository}`?\n")


def _made_between(
    images: Sequence[ListedImage], filters: dict[str, list[str]]
) -> list[ListedImage]:
    """Pick the images that were made before one that a filter names, and after another."""

    def moments(key: str) -> list[int]:
        return [current().engine.image(name).created or 0 for name in filters.get(key, ())]

    before, since = moments("before"), moments("since")
    return [
        image
        for image in images
        for created in (image.image.created or 0,)
        if (not before or created < max(before)) and (not since or created > min(since))
    ]


def _shown(
    image: ListedImage, repository: str | None, filters: dict[str, list[str]]
) -> Iterator[Reference | None]:
    """Yield the references of an image that a row each is to be written for."""
    labels = image.image.config.config.labels or {}
    if "label" in filters and not any(has_label(labels, text) for text in filters["label"]):
        return
    has_tag = any(reference.tag is not None for reference in image.references)
    if "dangling" in filters and (not has_tag) not in (
        _TRUTH[value.lower()] for value in filters["dangling"]
    ):
        return
    patterns = list(filters.get("reference", ()))
    for reference in _own_rows(image.references):
        name = reference.with_digest(None) if reference and reference.tag else reference
        if repository is not None and not _is_named(name, repository):
            continue
        if patterns and not any(_fits(name, pattern) for pattern in patterns):
            continue
        yield reference


def _own_rows(references: tuple[Reference, ...]) -> tuple[Reference | None, ...]:
    """Pick what gets a row: a digest is told beside a tag of its repository, if there is one."""
    tagged = {reference.name for reference in references if reference.tag is not None}
    digests = {one.name: one.digest for one in references if one.digest is not None}
    rows: list[Reference | None] = [
        one.with_digest(digests.get(one.name))
        for one in references
        if one.tag is not None or one.name not in tagged
    ]
    return tuple(rows) or (None,)


def _is_named(reference: Reference | None, name: str) -> bool:
    if reference is None:
        return False
    names = {reference.name_familiar, reference.familiar, reference.canonical}
    names.add(reference.canonical.rsplit(":", 1)[0])
    return name in names or _fits(reference, name)


def _fits(reference: Reference | None, pattern: str) -> bool:
    from fnmatch import fnmatchcase

    if reference is None:
        return False
    texts = (reference.name_familiar, reference.familiar, reference.canonical)
    return any(fnmatchcase(text, pattern) for text in texts)


def row(image: ListedImage, reference: Reference | None, now_ns: int, *, shortens: bool) -> Row:
    """Word one image under one of its references, or none."""
    identity = image.image.id
    created = image.image.created
    return {
        "Repository": NONE if reference is None else reference.name_familiar,
        "Tag": NONE if reference is None or reference.tag is None else reference.tag,
        "Digest": NONE if reference is None or reference.digest is None else reference.digest,
        "ID": _short(identity) if shortens else identity,
        "CreatedSince": age(created, now_ns),
        "CreatedAt": local_time(created),
        "Size": human_size(image.image.size),
    }


def _leaf(image: ListedImage, row: Row) -> Row:
    """Word what is below the names of an image: the one platform that it is for."""
    blank = dict.fromkeys(row, "")
    platform = str(image.image.config.platform)
    return {**blank, "Repository": f"└─ {platform}", "ID": row["ID"], "Size": row["Size"]}


def _short(identity: str) -> str:
    return identity.removeprefix("sha256:")[:SHORT_ID]


def tag(
    image: Annotated[str, Argument(metavar="IMAGE", autocompletion=image_names)],
    reference: Annotated[str, Argument(metavar="NAME[:TAG]")],
) -> None:
    """Give an image one more name."""
    current().engine.tag(image, reference)


def rmi(
    names: Annotated[
        list[str], Argument(metavar="IMAGE...", autocompletion=image_names, show_default=False)
    ],
    force: Annotated[
        bool, Option("-f", "--force", help="Remove it even if stopped containers use it")
    ] = False,
    no_prune: Annotated[bool, Option("--no-prune", hidden=True)] = False,  # noqa: ARG001
) -> int:
    """Remove images, or names of them."""
    engine = current().engine

    def removed(name: str) -> str:
        try:
            result = engine.remove_image(name, force=force)
        except ImageNotFound as error:
            # What was to be gone is gone: scripts rely on `rmi -f` for that.
            if not force:
                raise
            from dissolver.cli.render.failures import warning

            sys.stderr.write(warning(error.message, colored=current().colors_errors))
            return ""
        lines = [f"Untagged: {reference}\n" for reference in result.untagged]
        return "".join([*lines, *(f"Deleted: {identity}\n" for identity in result.deleted)])

    return each(names, removed)


def history(
    image: Annotated[str, Argument(metavar="IMAGE", autocompletion=image_names)],
    quiet: Annotated[bool, Option("-q", "--quiet", help="Print the IDs only")] = False,
    no_trunc: Untruncated = False,
    human: Annotated[bool, Option("-H", "--human/--no-human", help="Word sizes and times")] = True,
    form: Form = None,
) -> None:
    """Show the instructions an image was made by, the newest first."""
    now = time.time_ns()
    rows = [
        history_row(entry, now, shortens=not no_trunc, human=human)
        for entry in current().engine.history(image)
    ]
    if quiet:
        sys.stdout.write("".join(f"{line['ID']}\n" for line in rows))
        return
    columns = HISTORY_COLUMNS if human else _exact_columns()
    sys.stdout.write(listed(rows, columns, form, HISTORY_TITLES))


def _exact_columns() -> dict[str, str]:
    titles = {"CreatedSince": ("CreatedAt", "CREATED AT")}
    return dict(titles.get(name, (name, title)) for name, title in HISTORY_COLUMNS.items())


def history_row(entry: HistoryRow, now_ns: int, *, shortens: bool, human: bool) -> Row:
    """Word one line of a history."""
    identity = entry.image or "<missing>"
    return {
        "ID": _short(identity) if shortens and entry.image else identity,
        "CreatedSince": age(entry.created_ns, now_ns),
        "CreatedAt": local_time(entry.created_ns) if human else _rfc3339(entry.created_ns),
        "CreatedBy": ellipsis(entry.created_by, CREATED_BY_CELLS) if shortens else entry.created_by,
        "Size": human_size(entry.size) if human else str(entry.size),
        "Comment": entry.comment,
    }


def _rfc3339(at_ns: int | None) -> str:
    if at_ns is None:
        return "N/A"
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_ns // SECOND_NS))
