"""Working without privileges: one user namespace for all processes of a user.

In it the user is root over the ids that ``/etc/subuid`` and ``/etc/subgid`` give.
Containers belong to the namespace they were started from, so a later process joins
that one instead of making its own: otherwise it could neither enter them nor end
them. Every process in the namespace leaves a file with its number and start time;
a namespace lives as long as one of them does.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from dissolver.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dissolver._core import CoreError

HELPERS = ("newuidmap", "newgidmap")
NOTICE = (
    "user `{user}` has no subordinate ids in /etc/subuid and /etc/subgid, so containers have a "
    "single user: programs that change owners or users fail there; the administrator can add "
    "some with `usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}`"
)

TOLD = "told"
"""A file beside the list of processes that says that the user knows the notice."""

SESSIONS, SHARED = Path("/run/user"), Path("/tmp")  # noqa: S108 - what is there is checked
REGISTRY = "namespace"
_NAME = "dissolver-run-{}"

_registry: Path | None = None
"""Where this process is listed, once it has entered the namespace."""

Map = tuple[int, int, int]
"""(first id inside, first id outside, how many)."""


@dataclass(frozen=True, slots=True)
class Entered:
    """How the namespace was entered; ``notice`` is something the user should know."""

    is_new: bool
    notice: str | None = None


@dataclass(frozen=True, slots=True)
class Maps:
    """The ids of a namespace, and whether the privileged helpers have to write them."""

    uids: tuple[Map, ...]
    gids: tuple[Map, ...]
    needs_helpers: bool


def is_rootless() -> bool:
    """Tell whether this process is root only in a user namespace, or no root at all."""
    if os.geteuid() != 0:
        return True
    try:
        words = Path("/proc/self/uid_map").read_text(encoding="ascii").split()
    except OSError:
        return False
    return words != ["0", "0", "4294967295"]


def enter(directory: Path | None = None) -> Entered:
    """Become root in the user's namespace: the one that is in use, or a new one.

    Must be called before any thread starts; a process that is root already is left as it
    is. ``directory`` is where processes of the namespace are listed, private to the user.

    Raises:
        RunError: this system does not let users make namespaces, or the helpers fail.
    """
    if os.geteuid() == 0:
        return Entered(is_new=False)
    import fcntl

    global _registry
    uid = os.getuid()
    registry = directory or run_directory(uid) / REGISTRY
    others = [] if directory else [*_other_registries(uid, registry)]
    registry.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(registry / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        entered = _join(registry, *others) or _create()
        register(registry, os.getpid())
    finally:
        os.close(lock)
    _registry = registry
    return entered


def is_news(directory: Path | None = None) -> bool:
    """Tell whether the user was not told yet what the notice says; from now on it is no news.

    A reboot forgets that. ``directory`` is where processes of the namespace are listed, by
    default the one that this process is listed in.
    """
    registry = directory or _registry
    if registry is None:
        return True
    try:
        (registry / TOLD).touch(mode=0o600, exist_ok=False)
    except FileExistsError:
        return False
    return True


def run_directory(uid: int) -> Path:
    """Return a user's private directory for what a reboot may remove, made if necessary.

    It is in ``/run/user`` where the user has a session, else in ``/tmp``, and where somebody
    else has taken that name, in the user's home. That one is kept once it is there, and its
    name has the number of the boot: what an earlier one left is not found.

    Raises:
        RunError: none of the places can be had.
    """
    at_home = _home_directory(uid)
    found = _private(at_home, uid) or _in_session(uid) or _made_in_shared(uid)
    if found is not None:
        return found
    try:
        at_home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as problem:
        raise RunError(
            f"`{SHARED / _NAME.format(uid)}` belongs to somebody else, and `{at_home}` cannot be "
            f"made: {problem.strerror}",
            hint="log in with a session that has /run/user",
        ) from None
    found = _private(at_home, uid)
    if found is None:
        raise RunError(
            f"`{at_home}` is not a private directory of this user",
            hint=f"`chmod 700` makes it one: `{at_home}`",
        )
    return found


def _other_registries(uid: int, chosen: Path) -> Iterator[Path]:
    """List where processes may be listed that saw other places than this one does."""
    shared = SHARED / _NAME.format(uid)
    for place in (_private(_home_directory(uid), uid), _in_session(uid), _private(shared, uid)):
        registry = place and place / REGISTRY
        if registry and registry != chosen and registry.is_dir():
            yield registry


def _in_session(uid: int) -> Path | None:
    base = SESSIONS / str(uid)
    if _private(base, uid) is None or not os.access(base, os.W_OK):
        return None
    path = base / "dissolver"
    with suppress(OSError):
        path.mkdir(mode=0o700, exist_ok=True)
    # Nobody else gets as far as there, whatever its own mode is.
    return _private(path, uid, others_may=0o077)


def _made_in_shared(uid: int) -> Path | None:
    """Make the place in ``/tmp``, where everybody may have made something of that name before.

    Nobody else can put another one in its place later: `/tmp` lets owners alone do so.
    """
    path = SHARED / _NAME.format(uid)
    with suppress(OSError):
        path.mkdir(mode=0o700)
    with suppress(OSError):
        mode = SHARED.stat().st_mode
        if mode & stat.S_ISVTX or not mode & 0o022:
            return _private(path, uid)
    return None


def _private(path: Path, uid: int, *, others_may: int = 0) -> Path | None:
    """Return ``path`` if it is a directory, and no link to one, that is the user's alone."""
    try:
        directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        found = os.fstat(directory)
    finally:
        os.close(directory)
    return path if found.st_uid == uid and not found.st_mode & 0o077 & ~others_may else None


def _home_directory(uid: int) -> Path:
    import pwd

    home = Path("/")
    try:
        # Not $HOME: all processes of a user are to find the same.
        home = Path(pwd.getpwuid(uid).pw_dir)
    except KeyError:
        with suppress(RuntimeError):
            home = Path.home()
    boot = _read("/proc/sys/kernel/random/boot_id").strip() or "unknown"
    return home / ".local" / "state" / "dissolver" / f"run-{boot}"


def register_in_namespace(pid: int) -> None:
    """List a process that this one started; for root there is nothing to list."""
    if _registry is not None:
        register(_registry, pid)


def register(registry: Path, pid: int) -> None:
    """List a process among those that keep a namespace alive."""
    from dissolver._core import sandbox

    start = sandbox.start_time(pid)
    if start is not None:
        path = registry / str(pid)
        part = registry / f"{pid}.part"
        part.write_text(f"{start}\n", encoding="ascii")
        part.replace(path)


def living(registry: Path) -> list[int]:
    """List the processes of the namespace that are alive, and forget the others."""
    from dissolver._core import sandbox

    found: list[int] = []
    for path in sorted(registry.iterdir()):
        if not path.name.isdigit():
            continue
        try:
            start = int(path.read_text(encoding="ascii"))
        except (OSError, ValueError):
            start = -1
        if sandbox.start_time(int(path.name)) == start:
            found.append(int(path.name))
        else:
            path.unlink(missing_ok=True)
    return found


def plan_maps(uid: int, gid: int, uids: Iterable[Map], gids: Iterable[Map]) -> Maps:
    """Give the maps of a new namespace: the user as root, subordinate ids from 1 on.

    ``uids`` and ``gids`` are (unused, first, count) ranges outside. Without any of either
    kind only the user itself is mapped, which needs no helpers.
    """
    uid_ranges, gid_ranges = list(uids), list(gids)
    if not uid_ranges or not gid_ranges:
        return Maps(((0, uid, 1),), ((0, gid, 1),), needs_helpers=False)
    return Maps(_stacked(uid, uid_ranges), _stacked(gid, gid_ranges), needs_helpers=True)


def ranges(table: str, user: str, uid: int) -> list[Map]:
    """Read the ranges of a user from the text of ``/etc/subuid`` or ``/etc/subgid``."""
    found: list[Map] = []
    for line in table.splitlines():
        fields = line.strip().split(":")
        if len(fields) == 3 and fields[0] in (user, str(uid)):
            with suppress(ValueError):
                found.append((0, int(fields[1]), int(fields[2])))
    return [one for one in found if one[2] > 0]


def _stacked(own: int, given: list[Map]) -> tuple[Map, ...]:
    maps: list[Map] = [(0, own, 1)]
    inside = 1
    for _, first, count in given:
        maps.append((inside, first, count))
        inside += count
    return tuple(maps)


def _join(*registries: Path) -> Entered | None:
    from dissolver._core import CoreError, sandbox

    here = _working_directory()
    try:
        for pid in chain.from_iterable(map(living, registries)):
            try:
                sandbox.join_user_namespace(pid)
            except CoreError as problem:
                if os.geteuid() != 0:
                    continue  # It ended meanwhile.
                # Joined, but not where the command was called: a directory above is closed.
                _return_to(here, problem)
            return Entered(is_new=False)
    finally:
        if here is not None:
            os.close(here)
    return None


def _working_directory() -> int | None:
    try:
        return os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None  # It is closed to this user itself.


def _return_to(directory: int | None, problem: CoreError) -> None:
    """Make an open directory the working directory, whoever may walk there by name."""
    try:
        if directory is not None:
            os.fchdir(directory)
            return
    except OSError:
        pass
    raise RunError(
        f"the working directory is closed to this user: {problem.message}",
        hint="change to a directory that you may enter",
    ) from problem


def _create() -> Entered:
    import pwd

    from dissolver._core import CoreError, sandbox

    uid, gid = os.getuid(), os.getgid()
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = str(uid)
    maps = plan_maps(
        uid, gid, ranges(_read("/etc/subuid"), user, uid), ranges(_read("/etc/subgid"), user, uid)
    )
    try:
        sandbox.enter_user_namespace(list(maps.uids), list(maps.gids), helpers=maps.needs_helpers)
    except CoreError as problem:
        raise RunError(
            f"a user namespace could not be made: {problem.message}",
            hint=problem.hint or "this system may forbid them to users; try as root",
        ) from problem
    return Entered(is_new=True, notice=None if maps.needs_helpers else NOTICE.format(user=user))


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
