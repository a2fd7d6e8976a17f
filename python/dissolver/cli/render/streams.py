"""Standard output on a terminal, where the names of strangers must not steer it."""

from __future__ import annotations

import io
from typing import TextIO

from dissolver.cli.render.cells import escaped_lines


class TerminalText(io.TextIOWrapper):
    """A text stream to a terminal that shows control characters instead of sending them.

    It is the last place that text passes, whatever image, registry, or Dockerfile it is from
    and whichever command writes it. What a container writes is none of it: that goes to the
    stream's descriptor or buffer.
    """

    def write(self, text: str) -> int:
        """Write ``text``, in which only line ends and tabs are obeyed."""
        return super().write(escaped_lines(text))

    def draw(self, text: str) -> int:
        """Write ``text`` with its control characters: pictures are drawn with some."""
        return super().write(text)


def shown_on(stream: TextIO) -> TextIO:
    """Return what to write to instead of ``stream``: the same, unless it is a terminal."""
    if not isinstance(stream, io.TextIOWrapper) or isinstance(stream, TerminalText):
        return stream
    if not stream.isatty():
        return stream
    stream.flush()
    return TerminalText(
        stream.buffer, encoding=stream.encoding, errors="backslashreplace", line_buffering=True
    )


def drawing(stream: TextIO) -> TextIO | _Drawing:
    """Return what draws pictures on ``stream``."""
    return _Drawing(stream) if isinstance(stream, TerminalText) else stream


class _Drawing:
    def __init__(self, stream: TerminalText) -> None:
        self.write, self.flush = stream.draw, stream.flush
