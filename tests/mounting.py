"""Mounting EROFS images from tests, as the sandbox does: straight from files."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dissolver._core.layer import Lower

_FSOPEN, _FSCONFIG, _FSMOUNT, _MOVE_MOUNT = 430, 431, 432, 429
_SET_STRING, _CREATE = 1, 6
_CLOEXEC, _READ_ONLY, _EMPTY_PATH, _HERE = 1, 1, 4, -100


def _call(number: int, *arguments: int | bytes | None) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    converted = [ctypes.c_long(a) if isinstance(a, int) else ctypes.c_char_p(a) for a in arguments]
    result = libc.syscall(ctypes.c_long(number), *converted)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return int(result)


@contextmanager
def mounted_image(image: str, devices: Sequence[str], place: Path) -> Iterator[Path]:
    """Mount an image on the empty directory ``place`` for as long as the block lasts."""
    options = [("source", image), *(("device", device) for device in devices)]
    with _mounted("erofs", options, place):
        yield place


@contextmanager
def stacked(
    lowers: Sequence[Lower], place: Path, *, upper: Path | None = None, work: Path | None = None
) -> Iterator[Path]:
    """Mount what `Layers.mountable` gives, bottom first, below ``place``; yield the root of it.

    The options are those of the sandbox. With ``upper`` and ``work``, which are made, the root
    can be written to.
    """
    place.mkdir()
    with ExitStack() as mounts:
        # Overlayfs wants two lowers or more.
        paths = [place / "empty"]
        paths[0].mkdir()
        for number, lower in enumerate(lowers):
            if lower.erofs is None:
                assert lower.directory is not None
                paths.append(Path(lower.directory))
                continue
            image = mounted_image(lower.erofs, lower.devices, place / str(number))
            paths.append(mounts.enter_context(image))
        options = [("lowerdir+", str(path)) for path in reversed(paths)]
        options += [("redirect_dir", "off"), ("metacopy", "off"), ("index", "off"), ("xino", "on")]
        for key, directory in (("upperdir", upper), ("workdir", work)):
            if directory is not None:
                directory.mkdir()
                options.append((key, str(directory)))
        yield mounts.enter_context(_mounted("overlay", options, place / "root"))


@contextmanager
def _mounted(kind: str, options: Sequence[tuple[str, str]], place: Path) -> Iterator[Path]:
    place.mkdir(exist_ok=True)
    context = _call(_FSOPEN, os.fsencode(kind), _CLOEXEC)
    try:
        for key, value in options:
            _call(_FSCONFIG, context, _SET_STRING, os.fsencode(key), os.fsencode(value), 0)
        _call(_FSCONFIG, context, _CREATE, None, None, 0)
        flags = 0 if any(key == "upperdir" for key, _ in options) else _READ_ONLY
        tree = _call(_FSMOUNT, context, _CLOEXEC, flags)
    finally:
        os.close(context)
    _call(_MOVE_MOUNT, tree, b"", _HERE, os.fsencode(place), _EMPTY_PATH)
    os.close(tree)
    try:
        yield place
    finally:
        ctypes.CDLL(None).umount2(os.fsencode(place), 2)
