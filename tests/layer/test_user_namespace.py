"""Layers in a user namespace, where not everything can be made as it is described."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from layer.conftest import needs_root

# A child enters a user namespace of its own; its parent, still outside, maps the ids.
PROGRAM = """
import ctypes, json, os, stat, sys
from dissolver._core import CoreError
from dissolver._core.layer import Layers

store, archive, count = sys.argv[1], sys.argv[2], sys.argv[3]
ready, mapped = os.pipe(), os.pipe()
child = os.fork()
if child:
    os.read(ready[0], 1)
    for name in ("uid_map", "gid_map"):
        with open(f"/proc/{child}/{name}", "w") as file:
            file.write(f"0 100000 {count}\\n")
    os.write(mapped[1], b"x")
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
CLONE_NEWUSER = 0x10000000
assert ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWUSER) == 0
os.write(ready[1], b"x")
os.read(mapped[0], 1)
os.setgid(0)
os.setuid(0)
layers = Layers(store, userxattr=True)
try:
    (lower,) = layers.lower_directories([layers.ingest(archive).diff_id])
except CoreError as error:
    print(json.dumps({"kind": error.kind, "message": error.message, "hint": error.hint}))
    sys.exit()
seen = {}
for base, directories, files in os.walk(lower):
    for name in directories + files:
        path = os.path.join(base, name)
        status = os.lstat(path)
        seen[os.path.relpath(path, lower)] = [
            stat.filemode(status.st_mode), status.st_uid, os.listxattr(path, follow_symlinks=False)
        ]
print(json.dumps(seen))
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that the first mapped user can reach and write to."""
    with tempfile.TemporaryDirectory(prefix="dissolver-layers-", dir="/var/tmp") as made:
        path = Path(made)
        shutil.chown(path, 100_000, 100_000)
        path.chmod(0o755)
        yield path


def seen_in_namespace(place: Path, *, ids: int) -> dict[str, Any]:
    with tarfile.open(place / "a.tar", "w", format=tarfile.PAX_FORMAT) as tar:

        def add(name: str, *, kind: bytes = tarfile.REGTYPE, uid: int = 0, **fields: Any) -> None:
            member = tarfile.TarInfo(name)
            member.type, member.uid, member.gid, member.mode = kind, uid, uid, 0o755
            for field, value in fields.items():
                setattr(member, field, value)
            tar.addfile(member, io.BytesIO(b""))

        add("dir", kind=tarfile.DIRTYPE)
        add("dir/file", uid=1000)
        add("null", kind=tarfile.CHRTYPE, devmajor=1, devminor=3)
        add("null-again", kind=tarfile.LNKTYPE, linkname="null")
        attributes = {"SCHILY.xattr.trusted.note": "x", "SCHILY.xattr.user.note": "y"}
        add("marked", pax_headers=attributes)
        add("opaque/.wh..wh..opq")
        add("opaque/.wh.gone")
    (place / "a.tar").chmod(0o644)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, place / "store", place / "a.tar", str(ids)],
        capture_output=True,
        text=True,
        check=False,
    )
    if "Operation not permitted" in done.stderr and "uid_map" in done.stderr:
        pytest.skip("user namespaces cannot be mapped here")
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@needs_root
def test_devices_and_root_s_attributes_are_left_out_and_marks_are_the_user_s(place: Path) -> None:
    assert seen_in_namespace(place, ids=65_536) == {
        "dir": ["drwxr-xr-x", 0, []],
        "dir/file": ["-rwxr-xr-x", 1000, []],
        "marked": ["-rwxr-xr-x", 0, ["user.note"]],
        "opaque": ["drwxr-xr-x", 0, ["user.overlay.opaque"]],
        "opaque/gone": ["c---------", 0, []],
    }


@needs_root
def test_an_owner_that_is_not_mapped_is_an_error(place: Path) -> None:
    assert seen_in_namespace(place, ids=1000) == {
        "kind": "unmapped-owner",
        "message": "`dir/file` belongs to 1000:1000, which this user namespace does not map",
        "hint": "give the user a larger range in `/etc/subuid` and `/etc/subgid`",
    }


@needs_root
def test_with_a_single_id_everything_belongs_to_it(place: Path) -> None:
    seen = seen_in_namespace(place, ids=1)
    assert {owner for _, owner, _ in seen.values()} == {0}
    assert "dir/file" in seen
