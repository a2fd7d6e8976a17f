"""Random changes on layers that are mounted in place: the layer of them shows what the mount did.

`rust/layer/src/diff_tests.rs` does the same on top of extracted layers.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from dissolver._core.layer import Layers
from layer.conftest import Facts, facts, needs_root
from layer.test_random_trees import Thing, beneath, create, ground, make, things
from mounting import stacked

pytestmark = needs_root

# Few names, so that changes meet each other and what is there already.
places = st.lists(st.sampled_from(["a", "b", "a-b", "é\udcff"]), min_size=1, max_size=3).map(
    "/".join
)


@dataclass(frozen=True)
class Change:
    """One thing that a step may do: at a path, with another path or a description."""

    deed: str
    path: str
    other: str
    thing: Thing


DEEDS = ["make", "make", "append", "remove", "empty", "rename", "link", "mode", "owner", "note",
         "time", "touch"]  # fmt: skip
MAY_CHANGE_NOTHING = {"rename", "mode", "owner", "note", "time", "touch"}
changes = st.builds(Change, st.sampled_from(DEEDS), places, places, things)
steps = st.lists(st.lists(changes, min_size=1, max_size=12), min_size=1, max_size=3)


@pytest.fixture(scope="module", autouse=True)
def mountable(tmp_path_factory: pytest.TempPathFactory) -> None:
    layers = Layers(tmp_path_factory.mktemp("probe"), userxattr=False)
    if reason := layers.image_refusal():
        pytest.skip(reason)


def _has_names(path: Path) -> bool:
    found = path.lstat()
    return found.st_nlink > 1 and not stat.S_ISDIR(found.st_mode)


def apply(root: Path, change: Change) -> None:
    """Do it if it can be done; a step's failures are part of what happens."""
    path, other, thing = root / change.path, root / change.other, change.thing
    # Never through a symbolic link: it may lead anywhere on this machine.
    for above in (*reversed(path.parents), *reversed(other.parents)):
        if above.is_relative_to(root) and above.is_symlink():
            return
    with contextlib.suppress(OSError):
        if change.deed in MAY_CHANGE_NOTHING and _has_names(path):
            # A mount shows a copy that changed nothing as a file of its own. The layer leaves it
            # out, so the name stays one of the others'.
            return
        match change.deed:
            case "make":
                path.parent.mkdir(parents=True, exist_ok=True)
                create(path, thing, [other] if other.is_file() else [])
            case "append" if stat.S_ISREG(path.lstat().st_mode):
                with path.open("ab") as file:
                    file.write(b"more")
            case "remove" if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            case "remove":
                path.unlink()
            case "empty" if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
                path.mkdir()
                (path / "new").write_bytes(b"new")
            case "rename":
                path.rename(other)
            case "link":
                os.link(path, other, follow_symlinks=False)
            case "mode" if not path.is_symlink():
                path.chmod(thing.mode)
            case "owner":
                os.chown(path, *thing.owner, follow_symlinks=False)
            case "note" if not path.is_symlink():
                os.setxattr(path, "user.note", os.fsencode(thing.target)[:40])
            case "time":
                os.utime(path, ns=(0, thing.mtime_ns), follow_symlinks=False)
            case "touch":
                # Copied up, and the same as before.
                found = path.lstat()
                os.chown(path, found.st_uid, found.st_gid, follow_symlinks=False)
            case _:
                return
        event(change.deed)


def compared(seen: dict[str, Facts]) -> dict[str, Facts]:
    """What a layer keeps, but for times of directories, which change with what is done in them."""
    return {
        name: replace(fact, mtime_ns=0) if stat.S_ISDIR(fact.mode) else fact
        for name, fact in beneath(seen).items()
    }


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(places, things, max_size=10), steps)
def test_a_layer_of_changes_shows_what_the_mount_showed(
    tree: dict[str, Thing], steps: list[list[Change]]
) -> None:
    with ground() as place:
        make(place / "tree", tree)
        layers = Layers(place / "store", userxattr=False, form="erofs")
        extracting = Layers(place / "store", userxattr=False, form="directory")
        ids = [layers.commit_upper(place / "tree", []).diff_id]
        for number, step in enumerate(steps):
            upper, work = place / f"upper{number}", place / f"work{number}"
            lowers = layers.mountable(ids)
            with stacked(lowers, place / f"step{number}", upper=upper, work=work) as root:
                for change in step:
                    apply(root, change)
                expected = compared(facts(root))
            ids.append(layers.commit_upper(upper, ids).diff_id)
            for form in (layers, extracting):
                shown = place / f"{form is layers}{number}"
                with stacked(form.mountable(ids), shown) as root:
                    assert compared(facts(root)) == expected
            layers.verify(ids[-1])
            extracting.extract(ids, place / f"out{number}")
            assert compared(facts(place / f"out{number}")) == expected
