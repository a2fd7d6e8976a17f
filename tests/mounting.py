"""Mounting EROFS images from tests, as the sandbox does: straight from files."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

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
    place.mkdir(exist_ok=True)
    context = _call(_FSOPEN, b"erofs", _CLOEXEC)
    try:
        _call(_FSCONFIG, context, _SET_STRING, b"source", os.fsencode(image), 0)
        for device in devices:
            _call(_FSCONFIG, context, _SET_STRING, b"device", os.fsencode(device), 0)
        _call(_FSCONFIG, context, _CREATE, None, None, 0)
        tree = _call(_FSMOUNT, context, _CLOEXEC, _READ_ONLY)
    finally:
        os.close(context)
    _call(_MOVE_MOUNT, tree, b"", _HERE, os.fsencode(place), _EMPTY_PATH)
    os.close(tree)
    try:
        yield place
    finally:
        ctypes.CDLL(None).umount2(os.fsencode(place), 2)
