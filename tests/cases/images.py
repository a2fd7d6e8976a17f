"""What an exported image comes to: its files, its configuration and its history, as texts."""

from __future__ import annotations

import functools
import gzip
import io
import json
import re
import tarfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cases.notation import Node, Tree, changed_lines
from dissolver.image.mutate import DEFAULT_PATH

COMMENT = "buildkit.dockerfile.v0"
WHITEOUT = ".wh."
DAY_SECONDS = 24 * 60 * 60
OPAQUE = ".wh..wh..opq"
_XATTR = "SCHILY.xattr."
_KINDS = {
    tarfile.DIRTYPE: "directory", tarfile.SYMTYPE: "symlink", tarfile.FIFOTYPE: "fifo",
    tarfile.CHRTYPE: "character", tarfile.BLKTYPE: "block",
}  # fmt: skip


@dataclass(frozen=True)
class Exported:
    """An image: its configuration as a document, and its layers applied to nothing."""

    document: Mapping[str, Any] = field(default_factory=dict)
    tree: Tree = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def config(self) -> dict[str, Any]:
        """All that the document says beside times, layers and history, null being absent."""
        inner = self.document.get("config") or {}
        outer = {
            name: value
            for name, value in self.document.items()
            if name not in ("created", "config", "history", "rootfs", "moby.buildkit.cache.v0")
        }
        return {name: value for name, value in (outer | inner).items() if value is not None}


def scratch(architecture: str) -> Exported:
    """Give what `FROM scratch` starts with."""
    config = {"Env": [f"PATH={DEFAULT_PATH}"], "WorkingDir": "/"}
    return Exported({"architecture": architecture, "os": "linux", "config": config}, {"/": _top()})


def _top() -> Node:
    return Node("directory", 0o755)


# Archives ---------------------------------------------------------------------------------


def read_archive(path: Path) -> Exported:
    """Read the one image of an OCI layout, or of what `docker save` writes."""
    with tarfile.open(path) as tar:

        def blob(name: str) -> bytes:
            file = tar.extractfile(name)
            assert file is not None, name
            return file.read()

        if "index.json" in tar.getnames():
            return _of_layout(blob)
        (entry,) = json.loads(blob("manifest.json"))
        return _exported(blob(entry["Config"]), [blob(name) for name in entry["Layers"]])


def read_layout(directory: Path) -> Exported:
    """Read the one image of an OCI layout that is a directory."""
    return _of_layout(lambda name: (directory / name).read_bytes())


def read_rootfs(path: Path) -> Exported:
    """Read a tar of a whole file system."""
    tree: Tree = {"/": _top()}
    _apply(tree, _entries(path.read_bytes()))
    return Exported(tree=tree)


def _of_layout(blob: Callable[[str], bytes]) -> Exported:
    document = json.loads(blob("index.json"))
    while "manifests" in document:
        descriptor = document["manifests"][0]
        document = json.loads(blob(_blob_name(descriptor)))
    config = blob(_blob_name(document["config"]))
    exported = _exported(config, [blob(_blob_name(layer)) for layer in document["layers"] or ()])
    return replace(exported, annotations=document.get("annotations") or {})


def _blob_name(descriptor: Mapping[str, Any]) -> str:
    return "blobs/" + descriptor["digest"].replace(":", "/")


def _exported(config: bytes, layers: list[bytes]) -> Exported:
    document = json.loads(config)
    told = [entry for entry in document.get("history") or () if not entry.get("empty_layer")]
    assert len(layers) == len(document["rootfs"]["diff_ids"] or ()), "a layer without a diff ID"
    assert len(told) == len(layers), "a layer without its history"
    tree: Tree = {"/": _top()}
    for layer in layers:
        _apply(tree, _entries(layer))
    return Exported(document, tree)


Entry = tuple[str, Node | str]
"""A path and what it becomes; a text is the path that it is a hard link to."""


@functools.lru_cache(maxsize=32)
def _entries(layer: bytes) -> tuple[Entry, ...]:
    data = gzip.decompress(layer) if layer[:2] == b"\x1f\x8b" else layer
    with tarfile.open(fileobj=io.BytesIO(data), errors="surrogateescape") as tar:
        return tuple(_entry(tar, info) for info in tar)


def _entry(tar: tarfile.TarFile, info: tarfile.TarInfo) -> Entry:
    path = _absolute(info.name)
    if info.islnk():
        return path, _absolute(info.linkname)
    file = tar.extractfile(info) if info.isreg() else None
    xattrs = {
        name.removeprefix(_XATTR): value.encode("utf-8", "surrogateescape")
        for name, value in info.pax_headers.items()
        if name.startswith(_XATTR)
    }
    return path, Node(
        _KINDS.get(info.type, "file"), info.mode, info.uid, info.gid,
        file.read() if file is not None else b"",
        info.linkname, (info.devmajor, info.devminor), xattrs, int(info.mtime),
    )  # fmt: skip


def _absolute(name: str) -> str:
    return "/" + "/".join(part for part in name.split("/") if part not in ("", "."))


def _apply(tree: Tree, entries: tuple[Entry, ...]) -> None:
    """Apply a layer as the image specification says: what it hides first."""
    for path, _ in entries:
        directory, _, name = path.rpartition("/")
        if name == OPAQUE:
            _remove_below(tree, directory)
        elif name.startswith(WHITEOUT):
            victim = f"{directory}/{name.removeprefix(WHITEOUT)}"
            tree.pop(victim, None)
            _remove_below(tree, victim)
    for path, found in entries:
        if path.rpartition("/")[2].startswith(WHITEOUT):
            continue
        node = tree[found] if isinstance(found, str) else found
        if node.kind != "directory":
            _remove_below(tree, path)
        _add_parents(tree, path)
        tree[path] = node


def _add_parents(tree: Tree, path: str) -> None:
    """Add the directories that a layer implies."""
    while (path := path.rpartition("/")[0]) and path not in tree:
        tree[path] = _top()


def _remove_below(tree: Tree, directory: str) -> None:
    for path in [path for path in tree if path.startswith(f"{directory}/") and path != "/"]:
        del tree[path]


# Texts --------------------------------------------------------------------------------------


def tree_text(image: Exported, base: Exported) -> str:
    """Write the files that ``image`` has otherwise than ``base``."""
    return changed_lines(image.tree, base.tree)


def config_text(image: Exported, base: Exported) -> str:
    """Write what the configuration says otherwise than that of ``base``, a field a line."""
    now, before = image.config, base.config
    return "".join(
        f"{name} {_json(now.get(name))}\n"
        for name in sorted({*now, *before})
        if now.get(name) != before.get(name)
    )


def _json(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text.replace(f'"PATH={DEFAULT_PATH}"', '"PATH"')


def history_text(image: Exported, base: Exported) -> str:
    """Write the history on top of that of ``base``: `+` for a layer, `-` for none."""
    inherited = list(base.document.get("history") or ())
    history = list(image.document.get("history") or ())
    assert history[: len(inherited)] == inherited, "the history of the base was changed"
    return "".join(_history_line(entry) for entry in history[len(inherited) :])


def annotations_text(image: Exported) -> str:
    """Write the annotations of the manifest."""
    return "".join(f"{name} {value}\n" for name, value in sorted(image.annotations.items()))


def times_text(image: Exported, base: Exported) -> str:
    """Write the image's time, those of its own history, and those of its own files, each once."""
    inherited = len(base.document.get("history") or ())
    history = (image.document.get("history") or ())[inherited:]
    files = [
        node.mtime
        for path, node in image.tree.items()
        if base.tree.get(path) != node and node.kind != "directory"
    ]
    told = (
        ("created", [_seconds(image.document.get("created"))]),
        ("history", [_seconds(entry.get("created")) for entry in history]),
        ("files", files),
    )
    return "".join(
        f"{what} {when}\n" for what, times in told for when in sorted(set(map(_shown_time, times)))
    )


def _seconds(text: str | None) -> int:
    return int(datetime.fromisoformat(text).timestamp()) if text else 0


def _shown_time(seconds: int) -> str:
    if seconds > time.time() - DAY_SECONDS:
        return "today"
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def _history_line(entry: Mapping[str, Any]) -> str:
    sign = "-" if entry.get("empty_layer") else "+"
    text = re.sub(r"[\n\t]", lambda found: repr(found[0])[1:-1], entry.get("created_by", ""))
    more = {
        name: value
        for name, value in entry.items()
        if name not in ("created", "created_by", "empty_layer", "comment")
    }
    assert entry.get("comment") == COMMENT, entry
    return f"{sign} {text}{f'  {json.dumps(more)}' if more else ''}\n"
