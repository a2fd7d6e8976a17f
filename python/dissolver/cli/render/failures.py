"""The one place where an error becomes text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dissolver.cli.render.cells import cell_width, printable, shortened
from dissolver.cli.render.palette import Style, paint
from dissolver.errors import DockerfileErrors

if TYPE_CHECKING:
    from dissolver.errors import DissolverError, Where

RULE = "------"
# A RUN with a long here-document would push its own error off the screen.
_SHOWN_LINES = 12
# Nor does anybody read a line that was generated, such as a script without line breaks.
_SHOWN_CHARACTERS = 400
_SHOWN_BEFORE = 100
_TAB = "    "
# Whoever has more mistakes than this in one file corrects the first ones first.
_SHOWN_ERRORS = 10


def failure(error: DissolverError, *, colored: bool = False, with_detail: bool = True) -> str:
    """Word an error: what, where with the lines themselves, and what to try.

    ``with_detail`` is off where the progress display has shown the last output of
    the failed step already.
    """
    if isinstance(error, DockerfileErrors):
        return _several(error, colored=colored)
    text = ""
    if error.detail and with_detail:
        text += "\n".join([RULE, *(printable(line) for line in error.detail), RULE]) + "\n"
    text += plain_failure(error.message, colored=colored)
    if error.where is not None:
        text += _place(error.where, colored=colored)
    if error.hint:
        text += hint(error.hint, colored=colored)
    return text


def _several(group: DockerfileErrors, *, colored: bool) -> str:
    """Word mistakes one below the other, and count them at the end."""
    text = "".join(failure(error, colored=colored) for error in group.errors[:_SHOWN_ERRORS])
    return text + plain_failure(group.message, colored=colored)


def plain_failure(message: str, *, colored: bool = False) -> str:
    """Word an error that has a message and nothing else."""
    return f"{paint('error:', Style.ERROR, colored)} {_line(message)}\n"


def hint(text: str, *, colored: bool = False) -> str:
    """Word what to try next."""
    return f"{paint('hint:', Style.HINT, colored)} {_line(text)}\n"


def warning(message: str, where: Where | None = None, *, colored: bool = False) -> str:
    """Word something that deserves attention, with its place where there is one."""
    text = f"{paint('warning:', Style.WARNING, colored)} {_line(message)}\n"
    return text + (_place(where, colored=colored) if where is not None else "")


def _line(text: str) -> str:
    # A line end is part of a name, which must not look like another message.
    return printable(shortened(text))


def _place(where: Where, *, colored: bool) -> str:
    name = f"{_line(where.file)}:{where.line}"
    text = f"  {paint(name, Style.PLACE, colored)}\n"
    gutter = max(len(str(where.line + len(where.source) - 1)), 1)
    bar = paint("│", Style.PLACE, colored)
    shown = where.source[:_SHOWN_LINES]
    for offset, source in enumerate(shown):
        number = paint(f"{where.line + offset:>{gutter}}", Style.PLACE, colored)
        is_marked = offset == 0 and where.column is not None
        line, column = _clipped(source, (where.column or 0) if is_marked else 0)
        text += f"    {number} {bar} {_source(line)}".rstrip() + "\n"
        if is_marked:
            marks = paint(_carets(line, column, where.length), Style.ERROR, colored)
            text += f"    {' ' * gutter} {bar} {marks}\n"
    if len(shown) < len(where.source):
        text += f"    {' ' * gutter} {bar} … {len(where.source) - len(shown)} more lines\n"
    return text


def _clipped(line: str, column: int) -> tuple[str, int]:
    """Cut what is far from ``column`` off a long line, and tell the column in what is left."""
    start = max(0, column - _SHOWN_BEFORE) if len(line) > _SHOWN_CHARACTERS else 0
    end = start + _SHOWN_CHARACTERS
    before, after = ("…" if start else ""), ("…" if end < len(line) else "")
    return before + line[start:end] + after, column - start + len(before)


def _source(line: str) -> str:
    return printable(line.replace("\t", _TAB))


def _carets(line: str, column: int, length: int | None) -> str:
    before = cell_width(_source(line[:column]))
    bad = line[column:] if length is None else line[column : column + length]
    return " " * before + "^" * max(1, cell_width(_source(bad)))
