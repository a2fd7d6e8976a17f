"""Digests: the names of contents."""

from __future__ import annotations

import hashlib
import re
from typing import NewType

from dissolver.errors import BadDigest

Digest = NewType("Digest", str)
"""A checked ``algorithm:hex`` text, lower case, such as ``sha256:9f86…``."""

HEX_LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128}
"""Registered algorithms of the OCI image specification and the length of their values."""

SHORT_DIGITS = 12
"""How many hexadecimal digits people see: Docker's short form."""

_HEX = re.compile(r"[0-9a-f]+", re.ASCII)


def parse_digest(text: str) -> Digest:
    """Check that ``text`` is a digest and return it as one.

    Raises:
        BadDigest: the algorithm is unknown, or the value has the wrong length or digits.
    """
    algorithm, colon, value = text.partition(":")
    length = HEX_LENGTHS.get(algorithm)
    if not colon or length is None:
        raise BadDigest(
            f"`{text}` is not a digest", hint="a digest reads `sha256:` and 64 hexadecimal digits"
        )
    if len(value) != length:
        raise BadDigest(
            f"the digest `{text}` has {len(value)} digits, and `{algorithm}` needs {length}"
        )
    if _HEX.fullmatch(value) is None:
        raise BadDigest(
            f"the digest `{text}` has characters that are not hexadecimal",
            hint="the digits are `0` to `9` and `a` to `f`, in lower case",
        )
    return Digest(text)


def digest_of(content: bytes, algorithm: str = "sha256") -> Digest:
    """Derive the digest of ``content``; ``algorithm`` is one of `HEX_LENGTHS`."""
    return Digest(f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}")


def short(digest: str) -> str:
    """Return the first twelve digits of ``digest``, without its algorithm."""
    return digest.partition(":")[2][:SHORT_DIGITS] if ":" in digest else digest[:SHORT_DIGITS]
