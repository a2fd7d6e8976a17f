"""The last lines of a step's output, as a small terminal would show them."""

from __future__ import annotations

import codecs
import re

from dissolver.cli.render.cells import wrap

# More than any display shows; what scrolled further up cannot be changed any more.
KEPT_LINES = 64
# A line without an end would otherwise grow for as long as the step runs.
LINE_LIMIT = 4096
_TAB_STOP = 8

# As in terminals, the next escape ends a string such as a title: looking for its end
# further on would take a step's output apart in quadratic time.
_PIECES = re.compile(
    r"\x1b\[(?P<arguments>[0-9;?]*)[ -/]*(?P<command>[@-~])"
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)"
    r"|\x1b[ -/]*[0-Z\\^-~]"
    r"|(?P<control>[\x00-\x1f\x7f-\x9f])"
    r"|(?P<text>[^\x00-\x1f\x7f-\x9f]+)",
)
_UNFINISHED = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*|[\]PX^_][^\x07\x1b]*\x1b?|[ -/]*)?\Z")


class LogTail:
    """Follows output with carriage returns, line edits and cursor movements.

    Colours and everything else that would act on the real terminal are dropped,
    so the lines are safe to print.
    """

    def __init__(self) -> None:
        self.byte_count = 0
        self._lines = [""]
        self._row = 0
        self._column = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""

    def feed(self, data: bytes) -> None:
        """Take the next bytes, which may end anywhere, even within a character."""
        self.byte_count += len(data)
        text = self._held + self._decoder.decode(data)
        unfinished = _UNFINISHED.search(text)
        self._held = ""
        if unfinished is not None and len(unfinished[0]) < LINE_LIMIT:
            self._held, text = unfinished[0], text[: unfinished.start()]
        for piece in _PIECES.finditer(text):
            if piece["text"]:
                self._put(piece["text"])
            elif piece["control"]:
                self._control(piece["control"])
            elif piece["command"]:
                self._command(piece["command"], piece["arguments"])

    def lines(self, width: int, count: int) -> list[str]:
        """Give the last ``count`` rows that are not blank, each within ``width`` cells."""
        rows: list[str] = []
        for line in reversed(self._lines):
            if not line.strip():
                continue
            rows[:0] = wrap(line.rstrip(), max(1, width))
            if len(rows) >= count:
                break
        return rows[-count:] if count > 0 else []

    def _put(self, text: str) -> None:
        line = self._lines[self._row]
        if self._column > len(line):
            line = line.ljust(self._column)
        end = self._column + len(text)
        self._lines[self._row] = (line[: self._column] + text + line[end:])[:LINE_LIMIT]
        self._column = min(end, LINE_LIMIT)

    def _control(self, control: str) -> None:
        if control == "\n":
            self._row += 1
            self._column = 0
            if self._row == len(self._lines):
                self._lines.append("")
            if len(self._lines) > KEPT_LINES:
                del self._lines[0]
                self._row -= 1
        elif control == "\r":
            self._column = 0
        elif control == "\b":
            self._column = max(0, self._column - 1)
        elif control == "\t":
            self._put(" " * (_TAB_STOP - self._column % _TAB_STOP))

    def _command(self, command: str, arguments: str) -> None:
        first = arguments.split(";")[0]
        number = int(first) if first.isdecimal() else 0
        if command == "A":
            self._row = max(0, self._row - max(1, number))
        elif command == "B":
            self._row = min(len(self._lines) - 1, self._row + max(1, number))
        elif command == "C":
            self._column = min(LINE_LIMIT, self._column + max(1, number))
        elif command == "D":
            self._column = max(0, self._column - max(1, number))
        elif command == "G":
            self._column = min(LINE_LIMIT, max(1, number) - 1)
        elif command == "K":
            self._erase_line(number)
        elif command == "J":
            self._erase_line(number)
            if number != 1:
                del self._lines[self._row + 1 :]

    def _erase_line(self, mode: int) -> None:
        line = self._lines[self._row]
        if mode == 0:
            self._lines[self._row] = line[: self._column]
        elif mode == 1:
            self._lines[self._row] = " " * min(self._column, len(line)) + line[self._column :]
        else:
            self._lines[self._row] = ""


def visible_line(text: str) -> str:
    """Give what remains to be seen of one line of output, on a line of its own."""
    tail = LogTail()
    tail.feed(text.rstrip("\r").encode("utf-8", "surrogateescape"))
    return " ".join(tail.lines(LINE_LIMIT, 1))


_COLOR = re.compile(r"\x1b\[[0-9;:]*m")
_RESET = "\x1b[0m"
_HARMLESS = re.compile(r"(?:\x1b\[[0-9;:]*m|[\t\x20-\x7e\xa0-\U0010ffff])*")


def colored_line(text: str) -> str:
    """Give one line of output for a log, which keeps its colours and nothing else that acts.

    A line that moves the cursor or does more is given as what would be seen of it.
    """
    text = text.rstrip("\r")
    if _HARMLESS.fullmatch(text) is None:
        return visible_line(text)
    return f"{text}{_RESET}" if _COLOR.search(text) else text
