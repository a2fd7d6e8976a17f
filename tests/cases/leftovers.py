"""What a build left outside of the store: texts, file trees, archives of images."""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Collection
from pathlib import Path

from cases.images import Exported, read_archive, read_layout, read_rootfs, tree_text
from cases.notation import Node, Tree


def describe(directory: Path, given: Collection[str], base: Exported) -> str:
    """Tell what is in ``directory`` and was not ``given``; trees as differences from ``base``."""
    names = sorted(path.name for path in directory.iterdir() if path.name not in given)
    return "".join(_describe(directory / name, base) for name in names)


def _describe(path: Path, base: Exported) -> str:
    if path.is_dir() and (path / "index.json").exists():
        return _listed(path.name, "layout", tree_text(read_layout(path), base))
    if path.is_dir():
        return _listed(path.name, "directory", tree_text(_walked(path), base))
    if not tarfile.is_tarfile(path):
        return f"{path.name}: {path.read_text().strip()}\n"
    with tarfile.open(path) as tar:
        names = tar.getnames()
    if "index.json" in names or "manifest.json" in names:
        return _listed(path.name, "image", tree_text(read_archive(path), base))
    return _listed(path.name, "tar", tree_text(read_rootfs(path), base))


def _listed(name: str, kind: str, tree: str) -> str:
    return f"{name}: {kind}\n" + "".join(f"    {line}\n" for line in tree.splitlines())


def _walked(top: Path) -> Exported:
    """Read a directory; whoever runs the tests stands for root."""
    tree: Tree = {"/": Node("directory", 0o755)}
    first: dict[int, Node] = {}
    owner = top.stat().st_uid
    for place, directories, files in os.walk(top):
        for name in (*directories, *files):
            path = Path(place) / name
            found = path.lstat()
            node = first.setdefault(found.st_ino, Node("file"))
            node.mode = stat.S_IMODE(found.st_mode)
            node.uid = node.gid = 0 if found.st_uid == owner else found.st_uid
            if path.is_symlink():
                node.kind, node.target = "symlink", str(path.readlink())
            elif path.is_dir():
                node.kind = "directory"
            elif stat.S_ISFIFO(found.st_mode):
                node.kind = "fifo"
            else:
                node.content = path.read_bytes()
            tree["/" + str(path.relative_to(top))] = node
    return Exported(tree=tree)
