"""What a container wrote: its log file, read from the beginning or followed.

The file has one JSON object a line, as Docker's ``json-file`` driver writes it,
so tools that read those read these.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FILE = "log.json"
POLL_SECONDS = 0.05
"""How late a followed line may come."""

CHUNK_BYTES = 64 << 10


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
    """Yield the lines, and ``None`` each time that there are no more for now."""
    pending = b""
    runs = True
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        while True:
            data = file.read(CHUNK_BYTES)
            if data:
                *lines, pending = (pending + data).split(b"\n")
                for line in lines:
                    if (found := _decode(line)) is not None:
                        yield found
            elif not follow or not runs:
                return
            else:
                yield None
                time.sleep(POLL_SECONDS)
                # Asked before the next read, so that a last word is not missed.
                runs = is_running()


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
