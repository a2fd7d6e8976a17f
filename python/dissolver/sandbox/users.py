"""Who a process runs as: the forms of USER, resolved inside a root file system.

Names are looked up in the image's own ``/etc/passwd`` and ``/etc/group``; the
machine's users play no part.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from dissolver.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Iterator

TABLE_BYTES = 4 << 20
"""How much of ``/etc/passwd`` or ``/etc/group`` is read; a longer one is refused."""

MAX_ID = (1 << 31) - 1


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
    name: str
    uid: int
    gid: int
    home: str


ROOT = User(0, 0, (0,), "/root")


def resolve_user(text: str, files: Files) -> User:
    """Find the user that ``text`` names: ``name``, ``uid``, ``name:group``, ``uid:gid``.

    An empty text is root. A number needs no entry; then the group is 0 and HOME is ``/``.
    Supplementary groups come from ``/etc/group``, but only where no group is named.

    Raises:
        RunError: a name that the image does not have, or a number out of range.
    """
    wanted, separator, wanted_group = text.partition(":")
    account = _find_account(wanted or "0", files)
    if separator and wanted_group:
        gid = _find_group(wanted_group, files)
        return User(account.uid, gid, (gid,), account.home)
    extra = sorted(set(_groups_of(account.name, files)) - {account.gid})
    return User(account.uid, account.gid, (account.gid, *extra), account.home)


def _find_account(wanted: str, files: Files) -> _Account:
    accounts = list(_accounts(files))
    for account in accounts:
        if account.name == wanted:
            return account
    if not wanted.isascii() or not wanted.isdigit():
        raise RunError(
            f"unable to find user `{wanted}` in the image's `/etc/passwd`",
            hint=_known("users", [account.name for account in accounts]),
        )
    uid = _number(wanted, "user")
    for account in accounts:
        if account.uid == uid:
            return account
    return _Account("", uid, 0, "/")


def _find_group(wanted: str, files: Files) -> int:
    names: list[str] = []
    for name, gid, _ in _group_entries(files):
        if name == wanted:
            return gid
        names.append(name)
    if not wanted.isascii() or not wanted.isdigit():
        raise RunError(
            f"unable to find group `{wanted}` in the image's `/etc/group`",
            hint=_known("groups", names),
        )
    return _number(wanted, "group")


def _number(text: str, what: str) -> int:
    number = int(text)
    if number > MAX_ID:
        raise RunError(f"{what} id `{text}` is out of range 0 to {MAX_ID}")
    return number


def _known(what: str, names: list[str]) -> str:
    if not names:
        return f"the image has no {what}; use a number"
    return f"the image knows these {what}: {', '.join(names[:8])}"


def _groups_of(name: str, files: Files) -> Iterator[int]:
    if name:
        for _, gid, members in _group_entries(files):
            if name in members:
                yield gid


def _accounts(files: Files) -> Iterator[_Account]:
    for fields in _table(files, "/etc/passwd"):
        # name:password:uid:gid:comment:home:shell; broken lines are passed over, as libc does.
        if len(fields) >= 4 and fields[0] and fields[2].isdigit() and fields[3].isdigit():
            home = fields[5] if len(fields) > 5 and fields[5] else "/"
            yield _Account(fields[0], int(fields[2]), int(fields[3]), home)


def _group_entries(files: Files) -> Iterator[tuple[str, int, list[str]]]:
    for fields in _table(files, "/etc/group"):
        if len(fields) >= 3 and fields[0] and fields[2].isdigit():
            yield fields[0], int(fields[2]), fields[3].split(",") if len(fields) > 3 else []


def _table(files: Files, path: str) -> Iterator[list[str]]:
    from dissolver._core import CoreError

    try:
        data = files.read(path, limit=TABLE_BYTES)
    except (CoreError, OSError):
        return  # An image need not have the file: `scratch` has none.
    for line in data.decode("utf-8", "surrogateescape").splitlines():
        text = line.strip()
        if text and not text.startswith("#"):
            yield text.split(":")
