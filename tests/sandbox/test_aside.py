"""Parts of layers and files in memory, as a sandbox shows them."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Place

SECRET = b"not for everybody\n"


@pytest.fixture
def aside(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directories of the account: two layers, a place to mount on, and one for changes."""
    base = place.account.home / f"aside-{tmp_path_factory.mktemp('x').name}-{id(place)}"
    for name in ("low/src", "high/src", "mountpoint", "upper", "work"):
        (base / name).mkdir(parents=True)
    (base / "low/src/a").write_text("low")
    (base / "low/src/b").write_text("low")
    (base / "high/src/a").write_text("high")
    (base / "low/out").symlink_to("/src")
    place.account.own(base)
    return base


def layers(aside: Path, place: Place, **changes: Any) -> dict[str, Any]:
    rootfs = {
        "lowers": [str(aside / "high"), str(aside / "low")],
        "upper": None,
        "work": None,
        "mountpoint": str(aside / "mountpoint"),
        "read_only": False,
        "userxattr": not place.is_root,
        "volatile": True,
        **changes.pop("rootfs", {}),
    }
    values = {"source": "/src", "target": "/x", "read_only": True, "create": "directory"}
    return {"kind": "layers", "rootfs": rootfs, **values, **changes}


def file(aside: Path, **changes: Any) -> dict[str, Any]:
    values = {"target": "/run/secrets/s", "mode": 0o400, "uid": 0, "gid": 0}
    content = base64.b64encode(SECRET).decode()
    mountpoint = str(aside / "mountpoint")
    return {"kind": "file", "content": content, "mountpoint": mountpoint, **values, **changes}


def test_a_directory_of_stacked_layers_is_shown_read_only(place: Place, aside: Path) -> None:
    script = "cat /x/a /x/b; touch /x/c 2>&1 || ls /x"
    outcome = place("sh", "-c", script, more_mounts=[layers(aside, place)])
    assert outcome.lines == ["highlowtouch: /x/c: Read-only file system", "a", "b"]


def test_a_single_file_and_a_link_inside_the_layers_will_do(place: Place, aside: Path) -> None:
    mounts = [
        layers(aside, place, source="/src/a", target="/y", create="file"),
        layers(aside, place, source="/out/b", target="/z", create="file"),
    ]
    assert place("cat", "/y", "/z", more_mounts=mounts).text() == "highlow"


def test_what_is_written_to_layers_goes_to_their_upper(place: Place, aside: Path) -> None:
    changed = {"upper": str(aside / "upper"), "work": str(aside / "work")}
    mount = layers(aside, place, read_only=False, rootfs=changed)
    script = "echo new >/x/a; cat /x/a /x/b"
    assert place("sh", "-c", script, more_mounts=[mount]).lines == ["new", "low"]
    assert (aside / "high/src/a").read_text() == "high"
    assert (aside / "upper/src/a").read_text() == "new\n"


def test_what_is_not_in_the_layers_is_missed(place: Place, aside: Path) -> None:
    mount = layers(aside, place, source="/none")
    failure = place("true", more_mounts=[mount]).failure
    assert failure is not None
    assert failure["kind"] == "setup-failed"
    assert failure["path"] == "/x"


def test_a_file_in_memory_has_its_mode_and_owner(place: Place, aside: Path) -> None:
    script = "cat /run/secrets/s; stat -c '%a %u:%g' /run/secrets/s; stat -fc %T /run/secrets/s"
    outcome = place("sh", "-c", script, more_mounts=[file(aside, uid=1, gid=2)])
    assert outcome.lines == ["not for everybody", "400 1:2", "tmpfs"]


def test_a_file_in_memory_cannot_be_changed(place: Place, aside: Path) -> None:
    script = "echo x >/run/secrets/s; rm -f /run/secrets/s; cat /run/secrets/s"
    outcome = place("sh", "-c", script, more_mounts=[file(aside, mode=0o600)])
    assert outcome.lines[-1] == "not for everybody"
    assert "Read-only file system" in outcome.output


def test_a_file_in_memory_is_executed_only_where_it_may_be(place: Place, aside: Path) -> None:
    script = base64.b64encode(b"#!/bin/sh\necho ran\n").decode()
    mount = file(aside, content=script, target="/dev/pipes/EOF", mode=0o755)
    assert place("/dev/pipes/EOF", more_mounts=[{**mount, "executable": True}]).text() == "ran"
    refused = place("/dev/pipes/EOF", more_mounts=[mount]).failure
    assert refused is not None
    assert refused["kind"] == "not-executable"


def test_nothing_mounted_aside_can_be_reached_as_a_whole(place: Place, aside: Path) -> None:
    mounts = [layers(aside, place), file(aside)]
    lines = place("cat", "/proc/self/mountinfo", more_mounts=mounts).lines
    assert not [line for line in lines if str(aside) in line.split(" - ")[0]]
    targets = [line.split()[4] for line in lines]
    assert targets.count("/x") == 1
    assert targets.count("/run/secrets/s") == 1


def test_several_files_in_memory_share_the_place_they_are_made_at(
    place: Place, aside: Path
) -> None:
    other = base64.b64encode(b"other").decode()
    mounts = [file(aside), file(aside, content=other, target="/run/secrets/t")]
    text = place("cat", "/run/secrets/s", "/run/secrets/t", more_mounts=mounts).text()
    assert text == "not for everybody\nother"
