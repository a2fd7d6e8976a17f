"""How much of a container's output is kept: ``--log-driver`` and ``--log-opt``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from dissolver.dockerfile.suggest import did_you_mean
from dissolver.errors import BadOption
from dissolver.plan.sizes import FORMS as SIZE_FORMS
from dissolver.plan.sizes import parse_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

DRIVERS = ("json-file", "local", "none")
OPTIONS = ("max-size", "max-file")
UNLIMITED = "-1"
MOST_FILES = 1000


class KeptLog(msgspec.Struct, frozen=True):
    """The latest ``files`` files of a log, of at most ``bytes`` bytes each.

    0 files keep nothing, 0 bytes are without end. The defaults are those of Docker's `local`
    driver: a program that writes without end must not fill the disk.
    """

    bytes: int = 20 << 20
    files: int = 5


def parse_kept_log(driver: str | None, options: Sequence[str]) -> KeptLog:
    """Read what a log is to be; the last option of a name counts.

    Raises:
        BadOption: no driver or option that there is, or a value that is none.
    """
    if driver is not None and driver not in DRIVERS:
        raise BadOption(
            f"there is no logging driver `{driver}`",
            hint="`json-file` and `local` keep what `dissolver logs` reads, and `none` nothing",
        )
    if driver == "none":
        if options:
            raise BadOption(f"`--log-driver none` keeps nothing: `{options[0]}` says how much")
        return KeptLog(files=0)
    kept = KeptLog()
    for text in options:
        name, _, value = text.partition("=")
        if name == "max-size":
            kept = KeptLog(_size(value, text), kept.files)
        elif name == "max-file":
            kept = KeptLog(kept.bytes, _files(value, text))
        else:
            raise BadOption(
                f"unknown option `{name}` of a log",
                hint=did_you_mean(name, OPTIONS) or "`max-size=SIZE` and `max-file=NUMBER` are",
            )
    return kept


def _size(value: str, text: str) -> int:
    if value == UNLIMITED:
        return 0
    size = parse_bytes(value)
    if not size:
        raise BadOption(f"`{text}` is no size of a log", hint=SIZE_FORMS)
    return size


def _files(value: str, text: str) -> int:
    number = int(value) if value.isascii() and value.isdigit() and len(value) < 9 else 0
    if not 0 < number <= MOST_FILES:
        raise BadOption(f"`{text}` is no number of files", hint=f"write 1 to {MOST_FILES}")
    return number
