"""Layers: stored as tars, looked at through indexes, extracted for mounts.

Diff IDs are texts such as ``sha256:<64 hex digits>``; lists of them are bottom first.
Paths in layers may be ``str``, ``bytes`` or path-like, with a leading slash or without.
Every method may be called from many threads; long ones let other threads run and
hear signals. Failures are `CoreError`; beside the kinds that are named, all raise
``io`` (with op, path and errno), ``bad-digest``, ``bad-index`` and ``unknown-version``.
"""

import builtins
import os
from collections.abc import Sequence
from typing import Literal, final

@final
class LayerInfo:
    """What a layer is called and how large it is."""

    @property
    def diff_id(self) -> str:
        """SHA-256 of the uncompressed tar."""

    @property
    def tar_bytes(self) -> int:
        """Bytes of the uncompressed tar."""

    @property
    def content_bytes(self) -> int:
        """Bytes of all files together, hard links counted once."""

    @property
    def entry_count(self) -> int:
        """Entries of the tar, whiteouts included."""

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class PackUsage:
    """A pack, which is a file with bytes of tars, and what layers have in it."""

    @property
    def name(self) -> str:
        """The name of its file without ``.tar``: 64 hexadecimal digits, unless it is no pack."""

    @property
    def disk_bytes(self) -> int:
        """Bytes of disk that it takes."""

    @property
    def live_bytes(self) -> int:
        """Bytes of it that belong to a layer."""

    @property
    def layers(self) -> int:
        """How many layers have bytes in it."""

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Entry:
    """One entry of a view; immutable."""

    @property
    def path(self) -> bytes:
        """Relative to the root, without a leading slash; the root is empty."""

    @property
    def kind(self) -> Literal["file", "directory", "symlink", "character", "block", "fifo"]:
        """What it is; a hard link is what it is a link to."""

    @property
    def mode(self) -> int:
        """Permission bits with set-uid, set-gid and sticky."""

    @property
    def uid(self) -> int:
        """Owning user."""

    @property
    def gid(self) -> int:
        """Owning group."""

    @property
    def size(self) -> int:
        """Bytes of content; 0 for everything but files."""

    @property
    def mtime_ns(self) -> int:
        """Modification time in nanoseconds since the epoch."""

    @property
    def link_target(self) -> bytes | None:
        """The text of a symbolic link."""

    @property
    def hard_link(self) -> bytes | None:
        """The first name of the same inode in the layer, for every further name."""

    @property
    def device(self) -> tuple[int, int]:
        """Major and minor number of a device, else zeros."""

    @property
    def digest(self) -> str | None:
        """``blake3:<hex>`` of a file's content."""

    @property
    def xattrs(self) -> builtins.list[tuple[bytes, bytes]]:
        """Extended attributes, sorted by name."""

@final
class Lower:
    """One read-only part of a root file system; ``directory`` or ``erofs`` is set."""

    @property
    def directory(self) -> str | None:
        """An absolute path, for what is a directory."""

    @property
    def erofs(self) -> str | None:
        """The absolute path of an EROFS image: names and metadata of a layer."""

    @property
    def devices(self) -> builtins.list[str]:
        """The files that the image's contents lie in, in the order that it expects."""

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Layers:
    """The layers under a store's root: ``layers/``, ``packs/`` and ``tmp/``.

    For many threads and processes at once. A layer becomes visible by one rename, when
    it is complete and verified; until then it lies in ``tmp/<pid>-<start time>-<n>/``,
    which is removed at the end and can be swept once that process is gone. A layer that
    exists already is never written again. `remove` must not run beside work that uses
    the layer: hold the store's lock.
    """

    def __new__(
        cls,
        root: str | bytes | os.PathLike[str],
        *,
        userxattr: bool,
        fsync: bool = False,
        form: Literal["auto", "erofs", "directory"] = "auto",
    ) -> Layers:
        """Open the layers under ``root``, making the directories that are missing.

        ``userxattr`` says that overlays are mounted in a user namespace, which reads
        ``user.overlay.*``; it is a property of the store and must not vary. With ``fsync``
        data reaches the disk before it gets its name. ``form`` says how layers are mounted:
        in place as EROFS images, or as directories; ``auto`` tries once what is possible.
        """

    def info(self, diff_id: str) -> LayerInfo | None:
        """Describe a layer; ``None`` if it is not stored."""

    def list(self) -> builtins.list[str]:
        """Name all layers, sorted."""

    def ingest(
        self, source: int | str | bytes | os.PathLike[str], *, expect: str | None = None
    ) -> LayerInfo:
        """Store the tar that a file or a descriptor holds, from where that stands.

        Uncompressed, gzip, zstd, bzip2 or xz, told apart by content; the uncompressed bytes
        are kept as they are. Read once, with flat memory; nothing is kept of what is refused.

        Raises:
            CoreError: ``bad-tar``, ``unsafe-path`` or ``limit`` for archives that are broken
                or hostile; ``digest-mismatch`` if ``expect`` is not the diff ID.
        """

    def view(self, diff_ids: Sequence[str]) -> View:
        """Look at a stack of layers as one root file system; none is an empty one.

        Raises:
            CoreError: ``unknown-layer``.
        """

    def lower_directories(self, diff_ids: Sequence[str]) -> builtins.list[str]:
        """Give the directories to stack in an overlay mount, bottom first, as absolute paths.

        Extracts what was not extracted yet. There may be one more than there are layers.

        Raises:
            CoreError: ``unknown-layer``; ``unmapped-owner`` if the user namespace has too few ids.
        """

    def mountable(self, diff_ids: Sequence[str]) -> builtins.list[Lower]:
        """Give what to stack in an overlay mount, bottom first, in the form that was chosen.

        Writes the images, or extracts the directories, that are not there yet; fails as
        `lower_directories`. There may be one more than layers, and a layer that comes twice
        is stacked once. A layer that no image can express is a directory all the same.
        """

    def remove_later(self, directory: str | bytes | os.PathLike[str]) -> None:
        """Remove a directory of this process in ``tmp/``, in the background."""

    def settle(self, seconds: float) -> bool:
        """Wait until nothing is being removed any more, but no longer; tell whether that is so.

        Raises:
            ValueError: ``seconds`` is negative or not a time.
        """

    def image_refusal(self) -> str:
        """Say, after trying it, why layers cannot be mounted in place; empty if they can."""

    def commit_upper(
        self,
        upper: str | bytes | os.PathLike[str],
        parents: Sequence[str],
        *,
        ignore_stubs: Sequence[str | bytes | os.PathLike[str]] = (),
    ) -> LayerInfo:
        """Make a layer of an overlay's upper directory, which is gone afterwards.

        Copies that changed nothing, sockets, and the mount points ``ignore_stubs`` that the
        parents lack and that are still empty are left out. The overlay must be unmounted.

        Raises:
            CoreError: ``unknown-layer``; ``unsupported-overlay`` if it was mounted with
                redirect_dir or metacopy; ``bad-tar`` for a name that layers reserve. ``upper``
                is still there then.
        """

    def cat(self, diff_id: str, fd: int) -> int:
        """Write a layer's tar to ``fd`` and return its length.

        Raises:
            CoreError: ``unknown-layer``; ``digest-mismatch`` at the end if it is damaged.
        """

    def remove(self, diff_id: str) -> int:
        """Remove a layer and return the bytes that this frees; 0 if it is not stored."""

    def remove_all(self, diff_ids: Sequence[str]) -> int:
        """Remove layers, and what only they had of packs; return the bytes that this frees.

        Killed in between, it leaves the rest of the packs to `reclaim`.
        """

    def reclaim(self) -> int:
        """Remove packs without a layer, and cut out of others what no layer needs; return the
        bytes that this frees.

        What layers need stays where it is. While the index of a layer is damaged, nothing goes.
        """

    def packs(self) -> builtins.list[PackUsage]:
        """List all packs, sorted by name, and what layers have in them.

        Raises:
            CoreError: ``bad-index`` if the index of a layer is damaged.
        """

    def disk_bytes(self, diff_id: str) -> int:
        """Tell how much disk a layer occupies: its part of packs, its index, what was extracted.

        Raises:
            CoreError: ``unknown-layer``.
        """

    def disk_bytes_of(self, diff_ids: Sequence[str], *, beside: Sequence[str] = ()) -> int:
        """Tell how much disk layers occupy together; what several of them share counts once.

        What the layers ``beside`` share with them does not count: removing ``diff_ids`` would
        not give it back. Layers that are not stored count nothing.
        """

    def verify(self, diff_id: str) -> None:
        """Read a layer once and compare it with its name, its index and all that came of those.

        Raises:
            CoreError: ``digest-mismatch``, ``bad-index``, ``unknown-layer``.
        """

    def extract(self, diff_ids: Sequence[str], destination: str | bytes | os.PathLike[str]) -> None:
        """Extract a whole root file system into an empty or missing directory.

        Raises:
            CoreError: ``not-empty``, ``unknown-layer``, ``unmapped-owner``.
        """

    def export_tar(self, diff_ids: Sequence[str], fd: int, *, mtime_ns: int | None = None) -> None:
        """Write a whole root file system to ``fd`` as one tar; the same layers, the same bytes.

        With ``mtime_ns`` (nanoseconds since the epoch) everything has that time.

        Raises:
            CoreError: ``unknown-layer``.
        """

    def clamp_times(self, diff_id: str, latest_ns: int) -> LayerInfo:
        """Store a layer with all times later than ``latest_ns`` set back to it; describe that.

        Nothing else differs. Where no time is later it is the layer itself. Large contents are
        shared with it on disk. ``latest_ns`` is in nanoseconds since the epoch.

        Raises:
            CoreError: ``unknown-layer``; ``digest-mismatch`` if it is damaged.
        """

@final
class View:
    """A stack of layers merged as it is looked at, whiteouts and opaque directories applied.

    Immutable; stays readable when its layers are removed. Symbolic links are followed
    inside the root: nothing leads out of it.
    """

    def stat(self, path: str | bytes | os.PathLike[str], *, follow: bool = True) -> Entry | None:
        """Describe what is at ``path``; ``None`` if there is nothing.

        ``follow`` is about the last component. The entry's path is the resolved one.

        Raises:
            CoreError: ``symlink-loop``.
        """

    def resolve(self, path: str | bytes | os.PathLike[str]) -> bytes:
        """Follow every symbolic link and return the canonical absolute path.

        What does not exist is taken as it is written.

        Raises:
            CoreError: ``symlink-loop``.
        """

    def list(self, path: str | bytes | os.PathLike[str]) -> builtins.list[bytes]:
        """Name what is in a directory, sorted by bytes.

        Raises:
            CoreError: ``not-found``, ``not-a-directory``, ``symlink-loop``.
        """

    def read(self, path: str | bytes | os.PathLike[str], *, limit: int) -> bytes:
        """Read a whole file of at most ``limit`` bytes.

        Raises:
            CoreError: ``not-found``, ``not-a-file``, ``too-large``, ``symlink-loop``.
        """

    def compare(
        self, other: View, *, times: bool = False
    ) -> builtins.list[tuple[Entry | None, Entry | None]]:
        """List what this view and ``other`` have at each path where they differ, by path.

        Compared are kind, mode, owner, size, content, link target, device and attributes, and
        with ``times`` modification times. Further names of an inode are compared as files.
        Nothing but indexes is read.
        """

    def is_archive(self, path: str | bytes | os.PathLike[str]) -> bool:
        """Tell whether a file is a tar, compressed or not, as ``_core.compress.is_archive`` does.

        Raises:
            CoreError: ``not-found``, ``not-a-file``, ``symlink-loop``.
        """

    def write(self, path: str | bytes | os.PathLike[str], fd: int) -> int:
        """Write a file's content to ``fd`` and return its length.

        Raises:
            CoreError: ``not-found``, ``not-a-file``, ``symlink-loop``.
        """

def remove_tree(path: str | bytes | os.PathLike[str], *, strict: bool = False) -> int:
    """Remove a file, or a directory of any depth; answer the bytes of disk that this frees.

    What cannot be removed stays, and nothing beside it does. A path that is not there is no
    failure.

    Raises:
        CoreError: something stayed, if ``strict``.
    """

def tree_bytes(path: str | bytes | os.PathLike[str]) -> int:
    """Count the bytes of disk under a path as far as they can be told; hard links count once."""
