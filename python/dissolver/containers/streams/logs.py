"""What a container wrote: its log file, read from the beginning or followed.

The file has one JSON object a line, as Docker's ``json-file`` driver writes it,
so tools that read those read these. What is older is in files with a number at the end of
their name, which grows with their age.
"""

from __future__ import annotations

import itertools
import os
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FILE = "log.json"
POLL_SECONDS = 0.05
"""How late a followed line may come."""

CHUNK_BYTES = 64 << 10

_ATTEMPTS = 20
_RENAMING_SECONDS = 0.002
"""Files are renamed within microseconds; a full disk may keep one from getting a successor."""


class _Record(msgspec.Struct, frozen=True):
    log: str
    stream: str = "stdout"
    time: str = ""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One piece of output, usually a line with its end.

    ``stream`` is ``stdout`` or ``stderr``; ``time_ns`` is in nanoseconds since the epoch;
    ``time`` is the same in RFC 3339, as the log has it.
    """

    stream: str
    data: bytes
    time: str
    time_ns: int


def read_log(
    path: Path,
    *,
    follow: bool = False,
    tail: int | None = None,
    is_running: Callable[[], bool] = lambda: False,
) -> Iterator[LogLine]:
    """Yield what the log at ``path`` holds, oldest first.

    With ``follow`` this waits for more until ``is_running`` answers no and the rest is
    read. ``tail`` leaves out all but the last lines of what is there now. A missing file is
    an empty one. A last line that is being written is left alone until it is whole; one that
    no longer can become whole is passed over.
    """
    last: deque[LogLine] | None = None if tail is None else deque(maxlen=tail)
    for line in _read(path, follow=follow, is_running=is_running):
        if last is None:
            if line is not None:
                yield line
        elif line is not None:
            last.append(line)
        else:
            yield from last
            last = None
    yield from last or ()


def _read(path: Path, *, follow: bool, is_running: Callable[[], bool]) -> Iterator[LogLine | None]:
    """Yield the lines, and ``None`` each time that all there are were read."""
    pending = b""
    runs = True
    files = _opened(path, after=None)
    # A program that writes faster than this reads must not keep it from its end.
    end = os.fstat(files[-1].fileno()).st_size if files and not follow else None
    try:
        while files:
            is_last = len(files) == 1
            left = CHUNK_BYTES if end is None or not is_last else end - files[0].tell()
            data = files[0].read(min(CHUNK_BYTES, left))
            if data:
                *lines, pending = (pending + data).split(b"\n")
                for line in lines:
                    if (found := _decode(line)) is not None:
                        yield found
            elif not is_last:
                files.pop(0).close()
                pending = b""
            elif follow and (newer := _opened(path, after=files[0])):
                # What it had when it was renamed is all: it is read to its end once more.
                files += newer
            elif not follow or not runs:
                return
            else:
                yield None
                time.sleep(POLL_SECONDS)
                # Asked before the next read, so that a last word is not missed.
                runs = is_running()
    finally:
        for file in files:
            file.close()


def _opened(path: Path, after: BinaryIO | None) -> list[BinaryIO]:
    """Open the files of a log that are newer than ``after``, the oldest first.

    Where that one is gone, all of them are newer.
    """
    known = os.fstat(after.fileno()).st_ino if after is not None else None
    for attempt in range(_ATTEMPTS):
        is_last = attempt + 1 == _ATTEMPTS
        found: list[BinaryIO] = []
        inodes: set[int] = set()
        for number in itertools.count():
            try:
                # Closed by whoever reads them to their end.
                file: BinaryIO = _numbered(path, number).open("rb")
            except FileNotFoundError:
                # While files are renamed, one has no name, or is found under two.
                has_next = _numbered(path, number + 1).exists()
                if has_next and is_last:
                    continue
                is_sure = not has_next
                break
            inode = os.fstat(file.fileno()).st_ino
            is_sure = inode not in inodes
            if inode == known or not is_sure:
                file.close()
                break
            inodes.add(inode)
            found.append(file)
        if is_sure or is_last:
            return found[::-1]
        for file in found:
            file.close()
        time.sleep(_RENAMING_SECONDS)
    raise AssertionError("the last attempt answers")


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}") if number else path


def parse_time(text: str) -> int:
    """Read RFC 3339 with up to nine digits of a second; 0 for a text that is none."""
    from datetime import datetime

    whole, _, rest = text.partition(".")
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    zone = rest[len(digits) :] if digits else ""
    try:
        moment = datetime.fromisoformat(whole + (zone if digits else ""))
        return int(moment.timestamp()) * 1_000_000_000 + int((digits or "0").ljust(9, "0")[:9])
    except ValueError:
        return 0


def _decode(line: bytes) -> LogLine | None:
    try:
        record = msgspec.json.decode(line, type=_Record)
    except msgspec.MsgspecError:
        return None
    return LogLine(record.stream, record.log.encode(), record.time, parse_time(record.time))
