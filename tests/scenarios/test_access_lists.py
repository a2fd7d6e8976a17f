"""Access control lists of a context come along, and name nobody whom the image cannot have."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from forms import in_both_forms
from scene import Cli

NAMED = 1_000
OWNER, USER, GROUP, MASK, OTHERS = 0x01, 0x02, 0x04, 0x10, 0x20


def acl(owner: int, named: int | None, group: int, mask: int, others: int) -> bytes:
    """Write a list as the kernel has it, for the user 1000 beside the usual three."""
    entries = [(OWNER, owner, -1)]
    if named is not None:
        entries.append((USER, named, NAMED))
    entries += [(GROUP, group, -1), (MASK, mask, -1), (OTHERS, others, -1)]
    packed = (struct.pack("<HHi", *entry) for entry in entries)
    return b"".join((struct.pack("<I", 2), *packed))


def context_with_list(cli: Cli, copy: str) -> Path:
    context = cli.directory("acl", {"Dockerfile": f"FROM box\n{copy} file /\n", "file": "x"})
    try:
        os.setxattr(context / "file", "system.posix_acl_access", acl(6, 7, 4, 7, 0))
    except OSError as error:
        pytest.skip(f"no access control lists here: {error}")
    return context


def list_of(cli: Cli, image: str) -> bytes | None:
    """Read the list of `/file` in a container of ``image`` as the kernel shows it there."""
    name = cli.out("run", "-d", image, "sleep", "60")
    try:
        pid = cli.out("inspect", "-f", "{{.State.Pid}}", name)
        return os.getxattr(f"/proc/{pid}/root/file", "system.posix_acl_access")
    finally:
        cli("rm", "-f", name)


@in_both_forms
def test_a_list_that_names_somebody_makes_no_image_that_cannot_run(box: Cli) -> None:
    box("build", "-t", "made", context_with_list(box, "COPY"))
    assert box.out("run", "--rm", "made", "stat", "-c", "%a", "/file") == "670"
    if box.account.is_root:
        assert list_of(box, "made") == acl(6, 7, 4, 7, 0)


@in_both_forms
def test_chmod_changes_the_list_as_well(box: Cli) -> None:
    box("build", "-t", "made", context_with_list(box, "COPY --chmod=600"))
    assert box.out("run", "--rm", "made", "stat", "-c", "%a", "/file") == "600"
    command = ("run", "--rm", "-u", str(NAMED), "made", "cat", "/file")
    assert box(*command, check=False).returncode == 1
    if box.account.is_root:
        assert list_of(box, "made") == acl(6, 7, 4, 0, 0)
