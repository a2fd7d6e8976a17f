"""Names and numbers of Linux's signals, as STOPSIGNAL takes them."""

from __future__ import annotations

import re

NAMES = frozenset(
    (
        "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT",
        "KILL", "PIPE", "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM",
        "TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ",
        "RTMIN", "RTMAX",
    )
)  # fmt: skip
"""Names without ``SIG``, from signal(7)."""

HIGHEST_SIGNAL = 64
"""The last real-time signal."""

_REAL_TIME = re.compile(r"RTMIN\+(?:[1-9]|1[0-5])|RTMAX-(?:[1-9]|1[0-4])", re.ASCII)


def is_signal(text: str) -> bool:
    """Tell whether ``text`` is a signal: ``SIGTERM``, ``term``, ``RTMIN+3`` or ``15``."""
    if text.isascii() and text.isdecimal():
        return len(text) <= 4 and 0 < int(text) <= HIGHEST_SIGNAL
    name = text.upper().removeprefix("SIG")
    return name in NAMES or _REAL_TIME.fullmatch(name) is not None
