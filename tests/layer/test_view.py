"""A root file system looked at without mounting it."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest

import rawtar as tar
from dissolver._core import CoreError
from dissolver._core.layer import Layers, View


@pytest.fixture
def view(layers: Layers, tmp_path: Path) -> View:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:

        def add(name: str, kind: bytes, text: str = "") -> None:
            member = tarfile.TarInfo(name)
            member.type, member.mode, member.uid, member.gid = kind, 0o640, 7, 8
            member.mtime = 1_700_000_000
            if kind == tarfile.REGTYPE:
                member.size = len(text)
            else:
                member.linkname = text
            tar.addfile(member, io.BytesIO(text.encode()))

        add("usr", tarfile.DIRTYPE)
        add("usr/bin", tarfile.DIRTYPE)
        add("usr/bin/sh", tarfile.REGTYPE, "shell")
        add("usr/bin/bash", tarfile.LNKTYPE, "usr/bin/sh")
        add("bin", tarfile.SYMTYPE, "usr/bin")
        add("up", tarfile.SYMTYPE, "../../../../usr")
        add("loop", tarfile.SYMTYPE, "loop")
    return layers.view([layers.ingest(tmp_path / "a.tar").diff_id])


def test_an_entry_has_its_facts(view: View) -> None:
    entry = view.stat("/bin/sh")
    assert entry is not None
    assert (entry.path, entry.kind, entry.mode, entry.uid, entry.gid, entry.size) == (
        b"usr/bin/sh", "file", 0o640, 7, 8, 5,
    )  # fmt: skip
    assert entry.mtime_ns == 1_700_000_000 * 10**9
    assert (entry.link_target, entry.hard_link, entry.xattrs, entry.device) == (
        None,
        None,
        [],
        (0, 0),
    )
    assert entry.digest is not None
    assert entry.digest.startswith("blake3:")
    assert repr(entry) == "Entry(path='usr/bin/sh', kind='file', mode=0o640, uid=7, gid=8, size=5)"


def test_the_last_link_is_followed_or_not(view: View) -> None:
    followed, kept = view.stat("bin"), view.stat("bin", follow=False)
    assert followed is not None
    assert kept is not None
    assert (followed.kind, followed.path) == ("directory", b"usr/bin")
    assert (kept.kind, kept.link_target) == ("symlink", b"usr/bin")


def test_a_hard_link_is_a_file(view: View) -> None:
    entry = view.stat("/usr/bin/bash")
    assert entry is not None
    assert (entry.kind, entry.hard_link, entry.size) == ("file", b"usr/bin/sh", 5)
    assert view.read("/usr/bin/bash", limit=5) == b"shell"


@pytest.mark.parametrize(
    ("path", "resolved"),
    [
        ("/", b"/"),
        ("/bin/sh", b"/usr/bin/sh"),
        (b"up/bin", b"/usr/bin"),
        (Path("/../../bin/../bin"), b"/usr/bin"),
        ("/bin/new/file", b"/usr/bin/new/file"),
        ("/missing/../x", b"/x"),
    ],
)
def test_paths_are_resolved_inside_the_root(view: View, path: str, resolved: bytes) -> None:
    assert view.resolve(path) == resolved


def test_directories_are_listed_in_order(view: View) -> None:
    assert view.list("/") == [b"bin", b"loop", b"up", b"usr"]
    assert view.list("/bin") == [b"bash", b"sh"]


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (lambda view: view.read("/missing", limit=1), "not-found"),
        (lambda view: view.read("/usr", limit=1), "not-a-file"),
        (lambda view: view.read("/bin/sh", limit=4), "too-large"),
        (lambda view: view.list("/missing"), "not-found"),
        (lambda view: view.list("/bin/sh"), "not-a-directory"),
        (lambda view: view.stat("/loop"), "symlink-loop"),
        (lambda view: view.resolve("/loop/x"), "symlink-loop"),
    ],
)
def test_failures_have_their_kind(view: View, call: object, kind: str) -> None:
    assert callable(call)
    with pytest.raises(CoreError) as caught:
        call(view)
    assert caught.value.kind == kind


def test_no_layers_are_an_empty_root(layers: Layers) -> None:
    view = layers.view([])
    assert view.list("/") == []
    entry = view.stat("/")
    assert entry is not None
    assert (entry.kind, entry.mode, entry.uid) == ("directory", 0o755, 0)
    assert view.stat("/etc/passwd") is None


def test_a_file_is_an_archive_by_its_first_header(layers: Layers, tmp_path: Path) -> None:
    inner = tar.file("x", b"1") + tar.END
    files = {"a.tar": inner, "a.tgz": gzip.compress(inner), "a.txt": b"text", "empty": b""}
    outer = b"".join(tar.file(name, content) for name, content in files.items())
    (tmp_path / "outer.tar").write_bytes(outer + tar.directory("dir") + tar.END)
    view = layers.view([layers.ingest(tmp_path / "outer.tar").diff_id])
    told = {name: view.is_archive(f"/{name}") for name in files}
    assert told == {"a.tar": True, "a.tgz": True, "a.txt": False, "empty": False}
    for name, kind in (("/dir", "not-a-file"), ("/missing", "not-found")):
        with pytest.raises(CoreError) as caught:
            view.is_archive(name)
        assert caught.value.kind == kind
