"""Copying beneath roots that nothing leads out of."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dissolver._core import CoreError
from dissolver._core.files import Root
from dissolver._core.layer import Layers
from layer.conftest import IS_ROOT, facts, make_tree, needs_root

OWNER = (os.geteuid(), os.getegid())


def root_at(path: Path) -> Root:
    descriptor = os.open(path, os.O_PATH | os.O_DIRECTORY)
    try:
        return Root(descriptor)
    finally:
        os.close(descriptor)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """What must never be read, written or removed."""
    place = tmp_path / "outside"
    (place / "directory").mkdir(parents=True)
    (place / "secret").write_text("secret")
    return place


@pytest.fixture
def inside(tmp_path: Path, outside: Path) -> Path:
    """A root whose links all point out of it, and to where that is inside."""
    place = tmp_path / "inside"
    place.mkdir()
    (place / "etc").mkdir()
    (place / "etc" / "name").write_text("inside")
    links = {
        "absolute": str(outside / "secret"),
        "relative": "../outside/secret",
        "up": "../../../../../../../.." + str(outside),
        "directory": str(outside / "directory"),
        "etc/back": "/etc/name",
        "chain": "absolute",
        "loop": "loop",
        "fd": "/proc/self/root",
    }
    for name, target in links.items():
        (place / name).symlink_to(target)
    return place


@pytest.fixture(autouse=True)
def _nothing_happened_outside(outside: Path) -> Iterator[None]:
    before = facts(outside)
    yield
    assert facts(outside) == before


# Looking ------------------------------------------------------------------------


def test_paths_lead_to_what_is_beneath(inside: Path) -> None:
    root = root_at(inside)
    table = {
        "/": ("/", "directory"),
        "": ("/", "directory"),
        ".": ("/.", "directory"),
        "/..": ("/..", "directory"),
        "../../etc": ("/../../etc", "directory"),
        "/etc/": ("/etc", "directory"),
        "etc/name": ("/etc/name", "file"),
        "/etc/back": ("/etc/name", "file"),
        "//etc//back": ("/etc/name", "file"),
        "/etc/.": ("/etc/.", "directory"),
        "/etc/nothing": ("/etc/nothing", None),
        "/nothing/at/all": ("/nothing/at/all", None),
        "/etc/name/below": ("/etc/name/below", None),
        "/relative": ("/../outside/secret", None),
    }
    for path, (where, kind) in table.items():
        found, entry = root.stat(path)
        assert (os.fsdecode(found), entry and entry.kind) == (where, kind), path


def test_links_lead_nowhere_but_inside(inside: Path, outside: Path) -> None:
    root = root_at(inside)
    for name in ("absolute", "relative", "up", "directory", "chain", "up/secret", "fd"):
        assert root.stat(name)[1] is None, name
    # The same place inside the root is what they mean.
    twin = inside / str(outside).lstrip("/")
    twin.mkdir(parents=True)
    (twin / "secret").write_text("inside twin")
    assert root.stat("absolute")[1] is not None
    assert root.stat("up/secret")[1] is not None


def test_the_link_itself_is_seen_where_it_is_not_followed(inside: Path) -> None:
    _, entry = root_at(inside).stat("absolute", follow=False)
    assert entry is not None
    assert entry.kind == "symlink"
    # A slash at the end asks for what it leads to.
    assert root_at(inside).stat("absolute/", follow=False)[1] is None


def test_a_loop_of_links_is_told(inside: Path) -> None:
    with pytest.raises(CoreError) as caught:
        root_at(inside).stat("loop")
    assert caught.value.kind == "symlink-loop"


# Copying out --------------------------------------------------------------------


@pytest.mark.parametrize("source", ["absolute", "relative", "chain", "up/secret", "fd/etc/passwd"])
def test_nothing_of_outside_is_copied(inside: Path, tmp_path: Path, source: str) -> None:
    (tmp_path / "target").mkdir()
    with pytest.raises(CoreError) as caught:
        root_at(inside).copy(
            source, root_at(tmp_path / "target"), "/", name="stolen", owner=OWNER, follow=True
        )
    assert caught.value.kind in ("not-found", "io")
    assert list((tmp_path / "target").iterdir()) == []


def test_a_whole_tree_is_copied_with_everything(tmp_path: Path) -> None:
    make_tree(tmp_path / "tree")
    (tmp_path / "target").mkdir()
    size = root_at(tmp_path).copy("/tree", root_at(tmp_path), "/target", name="copy", owner=None)
    assert facts(tmp_path / "target" / "copy") == facts(tmp_path / "tree")
    files = {
        one.first_name: len(one.content)
        for one in facts(tmp_path / "tree").values()
        if stat.S_ISREG(one.mode)
    }
    assert size == sum(files.values())


def test_a_tar_of_a_tree_holds_everything(tmp_path: Path) -> None:
    make_tree(tmp_path / "tree")
    with (tmp_path / "tree.tar").open("wb") as file:
        root_at(tmp_path).archive("/tree", file.fileno(), name=b"renamed")
    layers = Layers(tmp_path / "store", userxattr=not IS_ROOT)
    layer = layers.ingest(tmp_path / "tree.tar").diff_id
    layers.extract([layer], tmp_path / "again")
    assert facts(tmp_path / "again" / "renamed") == facts(tmp_path / "tree")


def test_the_tar_of_a_directorys_contents_begins_with_itself(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_text("x")
    (tmp_path / "single").write_text("y")
    root = root_at(tmp_path)
    table = {
        ("tree", None): [".", "file"],
        ("tree", "tree"): ["tree", "tree/file"],
        ("single", "other"): ["other"],
    }
    for (source, name), expected in table.items():
        with (tmp_path / "out.tar").open("wb") as file:
            root.archive(source, file.fileno(), name=name)
        with tarfile.open(tmp_path / "out.tar") as tar:
            assert tar.getnames() == expected
    with pytest.raises(CoreError) as caught:
        root.archive("single", 1, name=None)
    assert caught.value.kind == "not-a-directory"


# Copying in ---------------------------------------------------------------------


def test_links_in_the_way_are_replaced_and_never_written_through(
    inside: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine").write_text("mine")
    for name in ("absolute", "relative", "chain", "loop"):
        root_at(tmp_path).copy("mine", root_at(inside), "/", name=name, owner=OWNER)
        assert not (inside / name).is_symlink()
        assert (inside / name).read_text() == "mine"


def test_directories_are_not_copied_through_links(inside: Path, tmp_path: Path) -> None:
    (tmp_path / "mine" / "directory").mkdir(parents=True)
    (tmp_path / "mine" / "directory" / "new").write_text("mine")
    with pytest.raises(CoreError) as caught:
        root_at(tmp_path).copy("mine", root_at(inside), "/", name=None, owner=OWNER)
    assert caught.value.kind == "not-a-directory"
    assert caught.value.path == b"directory"
    with pytest.raises(CoreError):
        root_at(tmp_path).copy("mine", root_at(inside), "/directory", name="x", owner=OWNER)


def test_directories_are_merged_and_files_replaced(tmp_path: Path) -> None:
    for name, files in {
        "one": {"same/file": "new", "same/only-new": "1", "pipe": "file now"},
        "two": {"same/file": "old", "same/only-old": "2"},
    }.items():
        for path, text in files.items():
            (tmp_path / name / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / path).write_text(text)
    os.mkfifo(tmp_path / "two" / "pipe")
    (tmp_path / "one" / "same").chmod(0o750)
    os.utime(tmp_path / "one" / "same", ns=(1, 5_000_000_007))
    root_at(tmp_path).copy("one", root_at(tmp_path), "two", name=None, owner=OWNER)
    texts = {
        str(path.relative_to(tmp_path / "two")): path.read_text()
        for path in (tmp_path / "two").rglob("*")
        if path.is_file()
    }
    assert texts == {
        "same/file": "new",
        "same/only-new": "1",
        "same/only-old": "2",
        "pipe": "file now",
    }
    merged = (tmp_path / "two" / "same").stat()
    assert (merged.st_mode & 0o7777, merged.st_mtime_ns) == (0o750, 5_000_000_007)


def test_directories_and_files_do_not_take_each_others_place(tmp_path: Path) -> None:
    (tmp_path / "tree" / "name").mkdir(parents=True)
    (tmp_path / "file").write_text("x")
    (tmp_path / "to" / "name").mkdir(parents=True)
    root = root_at(tmp_path)
    with pytest.raises(CoreError) as caught:
        root.copy("file", root, "to", name="name", owner=OWNER)
    assert (caught.value.kind, caught.value.path) == ("not-a-file", b"name")
    (tmp_path / "to" / "name").rmdir()
    (tmp_path / "to" / "name").write_text("y")
    with pytest.raises(CoreError) as caught:
        root.copy("tree", root, "to", name=None, owner=OWNER)
    assert (caught.value.kind, caught.value.path) == ("not-a-directory", b"name")


@needs_root
def test_a_change_of_owner_takes_what_was_meant_for_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    for name, uid in (("theirs", 1000), ("mine", 0)):
        path = tmp_path / "tree" / name
        path.write_text("x")
        os.chown(path, uid, uid)
        path.chmod(0o6755)
        os.setxattr(path, "user.note", b"kept")
        os.setxattr(
            path,
            "security.capability",
            bytes.fromhex("0100000200200000000000000000000000000000"),
        )
    (tmp_path / "to").mkdir()
    root = root_at(tmp_path)
    root.copy("tree", root, "to", name="copy", owner=(0, 0))
    root.copy("tree", root, "to", name="archive", owner=None)
    table = {
        "copy/theirs": (0, 0o755, ["user.note"]),
        "copy/mine": (0, 0o6755, ["security.capability", "user.note"]),
        "archive/theirs": (1000, 0o6755, ["security.capability", "user.note"]),
    }
    for name, expected in table.items():
        found = (tmp_path / "to" / name).stat()
        names = sorted(os.listxattr(tmp_path / "to" / name))
        assert (found.st_uid, found.st_mode & 0o7777, names) == expected, name


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / "file").write_text("old")
    (tmp_path / "file").write_text("new")
    (tmp_path / "file").chmod(0)
    if not IS_ROOT:
        with pytest.raises(CoreError):
            root_at(tmp_path).copy("file", root_at(tmp_path), "to", name="file", owner=OWNER)
        assert (tmp_path / "to" / "file").read_text() == "old"
    assert [path.name for path in (tmp_path / "to").iterdir()] == ["file"]


def test_a_tree_that_changes_meanwhile_is_copied_as_it_is_found(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    for number in range(300):
        (tree / f"directory{number}").mkdir()
        (tree / f"directory{number}" / "file").write_text("x" * number)
    is_over = threading.Event()

    def churn() -> None:
        while not is_over.is_set():
            for number in range(0, 300, 7):
                place = tree / f"directory{number}"
                (place / "file").unlink(missing_ok=True)
                place.rmdir()
                place.symlink_to("/etc")
                place.unlink()
                place.mkdir()
                (place / "file").write_text("again")

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        for attempt in range(5):
            (tmp_path / f"to{attempt}").mkdir()
            root = root_at(tmp_path)
            root.copy("tree", root, f"to{attempt}", name="copy", owner=OWNER)
            copied = tmp_path / f"to{attempt}" / "copy"
            assert (copied / "directory1" / "file").read_text() == "x"
            assert not (copied / "directory0" / "passwd").exists()
    finally:
        is_over.set()
        thread.join()


# Unpacking ----------------------------------------------------------------------


def view_of(tmp_path: Path, entries: dict[str, object]) -> tuple[Layers, str]:
    """Store a tar: bytes are a file, ``None`` is a directory, a text a symbolic link."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in entries.items():
            entry = tarfile.TarInfo(name)
            entry.uid, entry.gid = OWNER
            if content is None:
                entry.type, entry.mode = tarfile.DIRTYPE, 0o750
            elif isinstance(content, str):
                entry.type, entry.linkname = tarfile.SYMTYPE, content
            data = content if isinstance(content, bytes) else b""
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    (tmp_path / "in.tar").write_bytes(buffer.getvalue())
    layers = Layers(tmp_path / "spool", userxattr=not IS_ROOT)
    return layers, layers.ingest(tmp_path / "in.tar").diff_id


def unpack(tmp_path: Path, target: Path, directory: str, entries: dict[str, object]) -> int:
    layers, layer = view_of(tmp_path, entries)
    return root_at(target).unpack(layers.view([layer]), directory)


def test_a_tar_is_unpacked_into_a_directory(inside: Path, tmp_path: Path) -> None:
    size = unpack(tmp_path, inside, "/etc", {"sub": None, "sub/file": b"text", "sub/link": "file"})
    assert size == 4
    assert (inside / "etc/sub/file").read_text() == "text"
    assert (inside / "etc/sub/link").readlink() == Path("file")
    assert (inside / "etc/sub").stat().st_mode & 0o7777 == 0o750
    assert (inside / "etc/name").read_text() == "inside"


def test_names_beneath_links_stay_inside_the_root(
    inside: Path, outside: Path, tmp_path: Path
) -> None:
    (inside / "lib").symlink_to("/etc")
    unpack(tmp_path, inside, "/", {"lib/added": b"through the link"})
    assert (inside / "etc/added").read_text() == "through the link"
    assert (inside / "lib").is_symlink()
    for name in ("directory/evil", "up/evil", "fd/evil"):
        with pytest.raises(CoreError):
            unpack(tmp_path, inside, "/", {name: b"evil"})
    with pytest.raises(CoreError):
        unpack(tmp_path, inside, "/directory", {"evil": b"evil"})
    assert sorted(path.name for path in outside.rglob("*")) == ["directory", "secret"]


def test_a_link_of_the_tar_itself_is_not_followed_out(
    inside: Path, outside: Path, tmp_path: Path
) -> None:
    with pytest.raises(CoreError):
        unpack(tmp_path, inside, "/", {"trap": str(outside), "trap/secret": b"evil"})
    with pytest.raises(CoreError) as caught:
        unpack(tmp_path, inside, "/", {"../outside/secret": b"evil"})
    assert caught.value.kind == "unsafe-path"


def test_names_that_layers_reserve_are_refused_and_nothing_is_written(
    inside: Path, tmp_path: Path
) -> None:
    before = facts(inside)
    for name in (".wh.etc", "etc/.wh..wh..opq"):
        with pytest.raises(CoreError) as caught:
            unpack(tmp_path, inside, "/", {"a": b"first", name: b""})
        assert caught.value.kind == "bad-tar"
    assert facts(inside) == before
