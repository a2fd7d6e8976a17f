"""Working without privileges: ranges, maps, and who is in the namespace."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from pathlib import Path

import pytest

from dissolver.errors import RunError
from dissolver.sandbox import rootless
from dissolver.store import processes

SUBUID = """\
root:1:2
me:100000:65536
# me:5:5
other:200000:65536
1000:300000:10
me:broken:65536
me:400000:0
"""


@pytest.mark.parametrize(
    ("user", "uid", "expected"),
    [
        ("me", 1000, [(0, 100000, 65536), (0, 300000, 10)]),
        ("other", 1001, [(0, 200000, 65536)]),
        ("nobody", 65534, []),
    ],
)
def test_ranges_are_found_by_name_and_number(
    user: str, uid: int, expected: list[rootless.Map]
) -> None:
    assert rootless.ranges(SUBUID, user, uid) == expected


def test_the_user_is_root_and_the_ranges_follow() -> None:
    maps = rootless.plan_maps(1000, 1000, [(0, 100000, 65536), (0, 300000, 10)], [(0, 7, 5)])
    assert maps.uids == ((0, 1000, 1), (1, 100000, 65536), (65537, 300000, 10))
    assert maps.gids == ((0, 1000, 1), (1, 7, 5))
    assert maps.needs_helpers


@pytest.mark.parametrize(("uids", "gids"), [([], []), ([(0, 1, 1)], []), ([], [(0, 1, 1)])])
def test_without_ranges_the_user_is_alone(
    uids: list[rootless.Map], gids: list[rootless.Map]
) -> None:
    maps = rootless.plan_maps(1000, 1001, uids, gids)
    assert (maps.uids, maps.gids, maps.needs_helpers) == (((0, 1000, 1),), ((0, 1001, 1),), False)


def test_a_notice_is_news_once(tmp_path: Path) -> None:
    assert [rootless.is_news(tmp_path) for _ in range(3)] == [True, False, False]
    assert rootless.living(tmp_path) == []


def test_only_living_processes_are_listed(tmp_path: Path) -> None:
    rootless.register(tmp_path, os.getpid())
    (tmp_path / "1").write_text("1\n")
    (tmp_path / str(1 << 22)).write_text("5\n")
    (tmp_path / "2").write_text("damage")
    (tmp_path / "lock").touch()
    assert rootless.living(tmp_path) == [os.getpid()]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["lock", str(os.getpid())])


def test_a_process_is_listed_with_when_it_started(tmp_path: Path) -> None:
    rootless.register(tmp_path, os.getpid())
    assert (tmp_path / str(os.getpid())).read_text() == f"{processes.this_process()[1]}\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="is about root")
def test_root_needs_no_namespace(tmp_path: Path) -> None:
    assert rootless.enter(tmp_path) == rootless.Entered(is_new=False)
    assert not rootless.is_rootless()
    assert list(tmp_path.iterdir()) == []


# Where a user's processes are listed ----------------------------------------------------

ME, STRANGER = os.getuid(), 4242


class Machine:
    """The directories of a machine that the place is chosen among."""

    def __init__(self, base: Path) -> None:
        self.sessions, self.shared, self.home = base / "user", base / "tmp", base / "home"
        for directory in (self.sessions, self.shared, self.home):
            directory.mkdir()
        self.shared.chmod(0o1777)

    @property
    def in_shared(self) -> Path:
        return self.shared / f"dissolver-run-{ME}"

    @property
    def at_home(self) -> Path:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return self.home / ".local/state/dissolver" / f"run-{boot}"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(tmp_path)
    monkeypatch.setattr(rootless, "SESSIONS", made.sessions)
    monkeypatch.setattr(rootless, "SHARED", made.shared)
    account = pwd.struct_passwd(("me", "x", ME, ME, "", str(made.home), "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwuid", lambda _: account)
    return made


def test_the_place_is_in_the_session_or_in_tmp(machine: Machine) -> None:
    assert rootless.run_directory(ME) == machine.in_shared
    assert machine.in_shared.stat().st_mode & 0o777 == 0o700
    (machine.sessions / str(ME)).mkdir(mode=0o700)
    assert rootless.run_directory(ME) == machine.sessions / str(ME) / "dissolver"


def planted_directory(machine: Machine) -> None:
    machine.in_shared.mkdir(mode=0o700)
    os.chown(machine.in_shared, STRANGER, STRANGER)


def planted_file(machine: Machine) -> None:
    machine.in_shared.touch(mode=0o600)


def planted_link(machine: Machine) -> None:
    # To a directory of the user's own, which is as private as it has to be.
    (machine.home / "secrets").mkdir(mode=0o700)
    machine.in_shared.symlink_to(machine.home / "secrets")


def left_open(machine: Machine) -> None:
    machine.in_shared.mkdir()
    machine.in_shared.chmod(0o770)


def shared_without_rule(machine: Machine) -> None:
    machine.shared.chmod(0o777)


@pytest.mark.parametrize(
    "taken", [planted_directory, planted_file, planted_link, left_open, shared_without_rule]
)
def test_a_place_that_is_taken_locks_nobody_out(
    machine: Machine, taken: Callable[[Machine], None]
) -> None:
    if taken is planted_directory and ME != 0:
        pytest.skip("only root can be somebody else")
    taken(machine)
    assert rootless.run_directory(ME) == machine.at_home
    assert machine.at_home.stat().st_mode & 0o777 == 0o700


def test_the_place_at_home_stays_when_the_other_is_free_again(machine: Machine) -> None:
    planted_file(machine)
    rootless.run_directory(ME)
    machine.in_shared.unlink()
    (machine.sessions / str(ME)).mkdir(mode=0o700)
    assert rootless.run_directory(ME) == machine.at_home


def test_what_an_earlier_boot_left_at_home_is_not_found(machine: Machine) -> None:
    planted_file(machine)
    before = machine.at_home.with_name("run-of-an-earlier-boot")
    before.mkdir(parents=True, mode=0o700)
    assert rootless.run_directory(ME) == machine.at_home


def test_a_place_at_home_that_others_may_open_is_refused(machine: Machine) -> None:
    planted_file(machine)
    machine.at_home.mkdir(parents=True)
    machine.at_home.chmod(0o755)
    with pytest.raises(RunError) as raised:
        rootless.run_directory(ME)
    assert "is not a private directory of this user" in raised.value.message
    assert (raised.value.hint or "").startswith("`chmod 700`")


def test_who_saw_another_place_is_found_there(machine: Machine) -> None:
    first = rootless.run_directory(ME) / rootless.REGISTRY
    first.mkdir()
    (machine.sessions / str(ME)).mkdir(mode=0o700)
    second = rootless.run_directory(ME) / rootless.REGISTRY
    assert second != first
    assert [*rootless._other_registries(ME, second)] == [first]
