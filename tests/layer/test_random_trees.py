"""Random trees on their way through layers, GNU tar and Python's tarfile: they stay as they are."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dissolver._core.layer import Layers, View
from layer.conftest import Facts, facts, needs_root

pytestmark = [
    needs_root,
    pytest.mark.skipif(shutil.which("tar") is None, reason="GNU tar is not installed"),
]

SECOND = 10**9
NAMES = [
    "a",
    "b",
    "a-b",
    "a.b",
    "n" * 255,
    "m" * 120,
    "é€",
    "\udcff\udc80",
    "line\nend",
    " ",
    "\\",
    "-",
]


@dataclass(frozen=True)
class Thing:
    """What is made at a path: a kind and everything that this kind may have."""

    kind: str
    mode: int
    owner: tuple[int, int]
    mtime_ns: int
    stretches: tuple[tuple[int, bytes], ...] = ()
    target: str = ""
    xattrs: dict[str, bytes] = field(default_factory=dict)


paths = st.lists(st.sampled_from(NAMES), min_size=1, max_size=5).map("/".join)
times = st.one_of(
    st.integers(-2 * SECOND, 2 * SECOND),
    st.integers(0, 9_000_000_000 * SECOND),
    st.sampled_from([0, 1, 1_700_000_000 * SECOND, 0o77777777777 * SECOND]),
).filter(lambda time: time < 9_200_000_000 * SECOND)
things = st.builds(
    Thing,
    kind=st.sampled_from(
        ["file", "file", "file", "directory", "symlink", "link", "fifo", "character", "block"]
    ),
    mode=st.sampled_from([0o644, 0o600, 0o755, 0o4711, 0o2755, 0o1777, 0]),
    owner=st.tuples(*[st.sampled_from([0, 1, 1000, 3_000_000, 4_294_967_294])] * 2),
    mtime_ns=times,
    stretches=st.lists(
        st.tuples(st.sampled_from([0, 0, 700, 4096, 70_000]), st.binary(max_size=600)), max_size=3
    ).map(tuple),
    target=st.one_of(paths, st.just("/" + "t" * 300), st.just("/".join([".."] * 40))),
    xattrs=st.dictionaries(
        st.sampled_from(["user.a", "user." + "n" * 200, "user.a=b", "trusted.é"]),
        st.binary(max_size=300),
        max_size=2,
    ),
)
trees = st.dictionaries(paths, things, max_size=25)


def make(root: Path, tree: dict[str, Thing]) -> None:
    """Make what can be made: names that are taken, or lie beneath a file, are passed over."""
    root.mkdir(mode=0o755)
    made: list[tuple[Path, Thing]] = []
    for name, thing in sorted(tree.items()):
        path = root / name
        # Never through a symbolic link: it may lead anywhere on this machine.
        above = [other for other in path.parents if other.is_relative_to(root)]
        if any(map(os.path.islink, above)) or os.path.lexists(path):
            continue
        try:
            path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            create(path, thing, [other for other, known in made if known.kind != "directory"])
        except (FileExistsError, NotADirectoryError):
            continue
        if thing.kind != "link":
            made.append((path, thing))
    for path, thing in reversed(made):
        is_link = path.is_symlink()
        os.chown(path, *thing.owner, follow_symlinks=False)
        if not is_link:
            path.chmod(thing.mode)
        for key, value in thing.xattrs.items():
            if thing.kind in ("file", "directory") or key.startswith("trusted."):
                os.setxattr(path, key, value, follow_symlinks=False)
        os.utime(path, ns=(0, thing.mtime_ns), follow_symlinks=False)
    # Directories that nothing describes, and all whose contents came later.
    for base, directories, _ in os.walk(root, topdown=False):
        for name in directories:
            path = Path(base, name)
            if path.is_symlink():
                continue
            thing = next((thing for other, thing in made if other == path), None)
            os.utime(path, ns=(0, thing.mtime_ns if thing else SECOND))


def create(path: Path, thing: Thing, others: list[Path]) -> None:
    match thing.kind:
        case "file":
            with path.open("xb") as file:
                for offset, data in thing.stretches:
                    file.seek(offset, os.SEEK_CUR)
                    file.write(data)
                file.truncate(file.tell())
        case "directory":
            path.mkdir()
        case "symlink":
            path.symlink_to(thing.target)
        case "link" if others:
            os.link(others[len(path.name) % len(others)], path, follow_symlinks=False)
        case "character" | "block":
            kind = stat.S_IFCHR if thing.kind == "character" else stat.S_IFBLK
            os.mknod(path, 0o600 | kind, os.makedev(len(path.name), 70_000))
        case _:
            os.mkfifo(path)


@contextmanager
def ground() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="dissolver-trees-", dir="/var/tmp") as place:
        yield Path(place)


def beneath(seen: dict[str, Facts]) -> dict[str, Facts]:
    """Everything but the root, of which a layer says nothing unless it changed."""
    return {name: fact for name, fact in seen.items() if name != "."}


KINDS = {
    "file": stat.S_IFREG, "directory": stat.S_IFDIR, "symlink": stat.S_IFLNK,
    "character": stat.S_IFCHR, "block": stat.S_IFBLK, "fifo": stat.S_IFIFO,
}  # fmt: skip


def shown(view: View) -> dict[str, Facts]:
    """What a view shows, in the words in which files on disk are described."""
    found: dict[str, Facts] = {}
    pending = [b""]
    while pending:
        above = pending.pop()
        for name in view.list(b"/" + above):
            path = above + b"/" + name if above else name
            entry = view.stat(path, follow=False)
            assert entry is not None
            content = entry.link_target or b""
            if entry.kind == "file":
                content = view.read(b"/" + path, limit=1 << 30)
            if entry.kind == "directory":
                pending.append(path)
            found[os.fsdecode(path)] = Facts(
                mode=KINDS[entry.kind] | entry.mode,
                owner=(entry.uid, entry.gid),
                mtime_ns=entry.mtime_ns,
                device=os.makedev(*entry.device),
                content=content,
                xattrs=tuple(sorted((os.fsdecode(key), value) for key, value in entry.xattrs)),
                first_name=os.fsdecode(entry.hard_link or path),
            )
    return found


def has_plain_names(tree: dict[str, Thing]) -> bool:
    """GNU tar escapes an equals sign in the name of an attribute; nobody else reads that."""
    return not any("=" in key for thing in tree.values() for key in thing.xattrs)


def is_clamped_well(layers: Layers, diff_id: str, latest_ns: int) -> None:
    """Claim that only later times change when those of a layer are set back."""
    clamped = layers.clamp_times(diff_id, latest_ns).diff_id
    layers.verify(clamped)
    before, after = layers.view([diff_id]), layers.view([clamped])
    expected = {
        name: replace(fact, mtime_ns=min(fact.mtime_ns, latest_ns))
        for name, fact in shown(before).items()
    }
    assert by_inode(shown(after)) == by_inode(expected)
    assert before.compare(after) == []
    changed = [one.path for one, _ in before.compare(after, times=True) if one is not None]
    later = [os.fsencode(name) for name, fact in shown(before).items() if fact.mtime_ns > latest_ns]
    assert sorted(path for path in changed if path) == sorted(later)
    assert layers.clamp_times(clamped, latest_ns).diff_id == clamped


epochs = st.sampled_from([0, SECOND, 1_700_000_000 * SECOND, 9_000_000_000 * SECOND])


@settings(max_examples=100, deadline=None)
@given(trees, epochs)
def test_a_layer_shows_and_gives_back_the_tree_that_it_was_made_of(
    tree: dict[str, Thing], latest_ns: int
) -> None:
    with ground() as place:
        make(place / "upper", tree)
        before = beneath(facts(place / "upper"))
        layers = Layers(place / "store", userxattr=False)
        diff_id = layers.commit_upper(place / "upper", []).diff_id
        # Which of several names is the first depends on the order.
        assert by_inode(shown(layers.view([diff_id]))) == by_inode(before)
        layers.extract([diff_id], place / "out")
        assert beneath(facts(place / "out")) == before
        layers.verify(diff_id)
        is_clamped_well(layers, diff_id, latest_ns)


@settings(max_examples=100, deadline=None)
@given(trees.filter(has_plain_names))
def test_gnu_tar_and_tarfile_read_the_layer_of_any_tree(tree: dict[str, Thing]) -> None:
    with ground() as place:
        make(place / "upper", tree)
        before = beneath(facts(place / "upper"))
        layers = Layers(place / "store", userxattr=False)
        diff_id = layers.commit_upper(place / "upper", []).diff_id
        archive = place / "layer.tar"
        with archive.open("wb") as out:
            layers.cat(diff_id, out.fileno())
        (place / "out").mkdir()
        options = ["--numeric-owner", "--xattrs", "--xattrs-include=*", "--delay-directory-restore"]
        subprocess.run(["tar", *options, "-xpf", archive, "-C", place / "out"], check=True)
        assert beneath(facts(place / "out")) == before
        with tarfile.open(archive, errors="surrogateescape") as tar:
            members = {member.name: member for member in tar}
            assert members.keys() == before.keys()
            for name, member in members.items():
                fact = before[name]
                assert (member.uid, member.gid) == fact.owner
                if member.isreg():
                    content = tar.extractfile(member)
                    assert content is not None
                    assert content.read() == fact.content


@settings(max_examples=100, deadline=None)
@given(trees.filter(has_plain_names), st.sampled_from(["posix", "gnu"]), st.booleans(), epochs)
def test_the_tar_that_gnu_tar_makes_of_any_tree_is_read(
    tree: dict[str, Thing], form: str, is_sparse: bool, latest_ns: int
) -> None:
    with ground() as place:
        make(place / "tree", tree)
        before = {name: alone(name, fact) for name, fact in beneath(facts(place / "tree")).items()}
        options = ["--xattrs", "--xattrs-include=*"] if form == "posix" else []
        options += ["--sparse"] if is_sparse else []
        command = [
            "tar",
            f"--format={form}",
            *options,
            "-cf",
            place / "a.tar",
            "-C",
            place / "tree",
            ".",
        ]
        subprocess.run(command, check=True)
        layers = Layers(place / "store", userxattr=False)
        diff_id = layers.ingest(place / "a.tar").diff_id
        layers.extract([diff_id], place / "out")
        is_clamped_well(layers, diff_id, latest_ns)
        after = beneath(facts(place / "out"))
        if form == "gnu":
            before = {name: in_gnu(fact) for name, fact in before.items()}
        assert after == before


def alone(name: str, fact: Facts) -> Facts:
    """GNU tar forgets that pipes and devices are linked."""
    is_special = stat.S_IFMT(fact.mode) not in (stat.S_IFREG, stat.S_IFLNK)
    return replace(fact, first_name=name) if is_special else fact


def in_gnu(fact: Facts) -> Facts:
    """What the older format keeps: whole seconds, and no attributes."""
    return replace(fact, mtime_ns=fact.mtime_ns // SECOND * SECOND, xattrs=())


def by_inode(seen: dict[str, Facts]) -> dict[str, tuple[Facts, frozenset[str]]]:
    """The facts with all names of the same inode instead of the one that counts as the first."""
    names: dict[str, set[str]] = {}
    for name, fact in seen.items():
        names.setdefault(fact.first_name, set()).add(name)
    return {
        name: (replace(fact, first_name=""), frozenset(names[fact.first_name]))
        for name, fact in seen.items()
    }
