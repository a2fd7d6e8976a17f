"""Prunes, and what there is to reclaim."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from dissolver.cli.render.times import SECOND_NS
from dissolver.engine.results import Pruned
from dissolver.store.cache_usage import CacheEntry
from dissolver.store.usage import Usage

NOW = 1_700_000_000 * SECOND_NS


@pytest.fixture(autouse=True)
def _standing_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time_ns", lambda: NOW)


PRUNED = Pruned(
    containers=("1" * 64,),
    untagged=("goals:2",),
    images=("sha256:" + "a" * 64,),
    records=3,
    reclaimed_bytes=12_345_678,
)


@pytest.mark.parametrize(
    ("words", "method", "named"),
    [
        (["image", "prune"], "prune_images", {"all_": False, "filters": ()}),
        (["image", "prune", "-a"], "prune_images", {"all_": True, "filters": ()}),
        (
            ["image", "prune", "--filter", "until=1h", "--filter", "label!=a"],
            "prune_images",
            {"all_": False, "filters": ("until=1h", "label!=a")},
        ),
        (
            ["container", "prune", "--filter", "label=a"],
            "prune_containers",
            {"filters": ("label=a",)},
        ),
        (["builder", "prune", "--filter", "until=1h"], "prune_builder", {"filters": ("until=1h",)}),
        (
            ["system", "prune", "-a"],
            "prune_system",
            {"all_": True, "volumes": False, "filters": ()},
        ),
        (
            ["system", "prune", "--volumes", "--filter", "until=1h"],
            "prune_system",
            {"all_": False, "volumes": True, "filters": ("until=1h",)},
        ),
    ],
)
def test_a_prune_asks_first(
    line: Any,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    method: str,
    named: dict[str, Any],
) -> None:
    line.engine.answers[method] = PRUNED
    for answer, calls in (("n\n", 0), ("\n", 0), ("nyes\n", 0), ("y\n", 1), (" YES \n", 2)):
        monkeypatch.setattr("sys.stdin", io.StringIO(answer))
        done = line(*words)
        assert done.out.startswith("WARNING! This will remove")
        assert "Are you sure you want to continue? [y/N] " in done.out
        assert len(line.engine.calls) == calls
    for _, _, given in line.engine.calls:
        if given.pop("on_wait", None) is None:
            assert method == "prune_containers"
    assert line.engine.calls[0] == (method, (), named)


def test_a_prune_by_force_does_not_ask(line: Any) -> None:
    line.engine.answers["prune_system"] = PRUNED
    assert line("system", "prune", "-f").out == (
        f"Deleted Containers:\n{'1' * 64}\n\n"
        f"Deleted Images:\nuntagged: goals:2\ndeleted: sha256:{'a' * 64}\n\n"
        "Deleted build cache records: 3\n\n"
        "Total reclaimed space: 12.3MB\n"
    )


def test_a_prune_that_has_to_wait_says_so(line: Any) -> None:
    def pruned(*, on_wait: Callable[[], None], **_: object) -> Pruned:
        on_wait()
        return Pruned()

    line.engine.answers["prune_images"] = pruned
    done = line("image", "prune", "-f")
    assert done.err == "waiting until builds and transfers have ended\n"
    assert done.out == "Total reclaimed space: 0B\n"


def test_a_prune_that_found_nothing_says_so(line: Any) -> None:
    line.engine.answers["prune_images"] = Pruned()
    assert line("image", "prune", "-f").out == "Total reclaimed space: 0B\n"


def test_the_question_of_image_prune_is_dockers(line: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert line("image", "prune").out == (
        "WARNING! This will remove all dangling images.\nAre you sure you want to continue? [y/N] "
    )


def test_a_prune_that_nobody_answers_removes_nothing(
    line: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    done = line("image", "prune")
    assert (done.code, line.engine.calls) == (1, [])
    assert done.err == (
        "error: nobody answered, so nothing was removed\nhint: use `-f` to go on without asking\n"
    )


def test_disk_usage_is_a_table(line: Any) -> None:
    line.engine.answers["disk_usage"] = [
        Usage("Images", 5, 1, 2_000_000_000, 500_000_000),
        Usage("Build Cache", 12, 0, 0, 0),
    ]
    assert line("system", "df").out == (
        "TYPE          TOTAL     ACTIVE    SIZE      RECLAIMABLE\n"
        "Images        5         1         2GB       500MB (25%)\n"
        "Build Cache   12        0         0B        0B\n"
    )
    assert line("system", "df", "--format", "{{.Type}} {{.TotalCount}} {{.Reclaimable}}").out == (
        "Images 5 500MB (25%)\nBuild Cache 12 0B\n"
    )
    assert json.loads(line("system", "df", "--format", "json").out.splitlines()[1]) == {
        "Type": "Build Cache",
        "TotalCount": "12",
        "Active": "0",
        "Size": "0B",
        "Reclaimable": "0B",
    }


def test_the_build_cache_is_listed_entry_by_entry(line: Any) -> None:
    now = time.time_ns()
    line.engine.answers["disk_usage"] = [Usage("Build Cache", 2, 0, 3_000_000, 2_000_000)]
    line.engine.answers["build_cache"] = [
        CacheEntry("a" * 64, "exec.cachemount", "cache mount /root/.npm", 2_000_000, now, False),
        CacheEntry("b" * 64, "regular", "RUN x\n" + "y" * 80, 1_000_000, now - 10**12, True),
    ]
    lines = line("builder", "du").out.splitlines()
    assert lines == [
        "ID             RECLAIMABLE   SIZE      LAST ACCESSED            DESCRIPTION",
        "aaaaaaaaaaaa   true          2MB       Less than a second ago   cache mount /root/.npm",
        "bbbbbbbbbbbb   false         1MB*      16 minutes ago           RUN x " + "y" * 53 + "…",
        "* layers of images or containers: 1",
        "Reclaimable:  2MB",
    ]
    first = json.loads(line("builder", "du", "--format", "json").out.splitlines()[0])
    assert (first["Type"], first["Size"]) == ("exec.cachemount", "2MB")
    assert line("builder", "du", "--format", "yaml").code == 2
