"""Digests, platforms, and the light imports they need."""

from __future__ import annotations

import subprocess
import sys

import pytest

from dissolver.errors import BadDigest, BadPlatform
from dissolver.image.digest import digest_of, parse_digest, short
from dissolver.image.platform import Platform, parse_platform, platform_of_machine

EMPTY_SHA256 = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_a_digest_is_derived_and_read_back() -> None:
    assert digest_of(b"") == EMPTY_SHA256
    assert parse_digest(EMPTY_SHA256) == EMPTY_SHA256
    assert parse_digest("sha512:" + "0" * 128) == "sha512:" + "0" * 128


def test_people_see_twelve_digits() -> None:
    assert short(EMPTY_SHA256) == "e3b0c44298fc"
    assert short(EMPTY_SHA256[7:]) == "e3b0c44298fc"


DIGEST_FAULTS = [
    ("", "`` is not a digest"),
    ("latest", "`latest` is not a digest"),
    ("md5:00", "`md5:00` is not a digest"),
    ("sha256", "`sha256` is not a digest"),
    ("sha256:", "the digest `sha256:` has 0 digits, and `sha256` needs 64"),
    (
        "sha256:" + "g" * 64,
        f"the digest `sha256:{'g' * 64}` has characters that are not hexadecimal",
    ),
    (
        "sha256:" + "A" * 64,
        f"the digest `sha256:{'A' * 64}` has characters that are not hexadecimal",
    ),
]


@pytest.mark.parametrize(("text", "message"), DIGEST_FAULTS)
def test_a_wrong_digest_is_explained(text: str, message: str) -> None:
    with pytest.raises(BadDigest) as caught:
        parse_digest(text)
    assert caught.value.message == message


MACHINES = [
    ("x86_64", "linux/amd64"),
    ("aarch64", "linux/arm64"),
    ("armv7l", "linux/arm/v7"),
    ("armv6l", "linux/arm/v6"),
    ("i686", "linux/386"),
    ("riscv64", "linux/riscv64"),
    ("ppc64le", "linux/ppc64le"),
    ("s390x", "linux/s390x"),
    ("loongarch64", "linux/loong64"),
]


@pytest.mark.parametrize(("machine", "platform"), MACHINES)
def test_a_machine_has_a_platform(machine: str, platform: str) -> None:
    assert str(platform_of_machine(machine)) == platform


PLATFORMS = [
    ("linux/amd64", "linux/amd64"),
    ("linux/x86_64", "linux/amd64"),
    ("Linux/AMD64", "linux/amd64"),
    ("linux/amd64/v1", "linux/amd64"),
    ("linux/amd64/v3", "linux/amd64/v3"),
    ("linux/arm64/v8", "linux/arm64"),
    ("linux/arm64/8", "linux/arm64"),
    ("linux/arm", "linux/arm/v7"),
    ("linux/arm/6", "linux/arm/v6"),
    ("linux/armhf", "linux/arm/v7"),
    ("arm64", "linux/arm64"),
    ("aarch64", "linux/arm64"),
    ("linux", "linux/amd64"),
    ("windows", "windows/amd64"),
    ("windows/amd64", "windows/amd64"),
    ("macos/arm64", "darwin/arm64"),
]


@pytest.mark.parametrize(("text", "platform"), PLATFORMS)
def test_a_platform_is_read(text: str, platform: str) -> None:
    assert str(parse_platform(text, default=Platform("linux", "amd64"))) == platform


@pytest.mark.parametrize(
    "text", ["", "/", "linux/", "/amd64", "a/b/c/d", "linux/amd 64", "toaster"]
)
def test_other_texts_are_no_platform(text: str) -> None:
    with pytest.raises(BadPlatform):
        parse_platform(text, default=Platform("linux", "amd64"))


def test_names_of_images_load_nothing_heavy() -> None:
    code = (
        "import sys, dissolver.image.reference, dissolver.image.platform;"
        "print(sorted({'msgspec', 'json', 'rich', 'typer'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
