"""What the engine's methods answer, where no lower part has the type already."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RunResult:
    """A container or program that ended, with everything it wrote.

    ``exit_code`` is the program's own, or 128 + n when signal n ended it.
    ``stdout`` holds both streams where a terminal joined them.
    """

    container: str
    exit_code: int
    stdout: bytes
    stderr: bytes


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One line of an image's history, the newest first.

    ``image`` is the ID of the image for its newest line and of a local image
    that ends there, else ``None``. ``size`` is bytes of content that the line
    added, 0 for metadata. ``created_ns`` is ``None`` where the image does not say.
    """

    image: str | None
    created_ns: int | None
    created_by: str
    size: int
    comment: str


@dataclass(frozen=True, slots=True)
class Change:
    """One path of a container that differs from its image: ``added``, ``changed`` or ``deleted``.

    A directory is changed if anything in it is. Names that are no UTF-8 hold surrogate escapes.
    """

    kind: str
    path: str


@dataclass(frozen=True, slots=True)
class ListedVolume:
    """A volume, where its files are, and the names of the containers that mount it."""

    name: str
    directory: str
    containers: tuple[str, ...] = ()

    @property
    def is_anonymous(self) -> bool:
        """Whether it was made for one container: its name is 64 hexadecimal digits."""
        return len(self.name) == 64 and not self.name.strip("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class Pruned:
    """What a prune took away, and how many bytes of disk that gave back."""

    containers: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    untagged: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    records: int = 0
    cache_mounts: int = 0
    reclaimed_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Info:
    """The engine and the machine: where things lie and what the kernel offers.

    ``features`` maps a kernel feature to an empty text, or to the reason why it
    cannot be used here.
    """

    version: str
    root: str
    run: str
    is_rootless: bool
    kernel: str
    architecture: str
    images: int
    containers: int
    containers_running: int
    features: dict[str, str]
