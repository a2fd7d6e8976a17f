"""Seeded build contexts: the same seed gives the same names, sizes and bytes everywhere."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from pathlib import Path

SEED = 20_261_124
BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class Shape:
    """How many files, how many bytes together, and how many directories hold them."""

    files: int
    total_bytes: int
    directories: int

    def divided(self, by: int) -> Shape:
        """Give the same shape with that many times fewer of everything, a few files at least."""
        files = max(self.files // by, min(self.files, 3))
        return Shape(files, self.total_bytes // by, max(1, self.directories // by))


SHAPES = {
    "monorepo": Shape(20_000, 600_000_000, 900),
    "large": Shape(200_000, 6_000_000_000, 9_000),
    "tiny": Shape(50_000, 5_000_000, 1_500),
    "huge": Shape(3, 6_000_000_000, 1),
    # For a quick look while developing; never quoted.
    "small": Shape(2_000, 60_000_000, 90),
}


def _sizes(shape: Shape, chance: random.Random) -> list[int]:
    """Draw sizes like a source tree's: most are small, a few hold most of the bytes."""
    if shape.files <= 8:
        return [shape.total_bytes // shape.files] * shape.files
    weights = [chance.paretovariate(1.1) for _ in range(shape.files)]
    # One file must not swallow the whole context.
    cap = sum(weights) / 60
    weights = [min(weight, cap) for weight in weights]
    scale = shape.total_bytes / sum(weights)
    return [int(weight * scale) for weight in weights]


def make_context(place: Path, name: str, *, divided_by: int = 1) -> Path:
    """Write the context called ``name`` below ``place`` and return its directory.

    ``divided_by`` makes it that many times smaller, for tests of what is true at any size.
    A context that is complete already is left as it is. File contents are slices of
    one random block with the file's number in front, so no two files are equal and
    nothing compresses.
    """
    shape = SHAPES[name].divided(divided_by)
    directory = place / f"{name}-{SEED}{f'-{divided_by}' * (divided_by > 1)}"
    done = directory.with_name(f"{directory.name}.complete")
    if done.exists():
        return directory
    chance = random.Random(SEED)
    block = chance.randbytes(BLOCK_BYTES)
    folders = [directory]
    for number in range(1, shape.directories):
        parent = folders[chance.randrange(max(1, len(folders) // 2))]
        folders.append(parent / f"dir{number:05d}")
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    for number, size in enumerate(_sizes(shape, chance)):
        path = folders[number % len(folders)] / f"file{number:06d}.dat"
        with path.open("wb", buffering=0) as file:
            head = b"%d\n" % number
            written = file.write((head + block[: max(0, size - len(head))])[:size])
            while written < size:
                start = chance.randrange(BLOCK_BYTES // 2)
                written += file.write(block[start : start + min(size - written, BLOCK_BYTES)])
    (directory / "Dockerfile").write_text("FROM scratch\nCOPY . /app\n", encoding="utf-8")
    os.sync()
    done.touch()
    return directory


def middle_file(context: Path) -> Path:
    """Give the file that the benchmarks change: the one of median size, half are smaller."""
    files = sorted(context.rglob("file*.dat"), key=lambda path: (path.stat().st_size, path))
    return files[len(files) // 2]
