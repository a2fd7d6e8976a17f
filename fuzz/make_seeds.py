"""Write the seeds: small tars of every kind, their indexes, and texts of patterns.

Run with the Python that has dissolver, from the top of the checkout, after the
format of tars or indexes changed: ``.venv/bin/python fuzz/make_seeds.py``.
"""

from __future__ import annotations

import io
import struct
import subprocess
import tarfile
import tempfile
from pathlib import Path

from dissolver._core.layer import Layers

SEEDS = Path(__file__).parent / "seeds"
INDEX_HEADER_BYTES, EXTENT_BYTES = 128, 56
JAILED_PACK = bytes([7]) * 32
"""The name of the pack that the fuzzer of indexes provides."""

DIRECTORY, SYMLINK, LINK = tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
Member = tuple[tarfile.TarInfo, bytes]


def member(name: str, kind: bytes = tarfile.REGTYPE, data: bytes = b"", link: str = "") -> Member:
    """Make a member with a content of its own."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size, info.mode = kind, link, len(data), 0o755
    return info, data


def tar(*members: Member, form: int = tarfile.PAX_FORMAT, **global_headers: str) -> bytes:
    """Make a tar of members, with nothing behind its end."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form, pax_headers=global_headers) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
        end = archive.offset
    return buffer.getvalue()[:end] + bytes(1024)


def with_attributes(seed: Member) -> Member:
    """Give a member an attribute and a fraction of a second."""
    seed[0].pax_headers = {"SCHILY.xattr.user.a": "b", "mtime": "1.5"}
    return seed


def device(name: str, major: int, minor: int) -> Member:
    """Make a character device."""
    seed = member(name, tarfile.CHRTYPE)
    seed[0].devmajor, seed[0].devminor = major, minor
    return seed


def sparse(stretches: int, *options: str) -> bytes:
    """Make a tar of a sparse file with GNU tar."""
    with tempfile.TemporaryDirectory() as place:
        with Path(place, "sparse").open("wb") as file:
            for number in range(stretches):
                file.seek(number * 8192)
                file.write(b"x" * 100)
            file.truncate(stretches * 8192 + 5)
        command = ["tar", "-S", "--blocking-factor=1", *options, "-cf", "-", "-C", place, "sparse"]
        return subprocess.run(command, check=True, capture_output=True).stdout


TARS = {
    "plain": tar(
        member("a", DIRECTORY),
        member("a/b", data=b"x" * 600),
        member("a/c", LINK, link="a/b"),
        member("l", SYMLINK, link="a/b"),
        member("p", tarfile.FIFOTYPE),
    ),
    "ustar": tar(member("d" * 90 + "/" + "e" * 90, data=b"x"), form=tarfile.USTAR_FORMAT),
    "gnu-long": tar(
        member("n" * 120, data=b"x"),
        member("k", SYMLINK, link="t" * 130),
        form=tarfile.GNU_FORMAT,
    ),
    "pax": tar(with_attributes(member("€" * 60, data=b"x"))),
    "global": tar(member("a"), uid="42", comment="x"),
    "whiteouts": tar(
        member("a", DIRECTORY),
        member("a/.wh.b"),
        member("a/.wh..wh..opq"),
        member(".wh.gone"),
        member("a/n", data=b"y"),
    ),
    "links-out": tar(
        member("link", SYMLINK, link="../../../canary"),
        member("up", SYMLINK, link=".."),
        member("absolute", SYMLINK, link="/dev/shm"),  # noqa: S108
    ),
    "dots": tar(member("./a", DIRECTORY), member("/b", data=b"1"), member("a//c", data=b"2")),
    "twice": tar(
        member("a", data=b"1"),
        member("a", DIRECTORY),
        member("a/b", data=b"2"),
        member("a/b", LINK, link="a/b"),
    ),
    "implied": tar(member("x/y/z", data=b"1"), member("link/x", data=b"2")),
    # Both blocks of zeros are missing, and of the padding all but ten bytes.
    "no-end": tar(member("a", data=b"1"), member("b", data=b"2" * 600))[: 3 * 512 + 610],
    "devices": tar(device("null", 1, 3), device("whiteout", 0, 0)),
    "sparse-gnu": sparse(6, "--format=gnu"),
    "sparse-0.0": sparse(2, "--format=posix", "--sparse-version=0.0"),
    "sparse-0.1": sparse(2, "--format=posix", "--sparse-version=0.1"),
    "sparse-1.0": sparse(2, "--format=posix", "--sparse-version=1.0"),
}

IGNORE = {
    "last-match": "*.md\n!README.md\nREADME*\n\nREADME.md\nx/README.md\n",
    "brought-back": "node_modules\n!node_modules/keep\n**/*.pyc\n\nnode_modules/keep/x\na/b.pyc\n",
    "stars": "**\n!src/**/x\n**foo\na/**/b\n\nsrc/a/x\nxfoo\na/b\na/c/d/b\n",
    "classes": "[a-c]?\\*\n[^x]*\n\nab*\nyz\n",
    "unicode": "€?*\n[ä-ü]\n\n€x\nö\n",
    "clean": "/a/../b/./c//\n../x\n\nb/c\nx\n",
}

COPY_GLOBS = {
    "names": "a/b\n/a/./b/../b\n\nx\n",
    "stars": "a/*\n*/b?\n[ab]\n\nab\nb\n",
    "escapes": "\\[x\\]\na\\*\n\n[x]\na*\n",
    "links": "l\nloop\nout\ngone\n*\n\nd/\n",
    "unicode": "€\n[^a-z]\n\n€\n",
    "bad": "[\na[]b\nx\\\n[a-]\n\nx\n",
}


def index(seed: bytes) -> bytes:
    """The index of a tar, as if the tar lay in the jail's pack."""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place, "tar")
        path.write_bytes(seed)
        info = Layers(place, userxattr=False).ingest(path)
        name = info.diff_id.removeprefix("sha256:")
        data = bytearray(Path(place, "layers", name, "index").read_bytes())
    data[16:48] = JAILED_PACK
    (extents,) = struct.unpack_from("<I", data, 112)
    for number in range(extents):
        at = INDEX_HEADER_BYTES + number * EXTENT_BYTES + 24
        data[at : at + 32] = JAILED_PACK
    return bytes(data)


def main() -> None:
    """Write them all."""
    texts = {"ignore": IGNORE, "copy_globs": COPY_GLOBS}
    seeds = {group: {n: t.encode() for n, t in all_.items()} for group, all_ in texts.items()}
    seeds["tar"] = TARS
    seeds["index"] = {name: index(seed) for name, seed in TARS.items()}
    for group, all_ in seeds.items():
        (SEEDS / group).mkdir(parents=True, exist_ok=True)
        for name, data in all_.items():
            (SEEDS / group / name).write_bytes(data)


if __name__ == "__main__":
    main()
