"""Named inputs: what a key is made of, one by one, so that a difference has a name.

A name reads like a path: its first part says what kind of input it is.

| name | value |
| --- | --- |
| ``command`` | the arguments, as JSON |
| ``env.PATH`` | the variable's value |
| ``file.NAME`` | digest of a file that the Dockerfile holds |
| ``user``, ``workdir``, ``network`` | as text |
| ``parent.0``… | diff IDs of the layers below, bottom first |
| ``destination`` | where a COPY puts things, as a path |
| ``directory/srv`` | metadata of a directory on the way there |
| ``context/src/a.py`` | mode and digest of a file of the context |
| ``from/src/a.py`` | the same of a stage or an image |
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Input = tuple[str, str]
"""A name and its value."""


@dataclass(frozen=True, slots=True)
class CacheKey:
    """What a step's result is found by; ``inputs`` say what it was derived from."""

    digest: str
    inputs: Sequence[Input]


def digest_inputs(kind: str, version: int, inputs: Iterable[Input]) -> str:
    """Hash named inputs, in their order, to a ``sha256:…`` text.

    Every text is preceded by its length, so no two different lists give the same
    bytes. The layout is part of the store's format: docs/cache-keys.md draws it.
    """
    state = hashlib.sha256()
    _feed(state, f"dissolver-key-{version}")
    _feed(state, kind)
    for name, value in inputs:
        _feed(state, name)
        _feed(state, value)
    return f"sha256:{state.hexdigest()}"


def _feed(state: hashlib._Hash, text: str) -> None:
    # A name may come from a file system, where anything is allowed.
    encoded = text.encode("utf-8", "surrogateescape")
    state.update(len(encoded).to_bytes(8, "little"))
    state.update(encoded)


def short_digest(text: str) -> str:
    """Shorten a text that would be long to keep to 16 hexadecimal digits of its SHA-256."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]
