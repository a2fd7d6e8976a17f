"""What differs between two images: files by their indexes, configurations by their fields."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from dissolver.image.compare import FieldChange, compare_configs, compare_history, compare_layers
from dissolver.store.faults import explained

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dissolver._core.layer import Entry
    from dissolver.engine.session import Session

FileKind = Literal["added", "removed", "changed"]


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What an image has at a path.

    ``mode`` are permission bits, ``size`` bytes of content, ``mtime_ns`` nanoseconds since the
    epoch. ``digest`` is ``blake3:<hex>`` of a file's content; ``link_target`` the text of a
    symbolic link; ``device`` the numbers of a device; ``xattrs`` values in hexadecimal by name.
    Names that are no UTF-8 hold surrogate escapes.
    """

    kind: str
    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    digest: str | None
    link_target: str | None
    device: tuple[int, int] | None
    xattrs: dict[str, str]


@dataclass(frozen=True, slots=True)
class FileChange:
    """A path at which two images differ: what each has there, and in which facts they differ.

    ``facts`` are names of fields of `FileFacts`, for what both have.
    """

    kind: FileKind
    path: str
    before: FileFacts | None
    after: FileFacts | None
    facts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ImageDifference:
    """What differs between two images; nothing is equal to nothing.

    ``before`` and ``after`` are their IDs. ``files`` are sorted by path. ``layers`` are compared
    by place and diff ID: other layers may well hold the same files.
    """

    before: str
    after: str
    files: tuple[FileChange, ...]
    config: tuple[FieldChange, ...]
    layers: tuple[FieldChange, ...]
    history: tuple[FieldChange, ...]

    @property
    def is_empty(self) -> bool:
        """Whether the images are the same in everything that was compared."""
        return not (self.files or self.config or self.layers or self.history)


_FACTS = ("kind", "mode", "uid", "gid", "size", "digest", "link_target", "device", "xattrs")


def diff_images(session: Session, before: str, after: str, times: bool) -> ImageDifference:
    """Compare two images of the store."""
    images, layers = session.store.images, session.store.layers
    left, right = images.resolve(before), images.resolve(after)
    with session.store.lock_shared(), explained("compare the images"):
        one, other = (layers.view(image.config.diff_ids) for image in (left, right))
        pairs = one.compare(other, times=times)
    return ImageDifference(
        left.id,
        right.id,
        tuple(_file_changes(pairs, times)),
        compare_configs(left.config, right.config),
        compare_layers(left.config, right.config),
        compare_history(left.config, right.config),
    )


def _file_changes(
    pairs: list[tuple[Entry | None, Entry | None]], times: bool
) -> Iterator[FileChange]:
    names = (*_FACTS, "mtime_ns") if times else _FACTS
    for left, right in pairs:
        before = None if left is None else _facts(left)
        after = None if right is None else _facts(right)
        path = left.path if left is not None else right.path if right is not None else b""
        kind: FileKind = "changed"
        facts: tuple[str, ...] = ()
        if before is None:
            kind = "added"
        elif after is None:
            kind = "removed"
        else:
            facts = tuple(name for name in names if getattr(before, name) != getattr(after, name))
        yield FileChange(kind, f"/{os.fsdecode(path)}", before, after, facts)


def _facts(entry: Entry) -> FileFacts:
    target = entry.link_target
    is_device = entry.kind in ("character", "block")
    return FileFacts(
        kind=entry.kind,
        mode=entry.mode,
        uid=entry.uid,
        gid=entry.gid,
        size=entry.size,
        mtime_ns=entry.mtime_ns,
        digest=entry.digest if entry.kind == "file" else None,
        link_target=None if target is None else os.fsdecode(target),
        device=entry.device if is_device else None,
        xattrs={os.fsdecode(name): value.hex() for name, value in entry.xattrs},
    )
