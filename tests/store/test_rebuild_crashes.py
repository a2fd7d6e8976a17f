"""Copies that are built again and again, by several processes that are killed at any moment."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dissolver._core.copy import CopyPlan
from dissolver._core.layer import Layers
from dissolver._core.tree import Tree
from dissolver.store import Store

WORK = """
import itertools, random, sys
from pathlib import Path
sys.path[:0] = sys.argv[5:]
from dissolver._core.copy import CopyPlan
from dissolver._core.tree import Tree
from dissolver.errors import DissolverError
from dissolver.store import Store
from dissolver.image.reference import parse_reference
from shelf import add_record, config_of

root, run, context, seed = sys.argv[1:5]
chance = random.Random(seed)
context = Path(context)
store = Store(Path(root), Path(run))

def edit():
    files = sorted(path for path in context.rglob("*") if path.is_file())
    match chance.choice(["write", "write", "append", "remove", "add", "rename"]):
        case "write":
            chance.choice(files).write_bytes(chance.randbytes(chance.randrange(100_000)))
        case "append":
            with chance.choice(files).open("ab") as file:
                file.write(b"more")
        case "remove":
            if len(files) > 20:
                chance.choice(files).unlink()
        case "add":
            name = f"d{chance.randrange(4)}/n{chance.randrange(99)}"
            (context / name).write_bytes(chance.randbytes(chance.randrange(200_000)))
        case "rename":
            old = chance.choice(files)
            old.rename(old.with_name(f"r{chance.randrange(99)}"))

def build(number):
    before = store.records.latest_like("b", str(context))
    predecessor = None if before is None else before.diff_id
    tree = Tree.scan(context, stat_cache=store.stat_cache(context))
    plan = CopyPlan.for_copy(store.layers.view([]), tree, ["/."], "/app/", owner=None,
                             keeps_owner=False, mode=None, new_directory_mtime=0)
    plan.prepare(store.layers, predecessor=predecessor)
    key = plan.digest()
    found = store.records.find(key)
    if found is None:
        diff_id = plan.write(store.layers, predecessor=predecessor).diff_id
        add_record(store, key, diff_id, build="b", step=str(context), kind="copy")
    else:
        diff_id = found.diff_id
        store.records.use(key, "b", str(context))
    tag = parse_reference(f"tag{seed}-{number % 3}")
    store.images.put(config_of(diff_id), tags=[tag])

print("in", flush=True)
for number in itertools.count():
    edit()
    with store.lock_shared():
        build(number)
    if number % 6 == 5:
        store.prune_images()
    if number % 13 == 12:
        store.prune_records()
    print("built", flush=True)
"""


def fill(context: Path, seed: int) -> None:
    chance = random.Random(seed)
    for number in range(40):
        path = context / f"d{number % 4}" / f"f{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(chance.randbytes(chance.randrange(100_000)))


def start(store: Store, context: Path, seed: int) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-c", WORK, store.root, store.run, context, str(seed), *sys.path]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def kill(processes: list[subprocess.Popen[bytes]]) -> int:
    """Kill all at once; answer how often they had built."""
    for process in processes:
        process.send_signal(signal.SIGKILL)
    built = 0
    for process in processes:
        said, errors = process.communicate()
        assert errors == b""
        assert process.returncode == -signal.SIGKILL
        built += said.count(b"built")
    return built


def plan(layers: Layers, context: Path) -> CopyPlan:
    return CopyPlan.for_copy(
        layers.view([]),
        Tree.scan(context),
        ["/."],
        "/app/",
        owner=None,
        keeps_owner=False,
        mode=None,
        new_directory_mtime=0,
    )


@pytest.mark.parametrize("seed", range(3))
def test_rebuilds_and_prunes_that_are_killed_leave_a_whole_store(
    store: Store, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    contexts = [tmp_path / "one", tmp_path / "two"]
    for number, context in enumerate(contexts):
        fill(context, seed + number)
    built = 0
    for moment in range(6):
        running = [start(store, context, moment) for context in contexts]
        for process in running:
            assert process.stdout is not None
            assert process.stdout.readline() == b"in\n"
        time.sleep(chance.uniform(0.01, 0.6))
        built += kill(running)
        # Nothing that is referred to is missing or damaged; the rest is remains.
        assert {finding.kind for finding in store.check()} <= {"leftover"}
    assert built > 0
    # The next builds are right: as if there had been no others.
    for context in contexts:
        before = store.records.latest_like("b", str(context))
        predecessor = None if before is None else before.diff_id
        info = plan(store.layers, context).write(store.layers, predecessor=predecessor)
        scratch = Layers(tmp_path / "scratch", userxattr=False)
        assert plan(scratch, context).write(scratch) == info
        store.layers.verify(info.diff_id)
    store.sweep()
    store.collect()
    assert store.check() == ()
    assert list(store.layout.tmp.iterdir()) == []
    store.prune_images(all_=True)
    store.prune_records()
    assert store.layers.list() == []
    assert store.layers.packs() == []


def test_processes_that_make_the_same_layer_at_once_all_have_it(
    store: Store, tmp_path: Path
) -> None:
    context = tmp_path / "context"
    fill(context, 1)
    first = plan(store.layers, context).write(store.layers)
    (context / "d1" / "f1").write_bytes(b"changed")
    work = """
import sys
from pathlib import Path
from dissolver._core.copy import CopyPlan
from dissolver._core.layer import Layers
from dissolver._core.tree import Tree
layers = Layers(sys.argv[1], userxattr=False)
sys.stdin.readline()
for _ in range(20):
    plan = CopyPlan.for_copy(layers.view([]), Tree.scan(sys.argv[2]), ["/."], "/app/", owner=None,
                             keeps_owner=False, mode=None, new_directory_mtime=0)
    info = plan.write(layers, predecessor=sys.argv[3])
print(info.diff_id)
"""
    words = [sys.executable, "-c", work, store.root, context, first.diff_id]
    running = [
        subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ}, text=True
        )
        for _ in range(4)
    ]
    time.sleep(0.3)  # until all of them wait
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = {process.communicate()[0].strip() for process in running}
    assert len(answers) == 1
    second = answers.pop()
    assert second != first.diff_id
    store.layers.verify(second)
    # One pack for the first, and one for what changed: whoever came later dropped its own.
    assert [pack.layers for pack in store.layers.packs()].count(0) == 0
    assert len(store.layers.packs()) == 2
    with (tmp_path / "tar").open("wb") as tar:
        store.layers.cat(second, tar.fileno())
    assert f"sha256:{hashlib.sha256((tmp_path / 'tar').read_bytes()).hexdigest()}" == second
