"""Tables of text columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dissolver.cli.render.cells import cell_width, pad, printable

# The column layout that scripts which cut tables by position rely on.
MINIMUM_WIDTH = 10
GAP = 3


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay out a header and rows in columns, one line each, ending with a line end.

    A column is as wide as its longest cell plus three blanks, ten at least; the
    last one is not filled.
    """
    lines = [list(header)]
    lines += [[printable(cell) for cell in row] for row in rows]
    widths = [
        max(MINIMUM_WIDTH, GAP + max(cell_width(line[column]) for line in lines))
        for column in range(len(header) - 1)
    ]
    text = []
    for line in lines:
        cells = [pad(cell, width) for cell, width in zip(line, widths, strict=False)]
        text.append("".join([*cells, line[-1]]) + "\n")
    return "".join(text)
