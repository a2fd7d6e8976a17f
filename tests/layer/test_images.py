"""A layer looks the same mounted in place and extracted: that is all there is to an image."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import io
import os
import stat
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from dissolver._core import CoreError
from dissolver._core.layer import Layers
from layer.conftest import Facts, facts, make_tree
from mounting import mounted_image

Tar = Callable[[tarfile.TarFile], None]


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("images")
    if reason := Layers(place / "probe", userxattr=os.geteuid() != 0).image_refusal():
        pytest.skip(reason)
    return place


@dataclasses.dataclass
class Pair:
    """One layer in both forms, in a store of its own."""

    root: Path
    diff_id: str

    @property
    def image(self) -> Path:
        return self.root / "layers" / self.diff_id.removeprefix("sha256:") / "erofs"

    def lower(self, form: str):
        layers = Layers(self.root, userxattr=False, form=form)
        (lower,) = layers.mountable([self.diff_id])
        return lower

    def mounted(self, look: Callable[[Path], object] = facts) -> object:
        lower = self.lower("erofs")
        assert lower.erofs == str(self.image)
        with mounted_image(lower.erofs, lower.devices, self.root / "mount") as place:
            return look(place)

    def extracted(self) -> dict[str, Facts]:
        return facts(Path(self.lower("directory").directory))


def _pair(ground: Path, archive: bytes) -> Pair:
    root = ground / hashlib.sha256(archive).hexdigest()[:16]
    path = ground / "archive.tar"
    path.write_bytes(archive)
    info = Layers(root, userxattr=False).ingest(path)
    return Pair(root, info.diff_id)


def _archive(fill: Tar) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        fill(tar)
    return buffer.getvalue()


def _without_times_of_whiteouts(found: dict[str, Facts]) -> dict[str, Facts]:
    """A whiteout has no time of its own; extraction leaves it that of its making."""
    return {
        name: dataclasses.replace(one, mtime_ns=0)
        if stat.S_ISCHR(one.mode) and one.device == 0
        else one
        for name, one in found.items()
    }


def _same(pair: Pair) -> dict[str, Facts]:
    mounted, extracted = pair.mounted(), pair.extracted()
    assert isinstance(mounted, dict)
    assert _without_times_of_whiteouts(mounted) == _without_times_of_whiteouts(extracted)
    return mounted


def _member(tar: tarfile.TarFile, name: str, content: bytes | None = b"", **facts_: object) -> None:
    member = tarfile.TarInfo(name)
    pax = facts_.pop("pax", {})
    for key, value in facts_.items():
        setattr(member, key, value)
    if content is None:
        member.type = tarfile.DIRTYPE
    member.size = len(content or b"")
    member.pax_headers = dict(pax)  # type: ignore[call-overload]
    tar.addfile(member, io.BytesIO(content or b""))


def test_one_of_everything(ground: Path, tmp_path: Path) -> None:
    make_tree(tmp_path / "tree")
    words = ["--xattrs", "--xattrs-include=*", "--sparse", "--format=posix", "--sort=name"]
    subprocess.run(
        ["tar", *words, "-C", tmp_path / "tree", "-cf", tmp_path / "tar", "."], check=True
    )
    found = _same(_pair(ground, (tmp_path / "tar").read_bytes()))
    assert found == facts(tmp_path / "tree")


def _whiteouts(tar: tarfile.TarFile) -> None:
    _member(tar, "opaque/.wh..wh..opq")
    _member(tar, "opaque/kept", b"x")
    _member(tar, "hidden/.wh.gone", mode=0o777, uid=7, mtime=12345)
    _member(tar, ".wh.away")
    _member(tar, "replaced", None, mode=0o711)
    _member(tar, ".wh.replaced")
    _member(tar, "replaced/by", b"this")
    _member(tar, ".wh.file")
    _member(tar, "file", b"and back")
    _member(tar, ".wh.implied")
    _member(tar, "implied/x", b"x")
    _member(tar, ".wh..wh.aufs")
    _member(tar, "device", type=tarfile.CHRTYPE, devmajor=0, devminor=0)


def _links(tar: tarfile.TarFile) -> None:
    _member(tar, "m", b"content", mode=0o640, uid=4_000_000_000, gid=70_000)
    for name in ("a", "z", "d/e/f", *(f"many/{n}" for n in range(300))):
        _member(tar, name, type=tarfile.LNKTYPE, linkname="m")
    _member(tar, "s", type=tarfile.SYMTYPE, linkname="m")
    _member(tar, "t", type=tarfile.LNKTYPE, linkname="s")
    _member(tar, "fifo", type=tarfile.FIFOTYPE)
    _member(tar, "fifo2", type=tarfile.LNKTYPE, linkname="fifo")
    _member(tar, "first", b"one")
    _member(tar, "second", type=tarfile.LNKTYPE, linkname="first")
    _member(tar, "first", b"another")
    _member(tar, "second2", type=tarfile.LNKTYPE, linkname="second")


def _directories_of_all_sizes(tar: tarfile.TarFile) -> None:
    # Names fill blocks of 512 bytes; what is left over follows the inode or does not fit there.
    for count in range(70):
        for number in range(count):
            _member(tar, f"d{count}/{number:03}")
    for length in range(200, 256):
        for letter in "abc":
            _member(tar, f"long{length}/{letter * length}")


def _symbolic_links_of_all_lengths(tar: tarfile.TarFile) -> None:
    for length in (*range(1, 520), 1023, 1024, 1025, 4095):
        text = ("x" * 200 + "/") * 21
        _member(tar, f"l{length}", type=tarfile.SYMTYPE, linkname=text[: length - 1] + "y")
    for length in range(0, 420, 3):
        pax = {"SCHILY.xattr.trusted.note": "v" * length}
        _member(tar, f"x{length}", type=tarfile.SYMTYPE, linkname="y" * 90, pax=pax)


def _files_of_all_sizes(tar: tarfile.TarFile) -> None:
    sizes = (0, 1, 511, 512, 513, 4095, 4096, 4097, 65_535, 65_536, 65_537, 1_000_000)
    for size in sizes:
        _member(tar, f"f{size}", (b"0123456789abcdef" * 65_536)[:size])


def _attributes(tar: tarfile.TarFile) -> None:
    def attributes(*pairs: tuple[str, str]) -> dict[str, str]:
        return {f"SCHILY.xattr.{name}": value for name, value in pairs}

    every = [("user.a", "1"), ("user.", "empty name"), ("trusted.b", ""), ("security.selinux", "x")]
    every.append(("trusted.overlay.opaque", "y"))
    for kind in (tarfile.REGTYPE, tarfile.FIFOTYPE, tarfile.SYMTYPE, tarfile.DIRTYPE):
        pax = attributes(*(pair for pair in every if pair[0] != "user."))
        _member(tar, f"k{int(kind)}", type=kind, linkname="y", pax=pax)
    for count in (1, 2, 20):
        pairs = [(f"user.name{number}", "value" * number) for number in range(count)]
        _member(tar, f"c{count}", b"x", pax=attributes(*pairs))
        _member(tar, f"d{count}", None, pax=attributes(*pairs))
        _member(tar, f"d{count}/x")
    for length in range(300):
        _member(tar, f"v{length}", pax=attributes(("user.v", "v" * length)))
    _member(tar, "n", pax=attributes(("user." + "n" * 250, "long name")))


def _times(tar: tarfile.TarFile) -> None:
    for time in ("0", "-1.5", "-2000000000", "1.000000001", "4294967296.5", "9999999999.999999999"):
        _member(tar, f"t{time}", b"x", pax={"mtime": time})
        _member(tar, f"d{time}", None, pax={"mtime": time})


def _strange_names(tar: tarfile.TarFile) -> None:
    for name in (b"!", b"-", b"...", b"..a", b"\x01", b"a\nb", b"\xff\xfe", b"\x7f", "é".encode()):
        _member(tar, os.fsdecode(name), name)
        _member(tar, os.fsdecode(b"d/" + name), name)
    # Between `a` and what is in it, byte order would put the others.
    for name in ("a/b", "a-b", "a.b", "a b", "a/b-c", "ab"):
        _member(tar, f"o/{name}/x", b"x")


def _deep(tar: tarfile.TarFile) -> None:
    _member(tar, "/".join(["d"] * 400), b"at the bottom")


def _wide(tar: tarfile.TarFile) -> None:
    for number in range(10_000):
        _member(tar, f"wide/{number}-{'n' * (number % 200)}", str(number).encode())


def _devices(tar: tarfile.TarFile) -> None:
    for kind, letter in ((tarfile.CHRTYPE, "c"), (tarfile.BLKTYPE, "b")):
        for major, minor in ((0, 1), (1, 3), (8, 255), (259, 256), (4095, 1_048_575)):
            name = f"{letter}{major}-{minor}"
            _member(tar, name, type=kind, devmajor=major, devminor=minor, mode=0o4660)


CORNERS = {
    "nothing": lambda _: None,
    "whiteouts": _whiteouts,
    "links": _links,
    "directories": _directories_of_all_sizes,
    "symbolic links": _symbolic_links_of_all_lengths,
    "files": _files_of_all_sizes,
    "attributes": _attributes,
    "times": _times,
    "strange names": _strange_names,
    "deep": _deep,
    "wide": _wide,
    "devices": _devices,
}


@pytest.mark.parametrize("name", CORNERS)
def test_corners(ground: Path, name: str) -> None:
    _same(_pair(ground, _archive(CORNERS[name])))


def _marks_of_overlays(tar: tarfile.TarFile) -> None:
    """Every spelling of everything that overlayfs reads, on everything that it reads it from."""
    pax: dict[str, str] = {}
    for kind in ("trusted", "user"):
        for name, value in (
            ("opaque", "x"), ("whiteout", "y"), ("redirect", "/other"), ("metacopy", ""),
            ("origin", "y"), ("overlay.opaque", "y"), ("overlay.overlay.whiteout", "y"), ("", "y"),
        ):  # fmt: skip
            pax[f"SCHILY.xattr.{kind}.overlay.{name}"] = value
            pax[f"LIBARCHIVE.xattr.{kind}.%6fverlay.{name}"] = base64.b64encode(b"y").decode()
    _member(tar, "./", None, mode=0o755)
    _member(tar, "hides", None, pax=pax)
    _member(tar, "hides/.wh..wh..opq", pax=pax)
    _member(tar, "hides/empty", pax=pax)
    _member(tar, "merges", None, pax=pax)
    _member(tar, "merges/empty", pax=pax)
    _member(tar, "other/file", b"x", pax=pax)
    _member(tar, "link", type=tarfile.SYMTYPE, linkname="other", pax=pax)
    _member(tar, "pipe", type=tarfile.FIFOTYPE, pax=pax)


def test_a_tar_cannot_mark_anything_for_an_overlay(ground: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        _marks_of_overlays(tar)
    # Once as they are in each header, and once for all, at the front.
    with tarfile.open(fileobj=io.BytesIO(buffer.getvalue())) as tar:
        pax = dict(tar.getmembers()[1].pax_headers)
    everywhere = io.BytesIO()
    with tarfile.open(
        fileobj=everywhere, mode="w", format=tarfile.PAX_FORMAT, pax_headers=pax
    ) as tar:
        _member(tar, "hides", None)
        _member(tar, "hides/.wh..wh..opq")
        _member(tar, "merges/empty")
    for archive in (buffer.getvalue(), everywhere.getvalue()):
        assert archive.count(b"overlay.redirect") >= 2
        found = _same(_pair(ground, archive))
        marked = {name: one.xattrs for name, one in found.items() if one.xattrs}
        assert marked == {"hides": (("trusted.overlay.opaque", b"y"),)}


def test_directories_may_be_as_deep_as_layers_allow(ground: Path) -> None:
    path = "/".join(["d"] * 1000)
    pair = _pair(ground, _archive(lambda tar: _member(tar, path, b"at the bottom")))
    assert pair.mounted(lambda place: (place / path).read_bytes()) == b"at the bottom"


def _sparse(name: str, size: int, pieces: list[tuple[int, bytes]]) -> bytes:
    """Write one sparse file as GNU tar does in its newest form, with any offsets."""
    head = "".join(f"{number}\n" for at, data in pieces for number in (at, len(data)))
    stored = f"{len(pieces)}\n{head}".encode()
    stored += bytes(-len(stored) % 512) + b"".join(data for _, data in pieces)
    pax = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": name}
    pax["GNU.sparse.realsize"] = str(size)
    return _archive(lambda tar: _member(tar, f"GNUSparseFile.0/{name}", stored, pax=pax))


@pytest.mark.parametrize(
    ("size", "pieces"),
    [
        (1, []),
        (10_000_000, []),
        (100, [(10, b"abc")]),
        (6000, [(1, b"x" * 100), (5000, b"y" * 77)]),
        (20_000, [(4096, b"p" * 4096), (12_288, b"q" * 100)]),
        (20_000, [(0, b"p" * 512), (512, b"q" * 512), (19_999, b"z")]),
        (8192, [(0, b"p" * 513), (1024, b"q" * 511), (2048, b"r" * 6144)]),
        (3 << 20, [(1 << 20, b"m" * 700_000), ((1 << 20) + 800_000, b"n" * 3)]),
        (5 << 30, [(0, b"first"), ((5 << 30) - 4, b"last")]),
        (2000, [(number * 4, b"#") for number in range(500)]),
    ],
)
def test_sparse_files(ground: Path, size: int, pieces: list[tuple[int, bytes]]) -> None:
    pair = _pair(ground, _sparse("file", size, pieces))

    def look(place: Path) -> None:
        with (place / "file").open("rb") as file:
            assert os.fstat(file.fileno()).st_size == size
            end = 0
            for at, data in pieces:
                file.seek(max(end, at - 5000))
                assert not file.read(at - file.tell()).strip(b"\0")
                assert file.read(len(data)) == data
                end = at + len(data)
            assert not file.read(1 << 20).strip(b"\0")

    pair.mounted(look)
    assert pair.image.stat().st_size < 2_000_000


def test_a_tar_may_end_with_the_last_byte_of_its_last_file(ground: Path) -> None:
    content = bytes(range(256)) * 4 + b"end"
    archive = _archive(lambda tar: _member(tar, "file", content))
    pair = _pair(ground, archive[: 512 + len(content)])
    assert _same(pair)["file"].content == content


def test_what_no_image_can_express_is_extracted(ground: Path) -> None:
    """A value of 64 KiB is one byte more than the format can say."""
    big = {"SCHILY.xattr.user.big": "v" * 65_536}
    pair = _pair(ground, _archive(lambda tar: _member(tar, "x", pax=big)))
    lower = pair.lower("erofs")
    assert lower.erofs is None
    # No file system that the tests run on has room for it either.
    assert os.listxattr(Path(lower.directory) / "x") == []
    large = {"SCHILY.xattr.user.large": "v" * 65_535}
    pair = _pair(ground, _archive(lambda tar: _member(tar, "x", pax=large)))
    assert pair.mounted(lambda place: len(os.getxattr(place / "x", "user.large"))) == 65_535


def test_the_same_layer_gives_the_same_image(ground: Path, tmp_path: Path) -> None:
    archive = _archive(_whiteouts)
    first, second = _pair(ground, archive), _pair(tmp_path, archive)
    for pair in (first, second):
        pair.lower("erofs")
    assert first.image.read_bytes() == second.image.read_bytes()


def test_an_image_that_is_cut_short_or_of_another_index_is_written_anew(ground: Path) -> None:
    pair = _pair(ground, _archive(_links))
    pair.lower("erofs")
    image = pair.image.read_bytes()
    for broken in (b"", image[:-512], image[:1072] + b"\0" * 16 + image[1088:], b"x" * 5000):
        pair.image.write_bytes(broken)
        pair.lower("erofs")
        assert pair.image.read_bytes() == image


def test_verifying_a_layer_notices_a_changed_image(ground: Path) -> None:
    pair = _pair(ground, _archive(_files_of_all_sizes))
    pair.lower("erofs")
    layers = Layers(pair.root, userxattr=False)
    layers.verify(pair.diff_id)
    image = bytearray(pair.image.read_bytes())
    image[-600] ^= 1
    pair.image.write_bytes(image)
    with pytest.raises(CoreError, match="not the image of its layer"):
        layers.verify(pair.diff_id)


@pytest.mark.usefixtures("ground")
def test_removing_a_layer_frees_its_image(tmp_path: Path) -> None:
    pair = _pair(tmp_path, _archive(_directories_of_all_sizes))
    layers = Layers(pair.root, userxattr=False)
    before = layers.disk_bytes(pair.diff_id)
    pair.lower("erofs")
    assert layers.disk_bytes(pair.diff_id) > before
    layers.remove(pair.diff_id)
    assert not pair.image.parent.exists()


names = st.lists(
    st.sampled_from(["a", "b", "a-b", "c" * 255, "é", "\udcff", "..."]), min_size=1, max_size=4
).map("/".join)
contents = st.sampled_from([0, 1, 511, 512, 700, 5000]).map(lambda size: b"content!" * size)


@st.composite
def members(draw: st.DrawFn) -> tuple[str, dict[str, object]]:
    name = draw(names)
    what = draw(
        st.sampled_from(["file", "file", "directory", "symlink", "fifo", "link", "hide", "opaque"])
    )
    above, _, last = name.rpartition("/")
    common: dict[str, object] = {
        "mode": draw(st.sampled_from([0o644, 0o4755, 0o1777, 0])),
        "uid": draw(st.sampled_from([0, 1000, 4_000_000_000])),
        "mtime": draw(st.sampled_from([0, 1_000_000_000, 1.5])),
    }
    match what:
        case "file":
            return name, {"content": draw(contents), **common}
        case "directory":
            pax = draw(st.sampled_from([{}, {"SCHILY.xattr.user.note": "x" * 300}]))
            return name, {"content": None, "pax": pax, **common}
        case "symlink":
            linkname = draw(names)
            return name, {"type": tarfile.SYMTYPE, "linkname": linkname, **common}
        case "fifo":
            return name, {"type": tarfile.FIFOTYPE, **common}
        case "link":
            return name, {"type": tarfile.LNKTYPE, "linkname": draw(names)}
        case "hide":
            return f"{above}/.wh.{last[:200]}".lstrip("/"), {}
        case _:
            return f"{name}/.wh..wh..opq", {}


@settings(max_examples=150, deadline=None)
@given(entries=st.lists(members(), max_size=25))
def test_random_layers(ground: Path, entries: list[tuple[str, dict[str, object]]]) -> None:
    """Whatever a tar holds: if it is accepted, both forms show the same."""

    def fill(tar: tarfile.TarFile) -> None:
        for name, about in entries:
            _member(tar, name, **about)  # type: ignore[arg-type]

    try:
        pair = _pair(ground, _archive(fill))
    except CoreError as refused:
        event("refused")
        assert refused.kind == "bad-tar"  # noqa: PT017 - what hypothesis makes is often nonsense
        return
    event("accepted")
    _same(pair)
