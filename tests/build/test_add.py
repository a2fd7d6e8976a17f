"""ADD: files, archives, URLs and repositories."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from build.test_copy_flags import tree
from dissolver.errors import BuildError, ContextError
from servers import Repository, Web, git_server


def packed(files: dict[str, str], *, root_mode: int | None = None) -> bytes:
    """Make a tar: files of user 5 with mode 0640, `x -> y` for links, `d/` for directories."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        if root_mode is not None:
            entry = tarfile.TarInfo("./")
            entry.type, entry.mode = tarfile.DIRTYPE, root_mode
            tar.addfile(entry)
        for name, content in files.items():
            entry = tarfile.TarInfo(name.rstrip("/"))
            entry.uid, entry.gid, entry.mode, entry.mtime = 5, 6, 0o640, 1_600_000_000
            if name.endswith("/"):
                entry.type, entry.mode = tarfile.DIRTYPE, 0o750
            elif content.startswith("-> "):
                entry.type, entry.linkname = tarfile.SYMTYPE, content[3:]
            else:
                entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content.encode()))
    return buffer.getvalue()


def zstd(data: bytes) -> bytes:
    if shutil.which("zstd") is None:
        pytest.skip("zstd is not installed")
    return subprocess.run(["zstd", "-c"], input=data, capture_output=True, check=True).stdout


FILES = {"d/": "", "d/a": "one", "b": "two"}
INSIDE = {"d/a": "one", "b": "two"}

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda data: data,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstd,
}


# Archives -----------------------------------------------------------------------------


@pytest.mark.parametrize("packer", PACKERS)
def test_an_archive_is_known_by_its_content_and_unpacked(site, packer: str) -> None:
    site.write({"anything.bin": PACKERS[packer](packed(FILES))})
    told = site.build("FROM box\nADD anything.bin /x\n")
    assert tree(site, told.image) == INSIDE
    assert site.stat(told.image, "/x/d/a") == (0o640, 5, 6)
    assert site.stat(told.image, "/x/d") == (0o750, 5, 6)
    assert told.statuses("ADD") == ["unpacking anything.bin"]


def test_the_owner_is_for_what_is_unpacked_and_the_mode_is_for_nothing(site) -> None:
    site.write({"a.tar": packed(FILES)})
    told = site.build("FROM box\nADD --chown=node --chmod=700 a.tar /x/y/\n")
    assert site.stat(told.image, "/x/y/b") == (0o640, 1000, 1000)
    assert site.stat(told.image, "/x/y") == (0o755, 1000, 1000)


def test_an_archive_is_copied_where_that_is_asked_for(site) -> None:
    data = packed(FILES)
    site.write({"a.tar": data})
    told = site.build("FROM box\nADD --unpack=false a.tar /x/\nCOPY a.tar /y/\n")
    assert tree(site, told.image) == {"a.tar": data.decode()}
    assert tree(site, told.image, "/y") == {"a.tar": data.decode()}


def test_what_only_looks_like_an_archive_is_copied(site) -> None:
    site.write({"a.tar": b"\0" * 1024, "b.gz": gzip.compress(b"no tar"), "c.tar.gz": "\x1f\x8bx"})
    told = site.build("FROM box\nADD a.tar b.gz c.tar.gz /x/\n")
    store = site.engine._backend.store
    view = store.layers.view(site.engine.image(told.image).config.diff_ids)
    assert view.list("/x") == [b"a.tar", b"b.gz", b"c.tar.gz"]


def test_archives_and_files_go_together_in_their_order(site) -> None:
    site.write(
        {"one.tar": packed({"a": "1", "b": "1"}), "b": "plain", "two.tar": packed({"a": "2"})}
    )
    told = site.build("FROM box\nADD one.tar b two.tar /x\n")
    assert tree(site, told.image) == {"a": "2", "b": "plain"}
    told = site.build("FROM box\nADD *.tar /y/\n")
    assert tree(site, told.image, "/y") == {"a": "2", "b": "1"}


def test_the_order_of_what_is_unpacked_is_part_of_the_key(site) -> None:
    site.write({"1.tar": packed({"a": "1"}), "2.tar": packed({"a": "2"}), "a": "plain"})
    for sources, expected in (
        ("1.tar 2.tar", "2"),
        ("2.tar 1.tar", "1"),
        ("1.tar a", "plain"),
        ("a 1.tar", "1"),
    ):
        told = site.build(f"FROM box\nADD {sources} /x/\n")
        assert (tree(site, told.image), told.result.is_cached) == ({"a": expected}, False)
        assert site.build(f"FROM box\nADD {sources} /x/\n").result.is_cached
    assert told.result.steps[-1].reason == "source 1 changed"


@pytest.mark.parametrize("sources", ["a/x.tar b/x.tar", "*/x.tar"])
def test_an_archive_counts_that_has_the_name_of_a_later_one(site, sources: str) -> None:
    site.write({"a/x.tar": packed({"a": "1"}), "b/x.tar": packed({"b": "1"})})
    site.build(f"FROM box\nADD {sources} /x/\n")
    site.write({"a/x.tar": packed({"a": "2"})})
    told = site.build(f"FROM box\nADD {sources} /x/\n")
    assert tree(site, told.image) == {"a": "2", "b": "1"}
    assert told.result.steps[-1].reason == "source 1 changed"


def test_a_root_file_system_can_be_unpacked_over_another(site) -> None:
    files = {"bin/": "", "bin/tool": "new", "etc/": "", "lib": "-> usr/lib", "usr/lib/x": "x"}
    site.write({"root.tar": packed(files, root_mode=0o711)})
    text = "FROM box\nRUN ln -s bin /sbin2 && mkdir /lib\nADD root.tar /\n"
    told = site.build(text)
    assert site.read(told.image, "/bin/tool") == "new"
    assert site.exists(told.image, "/bin/busybox")
    assert site.read(told.image, "/lib/x") == "x"
    assert site.stat(told.image, "/")[0] == 0o711


def test_an_archive_is_cached_by_its_bytes(site) -> None:
    site.write({"a.tar": packed(FILES)})
    text = "FROM box\nADD a.tar /x\n"
    first = site.build(text)
    os.utime(site.directory / "a.tar", (1, 1))
    again = site.build(text)
    assert again.result.is_cached
    assert again.image == first.image
    site.write({"a.tar": packed({**FILES, "c": "3"})})
    told = site.build(text)
    assert told.reasons == {"ADD a.tar /x": "file `a.tar` changed"}
    assert "c" in tree(site, told.image)
    assert not site.build("FROM box\nADD --unpack=false a.tar /x/\n").result.is_cached


def test_directories_that_an_archive_only_implies_stay_as_they_are(site) -> None:
    site.write({"a.tar": packed({"t/x": "1", "new/y": "2"})})
    run = "RUN mkdir /t && chmod 1777 /t && chown 7:8 /t"
    told = site.build(f"FROM box\n{run}\nADD --chown=3:4 a.tar /\nRUN true\n")
    assert site.stat(told.image, "/t") == (0o1777, 7, 8)
    assert site.stat(told.image, "/t/x") == (0o640, 3, 4)
    assert site.stat(told.image, "/new") == (0o755, 0, 0)
    assert site.stat(told.image, "/new/y") == (0o640, 3, 4)
    shown = 'RUN test "$(stat -c "%a %u:%g" /t /new | xargs)" = "1777 7:8 755 0:0"'
    site.build(f"FROM {told.image.removeprefix('sha256:')[:12]}\n{shown}\n")


def test_nothing_is_left_of_unpacking(site, tmp_path: Path) -> None:
    site.write({"a.tar": packed(FILES)})
    site.build("FROM box\nADD a.tar /x\n")
    assert list((tmp_path / "store" / "tmp").iterdir()) == []


@pytest.mark.parametrize("name", ["../out", "/abs/../../out"])
def test_an_archive_that_would_write_elsewhere_is_refused(site, name: str) -> None:
    site.write({"a.tar": packed({name: "x"})})
    with pytest.raises(BuildError) as caught:
        site.build("FROM box\nADD a.tar /x\n")
    assert caught.value.message.startswith("cannot unpack `a.tar`: ")
    assert caught.value.where.line == 2


def test_a_source_that_is_not_there_is_missed(site) -> None:
    with pytest.raises(ContextError) as caught:
        site.write({"abc": "x"}).build("FROM box\nADD abd /x\n")
    assert caught.value.hint == "did you mean `abc`?"


def test_add_has_the_flags_of_copy(site) -> None:
    site.write({"src/a.txt": "a", "src/b.md": "b"})
    told = site.build("FROM box\nADD --exclude=*.md --chmod=go= --chown=7 src <<EOF /x/\nt\nEOF\n")
    assert tree(site, told.image) == {"a.txt": "a", "EOF": "t\n"}
    assert site.stat(told.image, "/x/a.txt") == (0o600, 7, 7)


# URLs -----------------------------------------------------------------------------------

MODIFIED = "Wed, 21 Oct 2015 07:28:00 GMT"


def mtime(site, image: str, path: str) -> int:
    store = site.engine._backend.store
    view = store.layers.view(site.engine.image(image).config.diff_ids)
    return int(view.stat(path).mtime_ns // 10**9)


def test_a_url_becomes_a_file(site, web: Web) -> None:
    url = web.put("/dir/tool.sh", "content", modified=MODIFIED)
    told = site.build(
        f"FROM box\nADD {url} /x/\nADD {url}?q=1 /y\nADD --chmod=755 --chown=7 {url} /z\n"
    )
    assert tree(site, told.image) == {"tool.sh": "content"}
    assert site.read(told.image, "/y") == "content"
    assert site.stat(told.image, "/x/tool.sh") == (0o600, 0, 0)
    assert site.stat(told.image, "/z") == (0o755, 7, 7)
    assert mtime(site, told.image, "/x/tool.sh") == 1445412480


def test_a_file_that_did_not_change_is_not_fetched_again(site, web: Web) -> None:
    url = web.put("/a", "one", etag='"1"')
    text = f"FROM box\nADD {url} /x\n"
    first = site.build(text)
    again = site.build(text)
    assert again.result.is_cached
    assert again.image == first.image
    assert web.asked == [("/a", 200), ("/a", 304)]
    web.put("/a", "two", etag='"2"')
    told = site.build(text)
    assert not told.result.is_cached
    assert site.read(told.image, "/x") == "two"


@pytest.mark.parametrize("modified", ["", MODIFIED])
def test_without_a_tag_the_content_decides(site, web: Web, modified: str) -> None:
    url = web.put("/a", "one", modified=modified)
    text = f"FROM box\nADD {url} /x\n"
    site.build(text)
    assert site.build(text).result.is_cached
    # Within the same second.
    web.put("/a", "two", modified=modified)
    told = site.build(text)
    assert not told.result.is_cached
    assert site.read(told.image, "/x") == "two"
    assert web.asked == [("/a", 200)] * 3


def test_a_checksum_is_checked_and_saves_asking(site, web: Web) -> None:
    url = web.put("/a", "one")
    digest = "sha256:" + hashlib.sha256(b"one").hexdigest()
    text = f"FROM box\nADD --checksum={digest} {url} /x\n"
    site.build(text)
    assert site.build(text).result.is_cached
    assert web.asked == [("/a", 200)]
    wrong = "sha256:" + "0" * 64
    with pytest.raises(BuildError) as caught:
        site.build(f"FROM box\nADD --checksum={wrong} {url} /x\n")
    assert caught.value.message == f"digest mismatch: `{url}` has `{digest}`, and not `{wrong}`"
    assert caught.value.where.line == 2


def test_archives_behind_urls_are_unpacked_only_on_demand(site, web: Web) -> None:
    data = packed(FILES)
    url = web.put("/a.tar.gz", gzip.compress(data))
    plain = web.put("/plain", "text")
    told = site.build(
        f"FROM box\nADD {url} /x/\nADD --unpack=true {url} /y\nADD --unpack {plain} /z/\n"
    )
    assert site.exists(told.image, "/x/a.tar.gz")
    assert tree(site, told.image, "/y") == INSIDE
    assert tree(site, told.image, "/z") == {"plain": "text"}


def test_redirects_are_followed_and_secrets_are_sent(site, web: Web) -> None:
    web.put("/new", "there", secret="Bearer word")
    url = web.put("/old", "", status=302, location="/new")
    text = f"FROM box\nADD {url} /x\n"
    with pytest.raises(BuildError, match="answers 401"):
        site.build(text)
    told = site.build(text, secrets={f"HTTP_AUTH_TOKEN_{web.host}": b"word\n"})
    assert site.read(told.image, "/x") == "there"


def test_what_a_server_does_not_have_is_told(site, web: Web) -> None:
    with pytest.raises(BuildError) as caught:
        site.build(f"FROM box\nADD {web.url}/none /x\n")
    assert caught.value.message == f"`{web.url}/none` answers 404"
    assert caught.value.where.line == 2


# Repositories -----------------------------------------------------------------------------


@pytest.fixture
def repository(repository: Repository) -> Repository:
    repository.commit({"README": "one", "src/run": "#!/bin/sh\n", "src/deep/a": "a"})
    repository.git("tag", "-a", "v1", "-m", "x")
    return repository


def test_a_repository_becomes_its_files(site, repository: Repository) -> None:
    told = site.build(f"FROM box\nADD {repository.url} /x\n")
    assert tree(site, told.image) == {"README": "one", "src/run": "#!/bin/sh\n", "src/deep/a": "a"}
    assert site.stat(told.image, "/x/README") == (0o644, 0, 0)
    assert site.stat(told.image, "/x/src/run") == (0o755, 0, 0)


def test_refs_and_directories_are_found(site, repository: Repository) -> None:
    first = repository.git("rev-parse", "HEAD")
    repository.git("checkout", "-q", "-b", "dev")
    repository.commit({"README": "two"})
    repository.git("checkout", "-q", "main")
    for ref, expected in [
        ("#v1", "one"),
        ("#dev", "two"),
        ("#refs/heads/dev", "two"),
        (f"#{first}", "one"),
        ("?branch=dev", "two"),
        ("?tag=v1", "one"),
        ("", "one"),
    ]:
        told = site.build(f"FROM box\nADD {repository.url}{ref} /x\n")
        assert site.read(told.image, "/x/README") == expected, ref
    told = site.build(f"FROM box\nADD {repository.url}#dev:src /y\n")
    assert tree(site, told.image, "/y") == {"run": "#!/bin/sh\n", "deep/a": "a"}


def test_the_git_directory_stays_only_on_demand(site, repository: Repository) -> None:
    told = site.build(f"FROM box\nADD --keep-git-dir=true {repository.url} /x\n")
    assert site.exists(told.image, "/x/.git/HEAD")
    told = site.build(f"FROM box\nADD {repository.url}?keep-git-dir=1 /y\n")
    assert site.exists(told.image, "/y/.git/HEAD")


def test_times_can_be_those_of_the_commit(site, repository: Repository) -> None:
    told = site.build(f"FROM box\nADD {repository.url}?mtime=commit /x\n")
    assert mtime(site, told.image, "/x/README") == 1_700_000_000


def test_a_commit_is_fetched_once(site, repository: Repository) -> None:
    text = f"FROM box\nADD {repository.url}#main /x\n"
    first = site.build(text)
    again = site.build(text)
    assert again.result.is_cached
    assert again.image == first.image
    assert not any("fetching" in status for status in again.statuses("ADD"))
    repository.commit({"README": "two"})
    assert not site.build(text).result.is_cached


def test_a_whole_commit_id_needs_no_server(site, tmp_path: Path) -> None:
    with git_server(tmp_path / "served") as repository:
        commit = repository.commit({"a": "a"})
        text = f"FROM box\nADD {repository.url}#{commit} /x\n"
        site.build(text)
    assert site.build(text).result.is_cached


def test_a_checksum_is_the_beginning_of_the_commit(site, repository: Repository) -> None:
    commit = repository.git("rev-parse", "HEAD")
    site.build(f"FROM box\nADD --checksum={commit} {repository.url}#v1 /x\n")
    site.build(f"FROM box\nADD {repository.url}?ref=v1&checksum={commit[:8]} /x\n")
    with pytest.raises(BuildError) as caught:
        site.build(f"FROM box\nADD --checksum={'0' * 40} {repository.url}#v1 /x\n")
    assert f"has the commit `{commit}`" in caught.value.message


def test_submodules_come_along(site, repository: Repository, tmp_path: Path) -> None:
    with git_server(tmp_path / "other") as other:
        other.commit({"inside": "sub"})
        repository.git("submodule", "add", "-q", other.url, "sub")
        repository.commit({})
        told = site.build(f"FROM box\nADD {repository.url} /x\n")
        assert site.read(told.image, "/x/sub/inside") == "sub"
        assert not site.exists(told.image, "/x/sub/.git")
        told = site.build(f"FROM box\nADD {repository.url}?submodules=false /y\n")
        assert not site.exists(told.image, "/y/sub/inside")


def test_flags_hold_for_repositories(site, repository: Repository) -> None:
    told = site.build(f"FROM box\nADD --chown=7 --exclude=src {repository.url} /x\n")
    assert tree(site, told.image) == {"README": "one"}
    assert site.stat(told.image, "/x/README")[1:] == (7, 7)


@pytest.mark.parametrize(
    ("rest", "message"),
    [("#none", "has no ref `none`"), ("#main:none", "has no directory `none`")],
)
def test_what_a_repository_does_not_have_is_told(
    site, repository: Repository, rest: str, message: str
) -> None:
    with pytest.raises(BuildError) as caught:
        site.build(f"FROM box\nADD {repository.url}{rest} /x\n")
    assert message in caught.value.message
    assert caught.value.where.line == 2


def test_a_repository_that_is_not_there_is_told(site) -> None:
    with pytest.raises(BuildError) as caught:
        site.build("FROM box\nADD git://127.0.0.1:1/none /x\n")
    assert "cannot reach the repository `git://127.0.0.1:1/none`" in caught.value.message


def test_a_link_in_a_repository_leads_nowhere_else(site, repository: Repository) -> None:
    (repository.path / "out").symlink_to("/etc")
    repository.commit({})
    with pytest.raises(BuildError, match="has no directory `out`"):
        site.build(f"FROM box\nADD {repository.url}#main:out /x\n")
