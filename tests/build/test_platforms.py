"""Builds for other kinds of machines than this one."""

from __future__ import annotations

from pathlib import Path

import pytest

from dissolver.build.emulation import machine_platform, why_not
from dissolver.errors import BadPlatform, BuildError, ImageNotFound
from dissolver.image.platform import Platform

MACHINE = str(machine_platform())
OTHER = "linux/s390x"

# As the kernel shows them.
QEMU = """\
{state}
interpreter /usr/bin/qemu-{name}-static
flags: {flags}
offset 0
magic {magic}
mask ffffffffffffff00fffffffffffffffffeffffff
"""
MAGIC = {
    "aarch64": "7f454c460201010000000000000000000200b700",
    "s390x": "7f454c4602020100000000000000000000020016",
}


@pytest.fixture
def registered(tmp_path: Path) -> Path:
    directory = tmp_path / "binfmt"
    directory.mkdir()
    (directory / "status").write_text("enabled\n")
    return directory


def register(directory: Path, name: str, *, flags: str = "POCF", state: str = "enabled") -> None:
    text = QEMU.format(name=name, flags=flags, magic=MAGIC[name], state=state)
    (directory / f"qemu-{name}").write_text(text)


def test_the_machine_runs_its_own_programs(registered: Path) -> None:
    assert why_not(machine_platform(), registered) is None


@pytest.mark.parametrize(
    ("name", "platform"), [("aarch64", "linux/arm64"), ("s390x", "linux/s390x")]
)
def test_an_emulator_counts_if_the_kernel_holds_it_open(
    registered: Path, name: str, platform: str
) -> None:
    wanted = Platform(*platform.split("/"))
    if wanted.architecture == machine_platform().architecture:
        pytest.skip("it is this machine")
    assert "no emulator" in (why_not(wanted, registered) or "")
    register(registered, name, state="disabled")
    assert "no emulator" in (why_not(wanted, registered) or "")
    register(registered, name, flags="OC")
    assert "without" not in (why_not(wanted, registered) or "")
    assert "not registered with the flag `F`" in (why_not(wanted, registered) or "")
    register(registered, name)
    assert why_not(wanted, registered) is None
    assert why_not(Platform("linux", "ppc64le"), registered) is not None


def test_another_system_is_out_of_reach(registered: Path) -> None:
    assert why_not(Platform("windows", "amd64"), registered) == "this machine runs `linux`"


def test_files_are_copied_for_any_platform(site) -> None:
    told = site.write({"a": "a"}).build("FROM scratch\nCOPY a /\nWORKDIR /w\n", platform=OTHER)
    config = site.engine.image(told.image).config
    assert str(config.platform) == OTHER
    assert site.read(told.image, "/a") == "a"


def test_arguments_tell_the_platforms(site) -> None:
    text = (
        "FROM box AS build\nARG TARGETPLATFORM BUILDPLATFORM TARGETARCH\n"
        "RUN echo $TARGETPLATFORM $BUILDPLATFORM $TARGETARCH > /x\n"
        "FROM scratch\nCOPY --from=build /x /x\n"
    )
    told = site.build(
        text.replace("FROM box", "FROM --platform=$BUILDPLATFORM box"), platform=OTHER
    )
    assert site.read(told.image, "/x") == f"{OTHER} {MACHINE} s390x\n"
    assert str(site.engine.image(told.image).config.platform) == OTHER


def test_programs_of_another_platform_need_an_emulator(site) -> None:
    if why_not(Platform("linux", "s390x")) is None:
        pytest.skip("this machine has an emulator for it")
    with pytest.raises(BuildError) as caught:
        site.write({"a": "a"}).build('FROM scratch\nCOPY a /\nRUN ["/a"]\n', platform=OTHER)
    assert caught.value.message.startswith(f"programs of `{OTHER}` cannot be run: this machine is")
    assert "FROM --platform=$BUILDPLATFORM" in caught.value.hint
    assert caught.value.where.line == 3


def test_a_local_image_of_this_machine_is_none_for_another(site) -> None:
    with pytest.raises(ImageNotFound) as caught:
        site.build("FROM box\n", platform=OTHER)
    told = caught.value.message
    assert told.startswith(f"the local image is for `{MACHINE}`, not for `{OTHER}`")
    assert caught.value.where.line == 1


@pytest.mark.parametrize("same", ["local", MACHINE, MACHINE.upper()])
def test_the_machine_can_be_named(site, same: str) -> None:
    first = site.build("FROM box\nRUN true\n")
    again = site.build("FROM box\nRUN true\n", platform=same)
    assert again.result.is_cached
    assert again.image == first.image


def test_a_platform_that_is_none_is_told(site) -> None:
    with pytest.raises(BadPlatform, match="`linux//x` is not a platform"):
        site.build("FROM box\n", platform="linux//x")


def test_triggers_of_a_base_fire_once(site) -> None:
    site.write({"a": "a"}).build(
        "FROM box\nONBUILD COPY a /a\nONBUILD RUN cat /a > /b\nONBUILD ENV X=1\n", tags=["base"]
    )
    told = site.build("FROM base\nRUN echo $X > /c\n", tags=["child"])
    assert [site.read(told.image, path) for path in ("/a", "/b", "/c")] == ["a", "a", "1\n"]
    assert site.engine.image(told.image).config.config.on_build == ()
    again = site.build("FROM child\nRUN true\n")
    assert list(again.cached) == ["RUN true"]


def test_triggers_of_a_stage_fire_in_those_built_on_it(site) -> None:
    told = site.write({"a": "a"}).build(
        "FROM box AS base\nONBUILD COPY a /a\nONBUILD RUN --mount=target=/ctx cp /ctx/a /b\n"
        "FROM base\nRUN cat /a /b > /c\n"
    )
    assert site.read(told.image, "/c") == "aa"
