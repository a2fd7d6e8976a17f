"""Where everything in a store lies, and which format it is in.

```
<root>/
  format.json          {"format": 1}
  store.sqlite         images, references, containers, step records
  reserve              room for tidying up a full disk
  store.lock           flock: builds hold it shared, garbage collection exclusively
  blobs/sha256/<hex>   image configurations
  layers/ packs/       layers (`_core.layer.Layers`)
  containers/<id>/     a container's files
  volumes/<name>/_data
  cache-mounts/<name>/ directories that outlive builds
  stat/<hex>           what the files of a context were when they were last hashed
  tmp/                 work in progress
```
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from dissolver.errors import StoreError, UnknownStoreFormat
from dissolver.store.faults import explained

FORMAT = 1
"""The only format this version reads and writes; docs/store.md draws it."""

_DIRECTORIES = ("blobs/sha256", "containers", "layers", "packs", "stat", "tmp", "volumes")


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of a store: ``root`` holds what lasts, ``run`` what a reboot may remove."""

    root: Path
    run: Path

    @property
    def format_file(self) -> Path:
        """The file that names the format; written last, so it vouches for the rest."""
        return self.root / "format.json"

    @property
    def database(self) -> Path:
        """The SQLite database."""
        return self.root / "store.sqlite"

    @property
    def lock(self) -> Path:
        """The file whose flock keeps garbage collection away from builds."""
        return self.root / "store.lock"

    @property
    def reserve(self) -> Path:
        """The file that keeps a little room for a full disk."""
        return self.root / "reserve"

    @property
    def blobs(self) -> Path:
        """Files named by their digest."""
        return self.root / "blobs"

    @property
    def packs(self) -> Path:
        """The tars of the layers."""
        return self.root / "packs"

    @property
    def containers(self) -> Path:
        """One directory for each container."""
        return self.root / "containers"

    @property
    def volumes(self) -> Path:
        """Named volumes."""
        return self.root / "volumes"

    @property
    def cache_mounts(self) -> Path:
        """Directories that outlive builds; made when the first one is."""
        return self.root / "cache-mounts"

    @property
    def stat(self) -> Path:
        """One stat cache for each context directory."""
        return self.root / "stat"

    @property
    def tmp(self) -> Path:
        """Work in progress; what a dead process left here is removed."""
        return self.root / "tmp"


def open_layout(root: Path, run: Path) -> Layout:
    """Open the store at ``root``, or create an empty one.

    Opening an existing store reads one small file. Creating is safe to repeat and
    to be killed in: ``format.json`` appears last, by rename.

    Raises:
        UnknownStoreFormat: a newer version wrote the store.
        StoreError: it cannot be read or created.
    """
    layout = Layout(root, run)
    with explained(f"open the store `{root}`"):
        found = _read_format(layout.format_file)
        if found is None:
            _create(layout)
        elif found > FORMAT:
            raise UnknownStoreFormat(
                f"the store `{root}` has format {found}, and this version knows format {FORMAT}",
                hint="use the newer dissolver that wrote it, or another directory with `--root`",
            )
        elif found != FORMAT:
            raise StoreError(f"the store `{root}` has an impossible format, {found}")
        if not run.is_dir():
            run.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Who removes a cache by hand means it to be empty.
        if not layout.stat.is_dir():
            layout.stat.mkdir(mode=0o700, exist_ok=True)
    return layout


def _read_format(path: Path) -> int | None:
    import json

    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        found = json.loads(content)["format"]
    except (ValueError, KeyError, TypeError):
        found = None
    if not isinstance(found, int):
        raise StoreError(
            f"`{path}` does not say which format the store has",
            hint="if the directory is not a store, choose another with `--root`",
        )
    return found


def _create(layout: Layout) -> None:
    from dissolver.store.database import create_database
    from dissolver.store.reserve import Reserve

    layout.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    strangers = [
        path.name
        for path in layout.root.iterdir()
        if path.name not in _OWN_NAMES and not path.name.startswith(("store.sqlite", "run"))
    ]
    if strangers:
        raise StoreError(
            f"`{layout.root}` is not empty and not a store: it has `{sorted(strangers)[0]}`",
            hint="choose an empty or new directory with `--root`",
        )
    for name in _DIRECTORIES:
        (layout.root / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    layout.lock.touch(mode=0o600)
    create_database(layout.database, layout.tmp)
    Reserve(layout.reserve).keep()
    part = layout.tmp / f"format-{os.getpid()}"
    part.write_text(f'{{"format": {FORMAT}}}\n')
    part.rename(layout.format_file)


_OWN_NAMES = frozenset(
    [directory.partition("/")[0] for directory in _DIRECTORIES]
    # A new file system's own, when the store is a disk of its own.
    + ["lost+found", "store.lock", "reserve", "format.json"]
)
