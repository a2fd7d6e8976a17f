"""What ``-v`` mounts."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from basis import Base, needs_root
from dissolver.containers.filling import filled_volume
from dissolver.containers.volumes import Volume, mount_volumes, parse_volume
from dissolver.errors import BadVolume
from dissolver.sandbox.spec import BindMount

if TYPE_CHECKING:
    from dissolver._core.layer import View


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/src:/dst", Volume("/src", "/dst")),
        ("/src:/dst:ro", Volume("/src", "/dst", True)),
        ("/src:/dst:rw,z", Volume("/src", "/dst")),
        ("./data:/dst/", Volume("/home/me/data", "/dst")),
        ("../data:/dst", Volume("/home/data", "/dst")),
        (".:/dst", Volume("/home/me", "/dst")),
        ("a/b:/dst", Volume("/home/me/a/b", "/dst")),
        ("data:/dst", Volume("data", "/dst")),
        ("data:/dst:nocopy", Volume("data", "/dst", copies=False)),
    ],
)
def test_a_volume_is_read(text: str, expected: Volume) -> None:
    assert parse_volume(text, "/home/me") == expected


@pytest.mark.parametrize("text", ["/dst", "/dst:ro"])
def test_without_a_source_a_volume_is_anonymous(text: str) -> None:
    volume = parse_volume(text, "/home/me")
    assert (volume.target, volume.is_anonymous, len(volume.source)) == ("/dst", True, 64)
    assert volume.is_read_only == text.endswith(":ro")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "invalid volume ``"),
        ("a::b", "invalid volume `a::b`"),
        ("/a:/b:ro:x", "invalid volume `/a:/b:ro:x`"),
        ("/a:/b:fast", "unknown option `fast` in volume `/a:/b:fast`"),
        ("/a:/b:ro,rshared", "unknown option `rshared` in volume `/a:/b:ro,rshared`"),
        ("/a:b", "unknown option `b` in volume `/a:b`"),
        ("data", "the target of volume `data` must be an absolute path"),
        ("/a:/", "volume `/a:/` cannot be mounted on `/`"),
        ("x:/dst", "invalid volume name `x` in `x:/dst`"),
        ("da ta:/dst", "invalid volume name `da ta` in `da ta:/dst`"),
    ],
)
def test_a_bad_volume_is_named(text: str, message: str) -> None:
    with pytest.raises(BadVolume) as raised:
        parse_volume(text, "/home/me")
    assert raised.value.message == message


@needs_root
def test_mounts_are_made_outside_in_and_missing_directories_created(
    tmp_path: Path, base: Base
) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    mounts = mount_volumes(
        [
            Volume(str(tmp_path / "new" / "dir"), "/a/b/c"),
            Volume(str(file), "/a/f", True),
            Volume("data", "/a"),
        ],
        directory=tmp_path / "volumes",
        view=base.store.layers.view([base.layer]),
    )
    data = str(tmp_path / "volumes" / "data" / "_data")
    assert mounts == (
        BindMount(data, "/a", create="directory"),
        BindMount(str(file), "/a/f", read_only=True, create="file"),
        BindMount(str(tmp_path / "new" / "dir"), "/a/b/c", create="directory"),
    )
    assert (tmp_path / "new" / "dir").is_dir()


@needs_root
@pytest.mark.parametrize("is_there", [False, True])
def test_a_new_or_empty_volume_is_filled_with_what_the_image_has(
    tmp_path: Path, base: Base, is_there: bool
) -> None:
    result = base.step(
        "mkdir -p /srv/d/sub; cd /srv/d; echo one > f; chmod 640 f; chown 1000:1000 f .;"
        "chmod 750 .; ln -s f l; mkfifo p; echo two > sub/g"
    )
    below = [base.layer, base.commit(result)]
    above = base.step("rm /srv/d/sub/g; echo three > /srv/d/f", parents=below)
    stack = [*below, base.commit(above, below)]
    volume = tmp_path / "volume"
    if is_there:
        (volume / "_data").mkdir(parents=True)
    data = filled_volume(volume, "/srv/d", base.store.layers.view(stack), copies=True)
    assert [path.name for path in volume.iterdir()] == ["_data"]
    assert sorted(path.name for path in data.iterdir()) == ["f", "l", "p", "sub"]
    assert (data / "f").read_text() == "three\n"
    assert (data / "l").readlink() == Path("f")
    assert list((data / "sub").iterdir()) == []
    found = (data / "f").stat()
    assert (found.st_mode & 0o777, found.st_uid, found.st_gid) == (0o640, 1000, 1000)
    assert (data.stat().st_mode & 0o777, data.stat().st_uid) == (0o750, 1000)


@needs_root
@pytest.mark.parametrize("target", ["/nothing", "/etc/passwd"])
def test_what_is_no_directory_fills_nothing(tmp_path: Path, base: Base, target: str) -> None:
    view = base.store.layers.view([base.layer])
    data = filled_volume(tmp_path / "volume", target, view, copies=True)
    assert list(data.iterdir()) == []


class _Meddling:
    """A view of an image that lets somebody act each time when something of it is looked at."""

    def __init__(self, view: View, act: Callable[[], None]) -> None:
        self._view, self._act = view, act

    def list(self, path: str) -> list[bytes]:
        self._act()
        return self._view.list(path)

    def write(self, path: str, descriptor: int) -> None:
        self._act()
        self._view.write(path, descriptor)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._view, name)


def _image(base: Base) -> View:
    result = base.step(
        "mkdir -p /srv/d/sub; cd /srv/d; echo x > sub/evil; chmod 4755 sub/evil; > f"
    )
    return base.store.layers.view([base.layer, base.commit(result)])


@needs_root
def test_nothing_is_written_through_links_that_appear_meanwhile(tmp_path: Path, base: Base) -> None:
    """What a container that has the volume already would do."""
    outside = tmp_path / "outside"
    outside.mkdir()
    data = tmp_path / "volume" / "_data"
    data.mkdir(parents=True)

    def swap() -> None:
        for name in ("sub", "f"):
            place = data / name
            if place.is_dir() and not place.is_symlink():
                shutil.rmtree(place)
            place.unlink(missing_ok=True)
            place.symlink_to(outside / "made" if name == "f" else outside)

    view = _Meddling(_image(base), swap)
    filled_volume(tmp_path / "volume", "/srv/d", view, copies=True)  # type: ignore[arg-type]
    assert list(outside.iterdir()) == []
    # A link is replaced by a file, and stays where a directory was to come.
    assert (data / "f").read_text() == ""
    assert not (data / "f").is_symlink()
    assert (data / "sub").is_symlink()


@needs_root
def test_a_volume_with_something_in_it_is_left_alone(tmp_path: Path, base: Base) -> None:
    data = tmp_path / "volume" / "_data"
    data.mkdir(parents=True)
    (data / "mine").touch()
    filled_volume(tmp_path / "volume", "/srv/d", _image(base), copies=True)
    assert [path.name for path in data.iterdir()] == ["mine"]


@needs_root
def test_what_a_crash_left_goes_and_the_volume_is_filled_all_the_same(
    tmp_path: Path, base: Base
) -> None:
    volume = tmp_path / "volume"
    (volume / ".filling-dead" / "half").mkdir(parents=True)

    class Crash(Exception):
        pass

    def crash() -> None:
        raise Crash

    view = _image(base)
    with pytest.raises(Crash):
        filled_volume(volume, "/srv/d", _Meddling(view, crash), copies=True)  # type: ignore[arg-type]
    assert list(volume.iterdir()) == []
    data = filled_volume(volume, "/srv/d", view, copies=True)
    assert sorted(path.name for path in data.iterdir()) == ["f", "sub"]
    assert stat.S_IMODE((data / "sub/evil").stat().st_mode) == 0o4755


@needs_root
def test_several_starts_at_once_fill_a_volume_once(tmp_path: Path, base: Base) -> None:
    view, volume = _image(base), tmp_path / "volume"
    with ThreadPoolExecutor(8) as pool:
        made = [pool.submit(filled_volume, volume, "/srv/d", view, copies=True) for _ in range(8)]
    assert {one.result() for one in made} == {volume / "_data"}
    assert [path.name for path in volume.iterdir()] == ["_data"]
    assert (volume / "_data/sub/evil").read_text() == "x\n"
