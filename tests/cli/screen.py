"""A tiny terminal: enough of one to tell what a display leaves on the screen."""

from __future__ import annotations

import re
import unicodedata

_PIECES = re.compile(r"\x1b\[(\??[\d;]*)([A-Za-z])|(\r)|(\n)|([^\x1b\r\n]+)")


class Screen:
    """Rows of cells that text is written to; lines that do not fit are broken."""

    def __init__(self, columns: int = 80) -> None:
        self.columns = columns
        self.rows: list[list[str]] = [[]]
        self.row = self.column = 0
        self.cursor_is_visible = True
        self.colored: dict[int, str] = {}
        self._color = ""

    def write(self, text: str) -> None:
        at = 0
        for match in _PIECES.finditer(text):
            assert match.start() == at, f"cannot read {text[at : at + 20]!r}"
            at = match.end()
            arguments, command, back, end, words = match.groups()
            if words:
                for character in words:
                    self._put(character)
            elif back:
                self.column = 0
            elif end:
                self._down()
            else:
                self._command(arguments, command)
        assert at == len(text), f"cannot read {text[at : at + 20]!r}"

    def _down(self) -> None:
        self.row, self.column = self.row + 1, 0
        if self.row == len(self.rows):
            self.rows.append([])

    def _put(self, character: str) -> None:
        width = 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if self.column + width > self.columns:
            self._down()
        line = self.rows[self.row]
        line += [" "] * (self.column + width - len(line))
        line[self.column] = character
        if width == 2:
            line[self.column + 1] = ""
        self.column += width
        if self._color and character != " ":
            self.colored[self.row] = self._color

    def _command(self, arguments: str, command: str) -> None:
        if command == "A":
            self.row = max(0, self.row - int(arguments or 1))
        elif command == "K":
            del self.rows[self.row][self.column :]
        elif command == "J":
            del self.rows[self.row][self.column :]
            del self.rows[self.row + 1 :]
        elif arguments == "?25":
            self.cursor_is_visible = command == "h"
        elif command == "m":
            self._color = "" if arguments in ("", "0") else arguments
        else:
            raise AssertionError(f"unknown sequence {arguments}{command}")

    def resize(self, columns: int) -> None:
        """Become wider or narrower and break the lines anew, as terminals do."""
        self.columns = columns
        rows: list[list[str]] = []
        cursor_row = 0
        for number, line in enumerate(self.rows):
            if number == self.row:
                cursor_row = len(rows)
            pieces = [line[i : i + columns] for i in range(0, len(line), columns)]
            rows += pieces or [[]]
        self.rows, self.row = rows, cursor_row

    @property
    def text(self) -> str:
        lines = ["".join(line).rstrip() for line in self.rows]
        return "\n".join(lines).rstrip("\n")

    @property
    def lines(self) -> list[str]:
        return self.text.split("\n")
