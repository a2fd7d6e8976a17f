"""The prunes, and what there is to reclaim."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated

from typer import Option

from dissolver.cli.invocation import current
from dissolver.cli.listing import Row, listed
from dissolver.cli.render.sizes import human_size
from dissolver.cli.render.tables import table
from dissolver.errors import DissolverError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dissolver.engine.results import Pruned
    from dissolver.store.cache_usage import CacheEntry
    from dissolver.store.usage import Usage

Force = Annotated[bool, Option("-f", "--force", help="Do not ask")]
All = Annotated[bool, Option("-a", "--all", help="Named images that no container uses, too")]
Filter = Annotated[
    list[str] | None,
    Option(
        "--filter",
        metavar="KEY=VALUE",
        help="Only those that match: until=TIME, label=NAME[=VALUE], label!=NAME[=VALUE]",
    ),
]

_ID_LENGTH = 12
_TEXT_LENGTH = 60

DF_COLUMNS = {
    "Type": "TYPE",
    "TotalCount": "TOTAL",
    "Active": "ACTIVE",
    "Size": "SIZE",
    "Reclaimable": "RECLAIMABLE",
}

QUESTION = "Are you sure you want to continue? [y/N] "
DANGLING = "WARNING! This will remove all dangling images."
UNUSED = "WARNING! This will remove all images without at least one container associated to them."
STOPPED = "WARNING! This will remove all stopped containers."
ANONYMOUS = "WARNING! This will remove anonymous volumes not used by at least one container."
VOLUMES = "WARNING! This will remove all volumes not used by at least one container."
CACHE = "WARNING! This will remove the whole build cache, and all cache mounts."


def prune_images(all_: All = False, force: Force = False, filter_: Filter = None) -> int:
    """Remove images that nothing uses."""
    if not (force or _agreed(UNUSED if all_ else DANGLING)):
        return 1
    _tell(current().engine.prune_images(all_=all_, filters=tuple(filter_ or ()), on_wait=waits))
    return 0


def prune_containers(force: Force = False, filter_: Filter = None) -> int:
    """Remove containers that do not run."""
    if not (force or _agreed(STOPPED)):
        return 1
    _tell(current().engine.prune_containers(filters=tuple(filter_ or ())))
    return 0


def prune_volumes(
    all_: Annotated[bool, Option("-a", "--all", help="Named volumes, too")] = False,
    force: Force = False,
) -> int:
    """Remove volumes that no container mounts."""
    if not (force or _agreed(VOLUMES if all_ else ANONYMOUS)):
        return 1
    _tell(current().engine.prune_volumes(all_=all_, on_wait=waits))
    return 0


def prune_builder(
    all_: Annotated[bool, Option("-a", "--all", hidden=True)] = False,  # noqa: ARG001
    force: Force = False,
    filter_: Annotated[
        list[str] | None,
        Option("--filter", metavar="until=TIME", help="Only what was not used since"),
    ] = None,
) -> int:
    """Forget the build cache."""
    if not (force or _agreed(CACHE)):
        return 1
    _tell(current().engine.prune_builder(filters=tuple(filter_ or ()), on_wait=waits))
    return 0


def prune_system(
    all_: All = False,
    force: Force = False,
    volumes: Annotated[bool, Option("--volumes", help="Anonymous volumes, too")] = False,
    filter_: Filter = None,
) -> int:
    """Remove all that nothing uses."""
    what = "images without at least one container associated to them" if all_ else "dangling images"
    cache = "all build cache" if all_ else "unused build cache"
    warning = f"WARNING! This will remove:\n  - all stopped containers\n  - all {what}\n"
    warning += f"  - {cache}\n"
    if volumes:
        warning += "  - all anonymous volumes not used by at least one container\n"
    filters = tuple(filter_ or ())
    if filters:
        warning += f"\n  Items to be pruned will be filtered with:\n  - {', '.join(filters)}\n"
    if not (force or _agreed(warning)):
        return 1
    _tell(current().engine.prune_system(all_=all_, volumes=volumes, filters=filters, on_wait=waits))
    return 0


def waits() -> None:
    """Tell that somebody else has to end first."""
    sys.stderr.write("waiting until builds and transfers have ended\n")
    sys.stderr.flush()


def _agreed(warning: str) -> bool:
    sys.stdout.write(f"{warning}\n{QUESTION}")
    sys.stdout.flush()
    answer = sys.stdin.readline()
    if not answer:
        sys.stdout.write("\n")
        sys.stdout.flush()
        raise DissolverError(
            "nobody answered, so nothing was removed", hint="use `-f` to go on without asking"
        )
    return answer.strip().lower() in ("y", "yes")


def _tell(pruned: Pruned) -> None:
    sys.stdout.write(pruned_text(pruned))


def pruned_text(pruned: Pruned) -> str:
    """Word what a prune took away."""
    text = ""
    if pruned.containers:
        text += "Deleted Containers:\n" + "".join(f"{name}\n" for name in pruned.containers) + "\n"
    if pruned.volumes:
        text += "Deleted Volumes:\n" + "".join(f"{name}\n" for name in pruned.volumes) + "\n"
    if pruned.untagged or pruned.images:
        text += "Deleted Images:\n"
        text += "".join(f"untagged: {name}\n" for name in pruned.untagged)
        text += "".join(f"deleted: {identity}\n" for identity in pruned.images) + "\n"
    if pruned.records:
        text += f"Deleted build cache records: {pruned.records}\n\n"
    if pruned.cache_mounts:
        text += f"Deleted cache mounts: {pruned.cache_mounts}\n\n"
    return text + f"Total reclaimed space: {human_size(pruned.reclaimed_bytes)}\n"


def df(
    form: Annotated[
        str | None, Option("--format", metavar="FORM", help="table, json, or a template")
    ] = None,
) -> None:
    """Show what takes space."""
    rows = [usage_row(row) for row in current().engine.disk_usage()]
    sys.stdout.write(listed(rows, DF_COLUMNS, form, DF_COLUMNS))


def builder_du(
    form: Annotated[
        str, Option("--format", metavar="FORMAT", help="table or json", show_default=False)
    ] = "table",
    no_trunc: Annotated[bool, Option("--no-trunc", help="Show whole IDs and texts")] = False,
) -> int:
    """Show what the build cache keeps, each with its size and when it was last used."""
    from dissolver.cli.words import UsageSlip

    engine = current().engine
    if form not in ("table", "json"):
        raise UsageSlip(f"unknown format `{form}`", None, "use `table` or `json`")
    entries = engine.build_cache()
    if form == "json":
        sys.stdout.write("".join(_cache_line(entry) for entry in entries))
        return 0
    (usage,) = [row for row in engine.disk_usage() if row.kind == "Build Cache"]
    sys.stdout.write(cache_table(entries, usage, is_cut=not no_trunc))
    return 0


def cache_table(entries: Sequence[CacheEntry], usage: Usage, *, is_cut: bool) -> str:
    """Lay out the entries of the build cache, and what they take together."""
    from dissolver.containers.ages import age

    header = ("ID", "RECLAIMABLE", "SIZE", "LAST ACCESSED", "DESCRIPTION")
    now = time.time_ns()
    rows = [
        (
            entry.id[:_ID_LENGTH] if is_cut else entry.id,
            str(not entry.is_shared).lower(),
            human_size(entry.size_bytes) + ("*" if entry.is_shared else ""),
            f"{age(now - entry.used_ns)} ago",
            _cut(entry.description) if is_cut else entry.description,
        )
        for entry in entries
    ]
    shared = sum(entry.is_shared for entry in entries)
    summary = f"Reclaimable:  {human_size(usage.reclaimable_bytes)}\n"
    if shared:
        summary = f"* layers of images or containers: {shared}\n{summary}"
    return f"{table(header, rows)}{summary}"


def _cache_line(entry: CacheEntry) -> str:
    import json
    from datetime import UTC, datetime

    used = datetime.fromtimestamp(entry.used_ns // 1_000_000_000, UTC)
    content = {
        "ID": entry.id,
        "Type": entry.kind,
        "Reclaimable": not entry.is_shared,
        "Shared": entry.is_shared,
        "Size": human_size(entry.size_bytes),
        "LastUsedAt": used.isoformat().replace("+00:00", "Z"),
        "Description": entry.description,
    }
    return json.dumps(content) + "\n"


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _TEXT_LENGTH else line[: _TEXT_LENGTH - 1] + "…"


def usage_row(row: Usage) -> Row:
    """Word what one kind of object takes, and what pruning would give back."""
    share = ""
    if row.size_bytes:
        share = f" ({100 * row.reclaimable_bytes // row.size_bytes}%)"
    return {
        "Type": row.kind,
        "TotalCount": str(row.total),
        "Active": str(row.active),
        "Size": human_size(row.size_bytes),
        "Reclaimable": human_size(row.reclaimable_bytes) + share,
    }
