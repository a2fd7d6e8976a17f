"""Which image of an index is taken."""

from __future__ import annotations

import pytest

from dissolver.image import media_types
from dissolver.image.choice import choose, is_for
from dissolver.image.manifest import Descriptor, PlatformFields
from dissolver.image.platform import Platform


def entry(text: str, media_type: str = media_types.OCI_MANIFEST) -> Descriptor:
    system, architecture, *variant = text.split("/")
    platform = PlatformFields(architecture, system, "".join(variant))
    return Descriptor(media_type, f"sha256:{text}", 1, platform)


@pytest.mark.parametrize(
    ("wanted", "offered", "chosen"),
    [
        ("linux/amd64", "linux/arm64 linux/amd64", "linux/amd64"),
        ("linux/amd64", "linux/amd64/v3 linux/amd64", "linux/amd64"),
        ("linux/amd64", "linux/amd64/v1", "linux/amd64/v1"),
        ("linux/amd64", "linux/amd64/v2", None),
        pytest.param("linux/amd64", f"linux/amd64/v{'9' * 5000}", None, id="endless"),
        ("linux/amd64/v3", "linux/amd64 linux/amd64/v2 linux/amd64/v4", "linux/amd64/v2"),
        ("linux/amd64", "linux/386", "linux/386"),
        ("linux/386", "linux/amd64", None),
        ("linux/arm/v7", "linux/arm/v5 linux/arm/v6 linux/arm64/v8", "linux/arm/v6"),
        ("linux/arm/v7", "linux/arm", "linux/arm"),
        ("linux/arm/v6", "linux/arm/v7", None),
        ("linux/arm64", "linux/arm/v6 linux/arm64/v8 linux/arm/v7", "linux/arm64/v8"),
        ("linux/arm64", "linux/arm/v6 linux/arm/v7", "linux/arm/v7"),
        ("linux/arm64", "linux/arm64/v9", None),
        ("linux/riscv64", "linux/riscv64", "linux/riscv64"),
        ("linux/mips64le", "linux/mips64le/hardfloat", "linux/mips64le/hardfloat"),
        ("linux/amd64", "windows/amd64 unknown/unknown", None),
        ("linux/amd64", "", None),
    ],
)
def test_the_nearest_platform_is_chosen(wanted: str, offered: str, chosen: str | None) -> None:
    system, architecture, *variant = wanted.split("/")
    found = choose(
        [entry(text) for text in offered.split()], Platform(system, architecture, "".join(variant))
    )
    assert (None if found is None else found.digest.removeprefix("sha256:")) == chosen


def test_the_first_of_two_alike_is_chosen_and_other_things_are_none() -> None:
    offered = [
        entry("linux/amd64", "application/vnd.example.signature"),
        Descriptor(media_types.OCI_MANIFEST, "sha256:no-platform", 1),
        entry("linux/amd64", media_types.DOCKER_MANIFEST),
        entry("linux/amd64"),
    ]
    assert choose(offered, Platform("linux", "amd64")) == offered[2]


@pytest.mark.parametrize(
    ("found", "wanted", "expected"),
    [
        (Platform("linux", "arm64", "v8"), Platform("linux", "arm64"), True),
        (Platform("linux", "arm"), Platform("linux", "arm", "v7"), True),
        (Platform("linux", "arm", "v6"), Platform("linux", "arm", "v7"), False),
        (Platform("linux", "386"), Platform("linux", "amd64"), False),
        (Platform("linux", "amd64"), Platform("linux", "amd64"), True),
    ],
)
def test_what_runs_is_not_yet_the_same(found: Platform, wanted: Platform, expected: bool) -> None:
    assert is_for(found, wanted) is expected
