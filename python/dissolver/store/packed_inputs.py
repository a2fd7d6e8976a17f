"""The named inputs of a key as they are kept: packed, and unpacked as far as somebody looks.

A COPY of 200,000 files has as many inputs. As Python's objects they would take 100 MB
and half a second; packed they are 3 MB, and what differs between two lists of them is
found without making objects of what they have in common.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import overload

Input = tuple[str, str]
Inputs = Sequence[Input]
"""Named inputs of a key, such as ``("context/src/a.py", "5f2a…")``, in key order."""

_CHUNK_BYTES = 1 << 16  # compared at once: copying so much costs less than a step of the loop
_HEAD_BYTES = 1 << 12


def pack_inputs(inputs: Inputs) -> bytes:
    """Encode inputs for the database: names and values, separated by NUL, compressed.

    The core does the same for the inputs of a COPY. JSON would take ten times as long; a
    NUL that a text should hold only blurs an explanation.
    """
    if isinstance(inputs, PackedInputs):
        return inputs.packed
    texts = [text.replace("\0", "\N{REPLACEMENT CHARACTER}") for pair in inputs for text in pair]
    return zlib.compress("\0".join(texts).encode("utf-8", "surrogateescape"), level=1)


class PackedInputs(Sequence[Input]):
    """Inputs as they lie in the database, or would; a cache hit never has to decode them.

    ``packed`` may be a function, which is called when the bytes are first needed.
    """

    def __init__(self, packed: bytes | Callable[[], bytes]) -> None:
        self._packed = packed
        self._decoded: tuple[Input, ...] | None = None

    @property
    def packed(self) -> bytes:
        """The bytes for the database."""
        if not isinstance(self._packed, bytes):
            self._packed = self._packed()
        return self._packed

    @property
    def first(self) -> Input | None:
        """The first input, without decoding the others; ``None`` if there is none."""
        unpacking = zlib.decompressobj()
        head, packed = b"", self.packed
        while head.count(b"\0") < 2:
            more = unpacking.decompress(packed, _HEAD_BYTES)
            if not more:
                break
            head += more
            packed = unpacking.unconsumed_tail
        pairs = _pairs(b"\0".join(head.split(b"\0")[:2]))
        return pairs[0] if pairs else None

    def _all(self) -> tuple[Input, ...]:
        if self._decoded is None:
            self._decoded = _pairs(zlib.decompress(self.packed))
        return self._decoded

    @overload
    def __getitem__(self, index: int) -> Input: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Input, ...]: ...

    def __getitem__(self, index: int | slice) -> Input | tuple[Input, ...]:
        return self._all()[index]

    def __len__(self) -> int:
        return len(self._all())

    def __iter__(self) -> Iterator[Input]:
        return iter(self._all())

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Sequence):
            return self._all() == tuple(other)
        return NotImplemented

    def __hash__(self) -> int:
        return hash(self._all())

    def __repr__(self) -> str:
        return repr(self._all())


def without_common_ends(one: Inputs, other: Inputs) -> tuple[Inputs, Inputs]:
    """Leave out what both begin with and end with, as far as that can be told cheaply.

    What is left of each is in order, and every input that only one has is in it.
    """
    if not isinstance(one, PackedInputs) or not isinstance(other, PackedInputs):
        return one, other
    first, second = (zlib.decompress(inputs.packed) for inputs in (one, other))
    start = _start_of_pair(first, _common_start(first, second))
    cut = _common_end(first, second, start)
    cut -= _next_pair(first, len(first) - cut)
    return _between(first, start, cut), _between(second, start, cut)


def _common_start(one: bytes, other: bytes) -> int:
    """Count the bytes with which both begin."""
    limit = min(len(one), len(other))
    start, step = 0, _CHUNK_BYTES
    while start < limit:
        if one[start : start + step] == other[start : start + step]:
            start += step
        elif step == 1:
            break
        else:
            step = max(1, step // 16)
    return min(start, limit)


def _common_end(one: bytes, other: bytes, start: int) -> int:
    """Count the bytes with which both end, without those before ``start``."""
    limit = min(len(one), len(other)) - start
    count, step = 0, _CHUNK_BYTES
    while count < limit:
        step = min(step, limit - count)
        end, other_end = len(one) - count, len(other) - count
        if one[end - step : end] == other[other_end - step : other_end]:
            count += step
        elif step == 1:
            break
        else:
            step = max(1, step // 16)
    return count


def _start_of_pair(packed: bytes, position: int) -> int:
    """Go back to where a pair begins."""
    start = packed.rfind(b"\0", 0, position) + 1
    if packed.count(b"\0", 0, start) % 2:
        start = packed.rfind(b"\0", 0, start - 1) + 1
    return start


def _next_pair(packed: bytes, position: int) -> int:
    """Tell how far it is to the next place where a pair begins, or to the end."""
    # The NUL before a pair has to be common as well.
    separators = packed.count(b"\0", position)
    start = position
    while separators:
        start = packed.find(b"\0", start) + 1
        separators -= 1
        if separators % 2:
            return start - position
    return len(packed) - position


def _between(packed: bytes, start: int, cut: int) -> tuple[Input, ...]:
    """Unpack what is left without ``start`` bytes at the beginning and ``cut`` at the end."""
    # With the pairs at the end goes the NUL before them.
    end = len(packed) - cut - 1 if cut else len(packed)
    return _pairs(packed[start : max(start, end)])


def _pairs(joined: bytes) -> tuple[Input, ...]:
    if not joined:
        return ()
    texts = joined.decode("utf-8", "surrogateescape").split("\0")
    return tuple(zip(texts[::2], texts[1::2], strict=True))
