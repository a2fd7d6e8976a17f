"""The prunes, and what there is to reclaim."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

from typer import Option

from dissolver.cli.invocation import current
from dissolver.cli.render.sizes import human_size
from dissolver.cli.render.tables import table
from dissolver.errors import DissolverError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dissolver.engine.results import Pruned
    from dissolver.store.usage import Usage

Force = Annotated[bool, Option("-f", "--force", help="Do not ask")]
All = Annotated[bool, Option("-a", "--all", help="Named images that no container uses, too")]

QUESTION = "Are you sure you want to continue? [y/N] "
DANGLING = "WARNING! This will remove all dangling images."
UNUSED = "WARNING! This will remove all images without at least one container associated to them."
STOPPED = "WARNING! This will remove all stopped containers."
CACHE = "WARNING! This will remove the whole build cache."


def prune_images(all_: All = False, force: Force = False) -> int:
    """Remove images that nothing uses."""
    if not (force or _agreed(UNUSED if all_ else DANGLING)):
        return 1
    _tell(current().engine.prune_images(all_=all_))
    return 0


def prune_containers(force: Force = False) -> int:
    """Remove containers that do not run."""
    if not (force or _agreed(STOPPED)):
        return 1
    _tell(current().engine.prune_containers())
    return 0


def prune_builder(
    all_: Annotated[bool, Option("-a", "--all", hidden=True)] = False,  # noqa: ARG001
    force: Force = False,
) -> int:
    """Forget the build cache."""
    if not (force or _agreed(CACHE)):
        return 1
    _tell(current().engine.prune_builder())
    return 0


def prune_system(all_: All = False, force: Force = False) -> int:
    """Remove all that nothing uses."""
    what = "images without at least one container associated to them" if all_ else "dangling images"
    cache = "all build cache" if all_ else "unused build cache"
    warning = (
        f"WARNING! This will remove:\n  - all stopped containers\n  - all {what}\n  - {cache}\n"
    )
    if not (force or _agreed(warning)):
        return 1
    _tell(current().engine.prune_system(all_=all_))
    return 0


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
    if pruned.untagged or pruned.images:
        text += "Deleted Images:\n"
        text += "".join(f"untagged: {name}\n" for name in pruned.untagged)
        text += "".join(f"deleted: {identity}\n" for identity in pruned.images) + "\n"
    if pruned.records:
        text += f"Deleted build cache records: {pruned.records}\n\n"
    return text + f"Total reclaimed space: {human_size(pruned.reclaimed_bytes)}\n"


def df() -> None:
    """Show what takes space."""
    sys.stdout.write(usage_table(current().engine.disk_usage()))


def builder_du() -> None:
    """Show what the build cache takes."""
    usage = [row for row in current().engine.disk_usage() if "cache" in row.kind.lower()]
    sys.stdout.write(usage_table(usage))


def usage_table(rows: Sequence[Usage]) -> str:
    """Lay out what each kind of object takes, and what pruning would give back."""
    header = ("TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE")
    return table(header, [_usage_cells(row) for row in rows])


def _usage_cells(row: Usage) -> tuple[str, ...]:
    share = ""
    if row.size_bytes:
        share = f" ({100 * row.reclaimable_bytes // row.size_bytes}%)"
    return (
        row.kind,
        str(row.total),
        str(row.active),
        human_size(row.size_bytes),
        human_size(row.reclaimable_bytes) + share,
    )
