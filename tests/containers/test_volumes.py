"""What ``-v`` mounts."""

from __future__ import annotations

from pathlib import Path

import pytest

from basis import Base, needs_root
from dissolver.containers.volumes import Volume, fill, mount_volumes, parse_volume
from dissolver.errors import BadVolume
from dissolver.sandbox.spec import BindMount


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
def test_a_new_volume_is_filled_with_what_the_image_has(tmp_path: Path, base: Base) -> None:
    result = base.step(
        "mkdir -p /srv/d/sub; cd /srv/d; echo one > f; chmod 640 f; chown 1000:1000 f .;"
        "chmod 750 .; ln -s f l; mkfifo p; echo two > sub/g"
    )
    below = [base.layer, base.commit(result)]
    above = base.step("rm /srv/d/sub/g; echo three > /srv/d/f", parents=below)
    stack = [*below, base.commit(above, below)]
    data = tmp_path / "data"
    data.mkdir()
    fill(data, "/srv/d", base.store.layers.view(stack))
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
    fill(tmp_path, target, base.store.layers.view([base.layer]))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "store"]
