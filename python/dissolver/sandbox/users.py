"""Who a process runs as: the forms of USER, resolved inside a root file system.

Names are looked up in the image's own ``/etc/passwd`` and ``/etc/group``; the
machine's users play no part.
"""

from __future__ import annotations

import errno
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from dissolver.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Iterator

TABLE_BYTES = 4 << 20
"""How much of ``/etc/passwd`` or ``/etc/group`` is read; a longer one is refused."""

MAX_ID = (1 << 31) - 1

MOST_GROUPS = 65536
"""The kernel's own limit (``NGROUPS_MAX``, ``setgroups(2)``)."""

HOME_BYTES = 4095
"""No path is longer (``PATH_MAX``). A variable of megabytes keeps a program from starting."""

_SHOWN_NAMES = 8
_SHOWN_CHARACTERS = 32
"""Longer names are for no reader; `useradd` makes none."""

_BEYOND = 1 << 32


class Files(Protocol):
    """Something that reads whole files out of a root file system, such as a layer view."""

    def read(self, path: str, *, limit: int) -> bytes:
        """Return the content of the file at ``path``."""
        ...


@dataclass(frozen=True, slots=True)
class User:
    """The identity of a process: numbers, and the directory that HOME names.

    ``groups`` starts with ``gid`` itself, so that giving up the primary group
    cannot be used to escape a group's denial.
    """

    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str


@dataclass(frozen=True, slots=True)
class _Account:
    name: bytes
    uid: int
    gid: int
    home: str


ROOT = User(0, 0, (0,), "/root")


def resolve_user(text: str, files: Files) -> User:
    """Find the user that ``text`` names: ``name``, ``uid``, ``name:group``, ``uid:gid``.

    An empty text is root. A number needs no entry; then the group is 0 and HOME is ``/``.
    Supplementary groups come from ``/etc/group``, but only where no group is named.

    The tables may hold anything: lines that are none are passed over, as the C library
    does (``passwd(5)``), and of what is read one line at a time is in memory beside it.

    Raises:
        RunError: a name that the image does not have, a number out of range, or more groups
            than the kernel takes.
    """
    wanted, separator, wanted_group = text.partition(":")
    account = _find_account(wanted or "0", files)
    if separator and wanted_group:
        gid = _find_group(wanted_group, files)
        return User(account.uid, gid, (gid,), account.home)
    extra = sorted(_groups_of(account.name, files) - {account.gid})
    return User(account.uid, account.gid, (account.gid, *extra), account.home)


def _find_account(wanted: str, files: Files) -> _Account:
    table = _Table(files, "/etc/passwd", 7)
    name, number = _encoded(wanted), _number(_encoded(wanted))
    same_number: _Account | None = None
    for fields in table:
        # name:password:uid:gid:comment:home:shell
        if len(fields) < 4:
            continue
        uid, gid = _number(fields[2]), _number(fields[3])
        if uid is None or gid is None:
            continue
        if fields[0] == name:
            return _account(fields, uid, gid)
        table.note(fields[0])
        if same_number is None and uid == number:
            same_number = _account(fields, uid, gid)
    if number is None:
        raise RunError(
            f"unable to find user `{wanted}` in the image's `/etc/passwd`",
            hint=table.hint("users"),
        )
    return same_number or _Account(b"", _in_range(number, "user", wanted), 0, "/")


def _account(fields: list[bytes], uid: int, gid: int) -> _Account:
    for number, what in ((uid, "user"), (gid, "group")):
        _in_range(number, what, str(number) if number < _BEYOND else "2^32 or more")
    try:
        home = fields[5].decode() if len(fields) > 5 and len(fields[5]) <= HOME_BYTES else ""
    except UnicodeDecodeError:
        home = ""
    return _Account(fields[0], uid, gid, home or "/")


def _find_group(wanted: str, files: Files) -> int:
    table = _Table(files, "/etc/group", 4)
    name = _encoded(wanted)
    for fields in table:
        # name:password:gid:members
        gid = _number(fields[2]) if len(fields) > 2 else None
        if gid is None:
            continue
        if fields[0] == name:
            return _in_range(gid, "group", str(gid) if gid < _BEYOND else "2^32 or more")
        table.note(fields[0])
    number = _number(name)
    if number is None:
        raise RunError(
            f"unable to find group `{wanted}` in the image's `/etc/group`",
            hint=table.hint("groups"),
        )
    return _in_range(number, "group", wanted)


def _groups_of(name: bytes, files: Files) -> set[int]:
    found: set[int] = set()
    if not name:
        return found
    for fields in _Table(files, "/etc/group", 4, having=name):
        gid = _number(fields[2]) if len(fields) > 3 else None
        if gid is None or gid > MAX_ID:
            continue
        if b"," + name + b"," in b"," + fields[3] + b",":
            found.add(gid)
            if len(found) > MOST_GROUPS:
                shown = name.decode(errors="replace")
                raise RunError(
                    f"user `{shown}` is in more groups of `/etc/group` than the {MOST_GROUPS} "
                    "that the kernel takes",
                    hint=f"name one group: `{shown}:GROUP`",
                )
    return found


def _number(text: bytes) -> int | None:
    """Read a decimal number; what no identity can have is ``_BEYOND``, however long it is."""
    if not text.isdigit():
        return None
    digits = text.lstrip(b"0")
    return int(digits or b"0") if len(digits) <= 10 else _BEYOND


def _in_range(number: int, what: str, shown: str) -> int:
    # 2^32 - 1 is no identity: to the kernel it means to stay what one is, and that is root.
    if number > MAX_ID:
        shown = shown if len(shown) <= _SHOWN_CHARACTERS else f"{shown[:_SHOWN_CHARACTERS]}…"
        raise RunError(f"{what} id `{shown}` is out of range 0 to {MAX_ID}")
    return number


def _encoded(text: str) -> bytes:
    try:
        return text.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return b"\0"  # Half a character, which no table has.


class _Table:
    """The lines of a table, each cut into at most ``width`` fields; ``having`` picks some."""

    def __init__(self, files: Files, path: str, width: int, *, having: bytes = b":") -> None:
        self._path = path
        self._width = width
        self._having = having
        self._names: list[str] = []
        self._data, self._trouble = _read(files, path)

    def __iter__(self) -> Iterator[list[bytes]]:
        for whole in io.BytesIO(self._data):
            if self._having in whole:
                # To the C library a line ends with a zero byte.
                line = whole.partition(b"\0")[0].strip()
                if line and not line.startswith((b"#", b":")):
                    yield line.split(b":", self._width - 1)

    def note(self, name: bytes) -> None:
        """Remember a name to suggest, if it is one to be shown."""
        if len(self._names) < _SHOWN_NAMES and len(name) <= _SHOWN_CHARACTERS:
            shown = name.decode(errors="replace")
            if shown.isprintable():
                self._names.append(shown)

    def hint(self, what: str) -> str:
        """Say what there is instead of a name that was not found."""
        if self._trouble:
            return f"`{self._path}` cannot be read: {self._trouble}; use a number"
        if not self._names:
            return f"the image has no {what}; use a number"
        return f"the image knows these {what}: {', '.join(self._names)}"


def _read(files: Files, path: str) -> tuple[bytes, str]:
    """Return a table and nothing, or no table and why that is."""
    from dissolver._core import CoreError

    try:
        return files.read(path, limit=TABLE_BYTES), ""
    except CoreError as problem:
        return b"", "" if problem.kind == "not-found" else problem.message
    except OSError as problem:
        # An image need not have the file: `scratch` has none.
        is_missing = problem.errno in (None, errno.ENOENT, errno.ENOTDIR)
        return b"", "" if is_missing else (problem.strerror or "").lower()
