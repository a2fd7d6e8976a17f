"""Archives between dissolver, GNU tar and Python's tarfile, in both directions."""

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
from dataclasses import replace
from pathlib import Path

import pytest

from dissolver._core import CoreError
from dissolver._core.layer import Layers
from layer.conftest import IS_ROOT, Facts, facts, make_tree, needs_root

GNU_TAR = shutil.which("tar")
needs_tar = pytest.mark.skipif(GNU_TAR is None, reason="GNU tar is not installed")

Seen = dict[str, Facts]


def pack(tree: Path, archive: Path, *options: str) -> None:
    subprocess.run(["tar", "--sort=name", *options, "-cf", archive, "-C", tree, "."], check=True)


def in_seconds(seen: Seen) -> Seen:
    """What is left in a format that has whole seconds only."""
    return {
        name: replace(fact, mtime_ns=fact.mtime_ns // 10**9 * 10**9) for name, fact in seen.items()
    }


def without_xattrs(seen: Seen) -> Seen:
    return {name: replace(fact, xattrs=()) for name, fact in seen.items()}


def as_is(seen: Seen) -> Seen:
    return seen


def extracted(layers: Layers, archive: Path, destination: Path) -> Seen:
    layers.extract([layers.ingest(archive).diff_id], destination)
    return facts(destination)


@needs_root
@needs_tar
@pytest.mark.parametrize(
    ("options", "kept"),
    [
        (["--format=posix", "--xattrs", "--xattrs-include=*"], as_is),
        (["--format=posix", "--sparse", "--sparse-version=1.0"], without_xattrs),
        (["--format=posix", "--sparse", "--sparse-version=0.1"], without_xattrs),
        (["--format=posix", "--sparse", "--sparse-version=0.0"], without_xattrs),
        (["--format=gnu"], lambda seen: in_seconds(without_xattrs(seen))),
        (["--format=gnu", "--sparse"], lambda seen: in_seconds(without_xattrs(seen))),
    ],
)
def test_everything_in_a_gnu_tar_is_read(
    layers: Layers, tmp_path: Path, options: list[str], kept: Callable[[Seen], Seen]
) -> None:
    make_tree(tmp_path / "tree")
    pack(tmp_path / "tree", tmp_path / "a.tar", *options)
    expected = kept(facts(tmp_path / "tree"))
    assert kept(extracted(layers, tmp_path / "a.tar", tmp_path / "out")) == expected


@needs_tar
@pytest.mark.parametrize("options", [["--format=v7"], ["--format=ustar"], ["--format=oldgnu"]])
def test_old_formats_are_read(layers: Layers, tmp_path: Path, options: list[str]) -> None:
    tree = tmp_path / "tree"
    (tree / "etc").mkdir(parents=True)
    (tree / "etc/passwd").write_text("root")
    (tree / "link").symlink_to("etc/passwd")
    os.link(tree / "etc/passwd", tree / "etc/again")
    for path in ("etc", "etc/passwd", "link", "."):
        os.utime(tree / path, ns=(0, 10**18), follow_symlinks=False)
    pack(tree, tmp_path / "a.tar", *options)
    assert extracted(layers, tmp_path / "a.tar", tmp_path / "out") == facts(tree)


def test_star_archives_are_read(layers: Layers, tmp_path: Path) -> None:
    def header(name: bytes, prefix: bytes) -> bytes:
        block = bytearray(512)
        for at, field in (
            (0, name), (100, b"0000644\0"), (108, b"0000001\0"), (116, b"0000002\0"),
            (124, b"00000000004\0"), (136, b"00000000007\0"), (156, b"0"), (257, b"ustar\x0000"),
            (345, prefix), (476, b"00000000011 "), (488, b"00000000012 "), (508, b"tar\0"),
        ):  # fmt: skip
            block[at : at + len(field)] = field
        block[148:156] = b" " * 8
        block[148:156] = b"%06o\0 " % sum(block)
        return bytes(block)

    archive = tmp_path / "star.tar"
    archive.write_bytes(header(b"file", b"a/long/prefix") + b"text".ljust(512, b"\0") + bytes(1024))
    view = layers.view([layers.ingest(archive).diff_id])
    entry = view.stat("/a/long/prefix/file")
    assert entry is not None
    assert (entry.uid, entry.gid, entry.size, entry.mtime_ns) == (1, 2, 4, 7 * 10**9)
    assert view.list("/a/long/prefix") == [b"file"]
    assert view.read("/a/long/prefix/file", limit=4) == b"text"


@needs_root
@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_what_tarfile_writes_is_read(layers: Layers, tmp_path: Path, form: int) -> None:
    make_tree(tmp_path / "tree")
    with tarfile.open(tmp_path / "a.tar", "w", format=form) as tar:
        tar.add(tmp_path / "tree", arcname=".")
    seen = extracted(layers, tmp_path / "a.tar", tmp_path / "out")

    def comparable(seen: Seen) -> Seen:
        # tarfile keeps floats, and loses what they cannot say.
        return without_xattrs(
            {
                name: replace(fact, mtime_ns=round(fact.mtime_ns, -6) // 10**9)
                for name, fact in seen.items()
            }
        )

    expected, found = comparable(facts(tmp_path / "tree")), comparable(seen)
    for name, fact in expected.items():
        assert abs(fact.mtime_ns - found[name].mtime_ns) <= 1
        assert replace(found[name], mtime_ns=fact.mtime_ns) == fact
    assert found.keys() == expected.keys()


def committed(layers: Layers, tmp_path: Path) -> tuple[str, Seen]:
    """Make a layer of a tree as a step would leave it."""
    make_tree(tmp_path / "upper")
    seen = facts(tmp_path / "upper")
    info = layers.commit_upper(tmp_path / "upper", [])
    with (tmp_path / "layer.tar").open("wb") as out:
        assert layers.cat(info.diff_id, out.fileno()) == info.tar_bytes
    return info.diff_id, seen


@needs_root
@needs_tar
def test_gnu_tar_reads_what_is_written(layers: Layers, tmp_path: Path) -> None:
    _, seen = committed(layers, tmp_path)
    out = tmp_path / "out"
    out.mkdir()
    subprocess.run(
        ["tar", "--numeric-owner", "--xattrs", "--xattrs-include=*", "-xpf", tmp_path / "layer.tar",
         "-C", out],
        check=True,
    )  # fmt: skip
    found = facts(out)
    # The root itself did not change, so the layer says nothing about it.
    del found["."], seen["."]
    assert found == seen


@needs_root
def test_tarfile_reads_what_is_written(layers: Layers, tmp_path: Path) -> None:
    _, seen = committed(layers, tmp_path)
    with tarfile.open(tmp_path / "layer.tar", errors="surrogateescape") as tar:
        members = {member.name: member for member in tar}
        assert set(members) == set(seen) - {"."}
        for name, member in members.items():
            fact = seen[name]
            assert (member.uid, member.gid) == fact.owner
            assert member.mode == fact.mode & 0o7777
            if member.isreg():
                content = tar.extractfile(member)
                assert content is not None
                assert content.read() == fact.content
            elif member.issym():
                assert os.fsencode(member.linkname) == fact.content
            elif member.islnk():
                assert member.linkname == fact.first_name


@needs_root
def test_a_layer_comes_back_as_it_went(layers: Layers, tmp_path: Path) -> None:
    diff_id, seen = committed(layers, tmp_path)
    assert "sha256:" + hashlib.sha256((tmp_path / "layer.tar").read_bytes()).hexdigest() == diff_id
    other = Layers(tmp_path / "other", userxattr=False)
    info = other.ingest(tmp_path / "layer.tar", expect=diff_id)
    assert info == layers.info(diff_id)
    other.extract([diff_id], tmp_path / "out")
    found = facts(tmp_path / "out")
    del found["."], seen["."]
    assert found == seen


@needs_tar
def test_a_whole_root_file_system_is_one_tar(layers: Layers, tmp_path: Path) -> None:
    def layer(name: str, *entries: tuple[str, bytes, str]) -> str:
        with tarfile.open(tmp_path / name, "w") as tar:
            for path, kind, text in entries:
                member = tarfile.TarInfo(path)
                member.type, member.linkname = kind, text
                member.mode = 0o755
                if kind == tarfile.REGTYPE:
                    member.size, member.linkname = len(text), ""
                tar.addfile(member, io.BytesIO(text.encode()))
        return layers.ingest(tmp_path / name).diff_id

    below = layer(
        "below.tar",
        ("m", tarfile.REGTYPE, "linked"),
        ("a", tarfile.LNKTYPE, "m"),
        ("z", tarfile.LNKTYPE, "m"),
        ("gone", tarfile.REGTYPE, "x"),
    )
    above = layer("above.tar", (".wh.gone", tarfile.REGTYPE, ""), ("m", tarfile.REGTYPE, "new"))
    first, second = tmp_path / "1.tar", tmp_path / "2.tar"
    for path in (first, second):
        with path.open("wb") as out:
            layers.export_tar([below, above], out.fileno())
    assert first.read_bytes() == second.read_bytes()
    with tarfile.open(first) as tar:
        seen = [(member.name, member.type, member.linkname) for member in tar]
    assert seen == [
        (".", tarfile.DIRTYPE, ""),
        ("a", tarfile.REGTYPE, ""),
        ("m", tarfile.REGTYPE, ""),
        ("z", tarfile.LNKTYPE, "a"),
    ]


def _zstd(data: bytes) -> bytes:
    if shutil.which("zstd") is None:
        pytest.skip("zstd is not installed")
    return subprocess.run(["zstd", "-c"], input=data, capture_output=True, check=True).stdout


@pytest.mark.parametrize(
    "compress", [bytes, gzip.compress, bz2.compress, lzma.compress, _zstd],
    ids=["plain", "gzip", "bzip2", "xz", "zstd"],
)  # fmt: skip
def test_compressed_archives_are_told_apart_by_content(
    layers: Layers, tmp_path: Path, compress: Callable[[bytes], bytes]
) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        member = tarfile.TarInfo("file")
        member.size = 300_000
        tar.addfile(member, io.BytesIO(bytes(300_000)))
    plain = buffer.getvalue()
    diff_id = "sha256:" + hashlib.sha256(plain).hexdigest()
    half = len(plain) // 2
    whole = compress(plain)
    pieces = compress(plain[:half]) + compress(plain[half:])
    for name, data in (("whole", whole), ("pieces", pieces)):
        (tmp_path / name).write_bytes(data)
        info = layers.ingest(tmp_path / name, expect=diff_id)
        assert (info.diff_id, info.tar_bytes, info.content_bytes) == (diff_id, len(plain), 300_000)
    if whole != plain:
        (tmp_path / "cut").write_bytes(whole[:-20])
        with pytest.raises(CoreError) as caught:
            layers.ingest(tmp_path / "cut")
        assert caught.value.kind == "bad-tar"
    assert layers.settle(10)
    assert list((tmp_path / "store" / "tmp").iterdir()) == []


def test_a_tar_without_its_end_is_kept_as_it_came(layers: Layers, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in (("first", b"one"), ("last", b"x" * 700)):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    whole = buffer.getvalue()
    end = 3 * 512 + 700
    # The content's last byte, its padding or half of it, one block of zeros, a part of the second.
    for length in (end, end + 1, 2300, 2560, 2600, 3072, 3500):
        data = whole[:length]
        (tmp_path / "a.tar").write_bytes(data)
        info = layers.ingest(tmp_path / "a.tar")
        assert info.diff_id == f"sha256:{hashlib.sha256(data).hexdigest()}"
        with (tmp_path / "again").open("wb") as out:
            assert layers.cat(info.diff_id, out.fileno()) == length
        assert (tmp_path / "again").read_bytes() == data
        view = layers.view([info.diff_id])
        assert (view.read("/first", limit=9), view.read("/last", limit=999)) == (b"one", b"x" * 700)
        layers.verify(info.diff_id)
        assert layers.remove(info.diff_id) > 0
    (tmp_path / "a.tar").write_bytes(whole[: end - 1])
    with pytest.raises(CoreError, match=f"bad tar at byte {end - 1}: it is cut short"):
        layers.ingest(tmp_path / "a.tar")
    assert layers.list() == []


def test_a_descriptor_is_read_from_where_it_stands(layers: Layers, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("file"))
    (tmp_path / "file").write_bytes(b"before" + buffer.getvalue())
    with (tmp_path / "file").open("rb", buffering=0) as source:
        source.seek(6)
        info = layers.ingest(source.fileno())
    assert info.diff_id == "sha256:" + hashlib.sha256(buffer.getvalue()).hexdigest()


def test_bytes_that_are_not_the_expected_ones_leave_nothing(layers: Layers, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("file"))
    with pytest.raises(CoreError) as caught:
        layers.ingest(tmp_path / "a.tar", expect="sha256:" + "0" * 64)
    assert caught.value.kind == "digest-mismatch"
    assert layers.list() == []
    for name in ("tmp", "packs", "layers"):
        assert list((tmp_path / "store" / name).iterdir()) == []


def test_a_bomb_is_refused(layers: Layers, tmp_path: Path) -> None:
    member = tarfile.TarInfo("zeros")
    member.size = 4 << 30
    with gzip.open(tmp_path / "bomb.gz", "wb", compresslevel=1) as out:
        out.write(member.tobuf(tarfile.GNU_FORMAT))
    # Members of a gzip file add up, so one of 16 MB repeated stands for gigabytes.
    piece = gzip.compress(bytes(16 << 20), 9)
    with (tmp_path / "bomb.gz").open("ab") as out:
        for _ in range(160):
            out.write(piece)
    with pytest.raises(CoreError) as caught:
        layers.ingest(tmp_path / "bomb.gz")
    assert caught.value.kind == "limit"
    assert list((tmp_path / "store" / "tmp").iterdir()) == []


@pytest.mark.skipif(IS_ROOT, reason="root can own files")
def test_an_ordinary_user_is_told_what_cannot_be_owned(layers: Layers, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        member = tarfile.TarInfo("file")
        member.uid = 1
        tar.addfile(member)
    with pytest.raises(CoreError) as caught:
        layers.extract([layers.ingest(tmp_path / "a.tar").diff_id], tmp_path / "out")
    assert (caught.value.kind, caught.value.op) == ("io", "chown")


def test_attributes_too_large_for_a_file_system_leave_the_file_of_use(tmp_path: Path) -> None:
    place = tmp_path / "archive.tar"
    with tarfile.open(place, "w", format=tarfile.PAX_FORMAT) as tar:
        entry = tarfile.TarInfo("file")
        entry.pax_headers = {"SCHILY.xattr.user.big": "b" * 60_000, "SCHILY.xattr.user.a": "1"}
        entry.uid, entry.gid = os.getuid(), os.getgid()
        tar.addfile(entry)
    layers = Layers(tmp_path / "store", userxattr=False)
    layers.extract([layers.ingest(place).diff_id], tmp_path / "out")
    # As large as this one is, ext4 does not take it.
    assert set(os.listxattr(tmp_path / "out/file")) - {"user.big"} == {"user.a"}
