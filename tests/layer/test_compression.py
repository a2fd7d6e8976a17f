"""Compressed layers: read by everybody, the same every time."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import random
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dissolver._core import CoreError
from dissolver._core.compress import Compressed, compress, compress_layer
from dissolver._core.layer import Layers

SIZES = [0, 1, 1 << 20, (1 << 20) + 1, 9_000_000]


def sample(size: int) -> bytes:
    """Make bytes of which some repeat and some do not."""
    source = random.Random(size)
    pieces, length = [], 0
    while length < size:
        piece = source.randbytes(400) if source.random() < 0.5 else b"the same line again\n" * 40
        pieces.append(piece)
        length += len(piece)
    return b"".join(pieces)[:size]


@contextmanager
def opened(path: Path, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def compressed(place: Path, data: bytes, **options: object) -> tuple[bytes, Compressed]:
    (place / "plain").write_bytes(data)
    writing = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    with opened(place / "plain", os.O_RDONLY) as source, opened(place / "out", writing) as target:
        facts = compress(source, target, **options)  # type: ignore[arg-type]
    return (place / "out").read_bytes(), facts


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_digest_and_size_are_those_of_what_was_written(
    tmp_path: Path, compression: str, size: int
) -> None:
    written, facts = compressed(tmp_path, sample(size), compression=compression)
    assert facts.digest == "sha256:" + hashlib.sha256(written).hexdigest()
    assert facts.size == len(written)


@pytest.mark.parametrize("size", SIZES)
def test_python_and_gnu_gzip_read_it(tmp_path: Path, size: int) -> None:
    data = sample(size)
    written, _ = compressed(tmp_path, data, compression="gzip")
    assert gzip.decompress(written) == data
    if shutil.which("gzip") is None:
        pytest.skip("gzip is not installed")
    subprocess.run(["gzip", "-t"], input=written, check=True)
    unpacked = subprocess.run(["gzip", "-dc"], input=written, check=True, capture_output=True)
    assert unpacked.stdout == data


def test_noise_is_stored_and_python_and_gnu_gzip_read_it(tmp_path: Path) -> None:
    chance = random.Random(11)
    parts = [
        chance.randbytes(chance.randrange(40_000)) + sample(chance.randrange(40_000))
        for _ in range(100)
    ]
    data = b"".join(parts)
    written, _ = compressed(tmp_path, data, compression="gzip")
    assert gzip.decompress(written) == data
    if shutil.which("gzip") is None:
        pytest.skip("gzip is not installed")
    unpacked = subprocess.run(["gzip", "-dc"], input=written, check=True, capture_output=True)
    assert unpacked.stdout == data


@pytest.mark.parametrize("size", SIZES)
def test_zstd_reads_it(tmp_path: Path, size: int) -> None:
    if shutil.which("zstd") is None:
        pytest.skip("zstd is not installed")
    data = sample(size)
    written, _ = compressed(tmp_path, data, compression="zstd")
    unpacked = subprocess.run(["zstd", "-dcq"], input=written, check=True, capture_output=True)
    assert unpacked.stdout == data


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_the_bytes_depend_on_nothing_but_the_input(tmp_path: Path, compression: str) -> None:
    data = sample(40_000_000)
    facts = {
        compressed(tmp_path, data, compression=compression, threads=threads)[1]
        for threads in (None, 1, 2, 5)
    }
    assert len(facts) == 1


def test_levels_matter(tmp_path: Path) -> None:
    data = sample(3_000_000)
    sizes = [
        compressed(tmp_path, data, compression="gzip", level=level)[1].size for level in (1, 9)
    ]
    assert sizes[0] > sizes[1]


def test_pipes_serve_as_well(tmp_path: Path) -> None:
    data = sample(5_000_000)
    written, facts = compressed(tmp_path, data, compression="gzip")
    reading, feeding = os.pipe()

    def feed() -> None:
        with os.fdopen(feeding, "wb") as pipe:
            pipe.write(data)

    thread = threading.Thread(target=feed)
    thread.start()
    with opened(tmp_path / "piped", os.O_WRONLY | os.O_CREAT) as target:
        assert compress(reading, target, compression="gzip") == facts
    thread.join()
    os.close(reading)
    assert (tmp_path / "piped").read_bytes() == written


def test_a_full_disk_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(sample(3_000_000))
    with (
        opened(tmp_path / "plain", os.O_RDONLY) as source,
        opened(Path("/dev/full"), os.O_WRONLY) as full,
        pytest.raises(CoreError, match="No space left") as caught,
    ):
        compress(source, full, compression="zstd")
    assert (caught.value.kind, caught.value.errno) == ("io", 28)


def test_an_unknown_compression_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="`lzma` is no compression"):
        compress(0, 1, compression="lzma")  # type: ignore[arg-type]


def test_a_layer_is_compressed_and_taken_in_again(tmp_path: Path) -> None:
    layers = Layers(tmp_path / "one", userxattr=os.geteuid() != 0)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        entry = tarfile.TarInfo("data")
        entry.size = 3_000_000
        tar.addfile(entry, io.BytesIO(sample(3_000_000)))
    (tmp_path / "layer.tar").write_bytes(archive.getvalue())
    info = layers.ingest(tmp_path / "layer.tar")
    others = Layers(tmp_path / "two", userxattr=os.geteuid() != 0)
    for compression in ("none", "gzip", "zstd"):
        packed = tmp_path / compression
        with opened(packed, os.O_WRONLY | os.O_CREAT) as target:
            facts = compress_layer(layers, info.diff_id, target, compression=compression)  # type: ignore[arg-type]
        assert facts.size == packed.stat().st_size
        assert others.ingest(packed, expect=info.diff_id) == info
    with pytest.raises(CoreError) as caught:
        compress_layer(layers, "sha256:" + "0" * 64, 1, compression="gzip")
    assert caught.value.kind == "unknown-layer"


def test_compressing_a_layer_stops_when_asked(tmp_path: Path) -> None:
    layers = Layers(tmp_path / "store", userxattr=os.geteuid() != 0)
    # For some seconds of work at the highest level; it is asked ten times in each.
    content = os.urandom(1 << 20) * 64
    archive = tmp_path / "layer.tar"
    with tarfile.open(archive, mode="w") as tar:
        entry = tarfile.TarInfo("data")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    info = layers.ingest(archive)
    with opened(tmp_path / "out", os.O_WRONLY | os.O_CREAT) as target:
        with pytest.raises(CoreError) as caught:
            compress_layer(
                layers, info.diff_id, target, compression="zstd", level=22, should_stop=lambda: True
            )
        assert caught.value.kind == "interrupted"

        def broken() -> bool:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            compress_layer(
                layers, info.diff_id, target, compression="zstd", level=22, should_stop=broken
            )
