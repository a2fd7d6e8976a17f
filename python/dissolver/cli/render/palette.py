"""Colours: which there are, and how a text gets one."""

from __future__ import annotations

from enum import Enum

_RESET = "\x1b[0m"


class Style(Enum):
    """What a colour means; the value is the escape sequence that starts it."""

    ERROR = "\x1b[1;31m"
    WARNING = "\x1b[1;33m"
    HINT = "\x1b[1;36m"
    PLACE = "\x1b[34m"


def paint(text: str, style: Style, colored: bool) -> str:
    """Give ``text`` the colour of ``style``, or leave it as it is."""
    return f"{style.value}{text}{_RESET}" if colored and text else text


_NAMES = {
    "default": "39",
    **{
        name: str(30 + index)
        for index, name in enumerate(
            ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
        )
    },
    **{
        f"light-{name}": str(90 + index)
        for index, name in enumerate(
            ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
        )
    },
}
_ROLES = ("run", "cancel", "error", "warning")


class ProgressColors:
    """The colours of the lines of a build: escape sequences, or empty texts."""

    def __init__(self, palette: str = "", *, colored: bool = True) -> None:
        """Read a palette such as ``run=green:error=160,0,0``; unknown parts are ignored."""
        self.run = "\x1b[34m" if colored else ""
        self.cancel = "\x1b[33m" if colored else ""
        self.error = "\x1b[31m" if colored else ""
        self.warning = "\x1b[33m" if colored else ""
        self.faint = "\x1b[2m" if colored else ""
        if colored:
            for part in palette.split(":"):
                role, _, color = part.partition("=")
                code = _code(color.strip().lower())
                if role.strip().lower() in _ROLES and code:
                    setattr(self, role.strip().lower(), code)

    def paint(self, text: str, color: str) -> str:
        """Put ``text`` into ``color``, one of this object's values."""
        return f"{color}{text}{_RESET}" if color else text


def _code(color: str) -> str:
    if color in _NAMES:
        return f"\x1b[{_NAMES[color]}m"
    parts = color.split(",")
    if len(parts) == 3 and all(part.isdecimal() and int(part) < 256 for part in parts):
        return "\x1b[38;2;" + ";".join(parts) + "m"
    return ""
