"""What remains to be said when a build has ended: failed output, and warnings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dissolver.cli.render.cells import printable
from dissolver.cli.render.failures import RULE, warning
from dissolver.cli.render.progress.log_tail import visible_line

if TYPE_CHECKING:
    from dissolver.cli.render.progress.trace import Trace

PLAIN_LINES = 10


def failure_recap(trace: Trace, *, last: int | None = None) -> str:
    """Repeat the output of failed steps between rules, ``last`` lines of each at most."""
    text = ""
    for traced in trace:
        if not traced.failed or not traced.lines:
            continue
        lines = list(traced.lines)[-last:] if last is not None else list(traced.lines)
        text += f"{RULE}\n > {printable(traced.vertex.name)}:\n"
        text += "".join(f"{stamp} {visible_line(line)}\n" for stamp, line in lines)
        text += f"{RULE}\n"
    return text


def warning_recap(trace: Trace, *, expanded: bool = False, colored: bool = False) -> str:
    """List the warnings of a build, with ``expanded`` each with its lines."""
    warnings = trace.warnings
    if not warnings:
        return ""
    if expanded:
        return "\n" + "".join(
            warning(item.message, item.where, colored=colored) for item in warnings
        )
    count = "1 warning" if len(warnings) == 1 else f"{len(warnings)} warnings"
    text = f"\n {count} found (use --debug to expand):\n"
    for item in warnings:
        place = f" (line {item.where.line})" if item.where is not None else ""
        text += f" - {printable(item.message)}{place}\n"
    return text
