"""Working without privileges: ranges, maps, and who is in the namespace."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

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
