"""A COPY that is built again stores what changed, and is the image that a first build makes."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import pytest

from dissolver.store import Store

COPY = "FROM box\nCOPY . /app\n"
FILES = 60
FILE_BYTES = 50_000


def store_of(site) -> Store:
    return site.engine._backend.store  # type: ignore[union-attr, no-any-return]


def fill(site, seed: int = 1):
    """Write files that share no content, 3 MB together."""
    chance = random.Random(seed)
    names = [f"src/d{number % 7}/f{number:02}" for number in range(FILES)]
    return site.write({name: chance.randbytes(FILE_BYTES) for name in names})


def digests(directory: Path) -> str:
    """Give what `sha256sum` prints for all files beneath ``directory``."""
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    lines = (
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  ./{path.relative_to(directory)}\n"
        for path in files
    )
    return "".join(lines)


def inside(site, image: str) -> str:
    """Give the same for `/app` in a container, whose root is mounted as the tests are told to."""
    find = "cd /app && find . -type f | sort | xargs sha256sum"
    return site.run(image, "sh", "-c", find)


def packs(site) -> int:
    """Add up the bytes of disk that packs take."""
    return sum(pack.disk_bytes for pack in store_of(site).layers.packs())


def copied_layer(site, image: str) -> str:
    return site.engine.image(image).config.diff_ids[-1]


def test_a_rebuild_stores_what_changed_and_nothing_else(site) -> None:
    fill(site).build(COPY)
    before = packs(site)
    for number in range(5):
        site.write({f"src/d3/f{3 + 7 * number:02}": f"edited {number}"})
        image = site.build().image
        assert inside(site, image) == digests(site.directory)
    assert packs(site) - before < FILE_BYTES
    assert store_of(site).check() == ()


def test_another_copy_above_leaves_the_copy_its_predecessor(site) -> None:
    fill(site).build(COPY)
    before = packs(site)
    image = site.build("FROM box\nCOPY Dockerfile /first\nCOPY . /app\n").image
    assert inside(site, image) == digests(site.directory)
    # The Dockerfile itself lies in the context, so it is another copy.
    assert packs(site) - before < 2 * FILE_BYTES


def test_any_history_of_edits_comes_to_the_layer_of_a_first_build(site, tmp_path: Path) -> None:
    chance = random.Random(4)
    fill(site).build(COPY)
    for _ in range(8):
        files = sorted(path for path in site.directory.rglob("*") if path.is_file())
        victim, other = chance.sample([path for path in files if path.name[0] == "f"], 2)
        match chance.choice(["write", "remove", "rename", "mode", "append"]):
            case "write":
                victim.write_bytes(chance.randbytes(chance.randrange(90_000)))
            case "remove":
                victim.unlink()
            case "rename":
                victim.rename(other.with_name(f"f{chance.random()}"))
            case "mode":
                victim.chmod(0o755)
            case "append":
                victim.write_bytes(victim.read_bytes() + b"more")
        image = site.build().image
        assert inside(site, image) == digests(site.directory)
    rebuilt = copied_layer(site, image)
    # Everything goes but this one image: of what it shares with older ones, nothing is lost.
    site.engine.tag(image, "kept")
    site.engine.prune_builder()
    site.engine.prune_images()
    store = store_of(site)
    assert store.check() == ()
    assert inside(site, image) == digests(site.directory)
    with (tmp_path / "tar").open("wb") as tar:
        site.engine.layer_cat(rebuilt, tar.fileno())
    assert f"sha256:{hashlib.sha256((tmp_path / 'tar').read_bytes()).hexdigest()}" == rebuilt
    # The same from nothing.
    site.engine.remove_image("kept", force=True)
    assert store.layers.info(rebuilt) is None
    assert copied_layer(site, site.build().image) == rebuilt


def test_a_pack_gives_back_what_no_layer_needs(site) -> None:
    first = fill(site).build(COPY, tags=["app"]).image
    fill(site, seed=2).write({"src/d0/f00": random.Random(1).randbytes(FILE_BYTES)})
    image = site.build(COPY, tags=["app"]).image
    assert first != image
    store = store_of(site)
    store.prune_records(all_=False)
    report = store.prune_images()
    assert first in report.images
    used = packs(site)
    assert used < 5_500_000, "one copy of the files, and the busybox of the base"
    assert inside(site, image) == digests(site.directory)
    assert store.check() == ()


def test_stages_copy_from_layers_whose_tar_lies_in_several_packs(site) -> None:
    text = "FROM box AS one\nCOPY . /app\nFROM box\nCOPY --from=one /app /app\n"
    fill(site).build(text)
    site.write({"src/d1/f08": "changed", "src/d2/f09": "too"})
    image = site.build(text).image
    assert inside(site, image) == digests(site.directory)


def test_a_first_build_reads_each_file_once_and_a_hit_keeps_nothing(site) -> None:
    fill(site).build(COPY)
    store = store_of(site)
    before = packs(site)
    # The digests are forgotten, the results are not.
    for cache in store.layout.stat.iterdir():
        cache.unlink()
    told = site.build()
    assert told.cached["COPY . /app"]
    assert packs(site) == before
    assert store.settle(10)
    assert list(store.layout.tmp.iterdir()) == []


@pytest.mark.parametrize("sizes", [(0,), (1, 511, 512, 513), (1 << 20, (1 << 20) - 1)])
def test_sizes_at_the_edges_of_blocks(site, sizes: tuple[int, ...]) -> None:
    fill(site).write({f"edge{size}": b"x" * size for size in sizes})
    assert inside(site, site.build(COPY).image) == digests(site.directory)
    site.write({f"edge{size}": b"y" * size for size in sizes})
    assert inside(site, site.build(COPY).image) == digests(site.directory)
