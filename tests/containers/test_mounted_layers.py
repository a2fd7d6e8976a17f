"""Root file systems of layers that are mounted in place."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from basis import Base, Box, needs_root
from dissolver._core.layer import Layers
from dissolver.containers import life as containers
from dissolver.errors import RunError
from dissolver.sandbox.rootfs import OVERLAY_LOWERS, lowers
from dissolver.store import Store

pytestmark = needs_root


@pytest.fixture
def mounted(base: Base) -> Base:
    """A store whose layers are mounted in place."""
    store = base.store
    if reason := store.layers.image_refusal():
        pytest.skip(reason)
    store.layers = Layers(store.root, userxattr=False, form="erofs")
    return base


def ingest(store: Store, directory: Path, files: dict[str, bytes]) -> str:
    path = directory / "layer.tar"
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return store.layers.ingest(path).diff_id


def roots(store: Store) -> list[Path]:
    return list((store.root / "layers").glob("*/root"))


def test_nothing_is_unpacked_for_steps_and_their_layers(mounted: Base) -> None:
    with mounted.step("mkdir /made; echo one > /made/f; rm /bin/ls; chmod 700 /tmp") as first:
        parents = [mounted.layer, mounted.commit(first)]
    look = "cat /made/f; test -e /bin/ls || echo gone; stat -c %a /tmp"
    with mounted.step(look, parents=parents) as second:
        assert mounted.text == "one\ngone\n700\n"
        assert mounted.commit(second, parents)
    assert roots(mounted.store) == []
    assert mounted.store.settle(10)
    assert list(mounted.store.layout.tmp.iterdir()) == []


def test_no_mount_is_seen_outside(mounted: Base) -> None:
    def mounts() -> str:
        return Path("/proc/self/mountinfo").read_text()

    before = mounts()
    box = Box(mounted)
    box.start("sleep", "60")
    assert mounts() == before
    assert mounted.step("cat /proc/self/mountinfo").status == 0
    inside = mounted.text
    assert " - overlay " in inside
    assert " - erofs " not in inside


def test_files_of_all_layers_have_one_device_and_numbers_of_their_own(
    mounted: Base, tmp_path: Path
) -> None:
    layers = [ingest(mounted.store, tmp_path, {f"f{n}": b"x", "same": b"y"}) for n in range(3)]
    stack = [mounted.layer, *layers]
    found = mounted.step("touch /new; stat -c '%d %i' / /f0 /f1 /f2 /same /new", parents=stack)
    assert found.status == 0
    pairs = [line.split() for line in mounted.text.splitlines()]
    assert len({device for device, _ in pairs}) == 1
    assert len({number for _, number in pairs}) == len(pairs)


def test_three_hundred_layers_are_one_root(mounted: Base, tmp_path: Path) -> None:
    layers = [
        ingest(mounted.store, tmp_path, {f"many/{n}": b"x", "last": str(n).encode()})
        for n in range(300)
    ]
    result = mounted.step("ls /many | wc -l; cat /last", parents=[mounted.layer, *layers])
    assert (result.status, mounted.text) == (0, "300\n299")


def test_a_layer_that_comes_twice_is_stacked_once(mounted: Base, tmp_path: Path) -> None:
    one = ingest(mounted.store, tmp_path, {"a": b"1"})
    two = ingest(mounted.store, tmp_path, {"a": b"2", "b": b"2"})
    stack = [mounted.layer, one, two, one]
    assert mounted.step("cat /a /b", parents=stack).status == 0
    assert mounted.text == "12"


def test_both_forms_may_be_in_one_stack(mounted: Base, tmp_path: Path) -> None:
    path = tmp_path / "big.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        member = tarfile.TarInfo("tmp/x")  # Its directory is implied, and needs a lower of its own.
        tar.addfile(member)
    store = mounted.store
    layer = store.layers.ingest(path).diff_id
    lowers = store.layers.mountable([mounted.layer, layer])
    forms = [bool(lower.erofs) for lower in lowers]
    assert forms == [True, True, False]
    assert mounted.step("stat -c %a /tmp; ls /tmp", parents=[mounted.layer, layer]).status == 0
    assert mounted.text == "1777\nx\n"


def test_a_container_outlives_the_removal_of_its_layers_files(mounted: Base) -> None:
    box = Box(mounted)
    identity = box.start("sh", "-c", "sleep 0.5; cat /etc/passwd; ls /bin/busybox")
    directory = mounted.store.containers.directory(identity)
    lowers = msgspec.json.decode((directory / "spec.json").read_bytes())["rootfs"]["lowers"]
    assert lowers[0] == {
        "erofs": f"{mounted.store.root}/layers/{mounted.layer.removeprefix('sha256:')}/erofs",
        "devices": [f"{mounted.store.root}/packs/{mounted.layer.removeprefix('sha256:')}.tar"],
    }
    Path(lowers[0]["erofs"]).unlink()
    Path(lowers[0]["devices"][0]).unlink()
    assert containers.wait(mounted.store, identity) == 0


def test_attributes_that_programs_need_work_through_the_mount(mounted: Base) -> None:
    capability = "0x0100000200200000000000000000000000000000"
    made = mounted.step("cp /bin/busybox /bin/capable; echo data > /srv-file")
    assert made.upper is not None
    os.setxattr(made.upper / "bin/capable", "security.capability", bytes.fromhex(capability[2:]))
    os.setxattr(made.upper / "srv-file", "user.note", b"kept")
    parents = [mounted.layer, mounted.commit(made)]
    touched = mounted.step("echo more >> /srv-file; chmod 700 /bin/capable", parents=parents)
    assert touched.upper is not None
    assert os.getxattr(touched.upper / "srv-file", "user.note") == b"kept"
    assert (touched.upper / "srv-file").read_text() == "data\nmore\n"
    found = os.getxattr(touched.upper / "bin/capable", "security.capability")
    assert found.hex() == capability[2:]


def test_more_layers_than_the_kernel_stacks_are_refused(tmp_path: Path) -> None:
    class Extracted:
        """Layers that are directories, named like themselves."""

        @staticmethod
        def mountable(diff_ids: list[str]) -> list[SimpleNamespace]:
            return [SimpleNamespace(erofs=None, directory=name) for name in diff_ids]

    names = [str(number) for number in range(OVERLAY_LOWERS)]
    stack = lowers(Extracted(), names[1:], tmp_path)  # type: ignore[arg-type]
    assert stack == (*reversed(names[1:]), str(tmp_path))
    with pytest.raises(RunError, match="of 500 layers cannot be mounted: the kernel stacks no mor"):
        lowers(Extracted(), names, tmp_path)  # type: ignore[arg-type]
