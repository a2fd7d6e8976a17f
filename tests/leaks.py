"""Where a text got to: looks for it, in every form that it may have taken, below a directory."""

from __future__ import annotations

import base64
import gzip
import hashlib
import os
import sqlite3
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote


def forms_of(secret: str, *pairs: str) -> dict[str, bytes]:
    """Give what a secret may look like; ``pairs`` are texts that it is sent in: `user:secret`."""
    plain = secret.encode()
    forms = {
        "plain": plain,
        "percent": quote(secret, safe="").encode(),
        "json": secret.encode("unicode_escape"),
        "hex": plain.hex().encode(),
        "digest": hashlib.sha256(plain).hexdigest().encode(),
        "digest with a line end": hashlib.sha256(plain + b"\n").hexdigest().encode(),
    }
    for number, text in enumerate((secret, *pairs)):
        # Without what depends on the text behind it.
        encoded = base64.b64encode(text.encode())[: len(text) * 4 // 3 - 4]
        forms[f"base64 {number}"] = encoded
    return forms


def holders(root: Path, secret: str, *pairs: str) -> list[str]:
    """List where below ``root`` a secret is: file names and contents, cells of databases.

    Compressed files and cells are looked into. That nothing is found proves nothing
    unless a text that is known to be there is found.
    """
    forms = forms_of(secret, *pairs)
    found = []
    for path in sorted(_files(root)):
        for place, content in _contents(path):
            found += [f"{place}: {form}" for form in _found(content, forms)]
    return found


def _files(root: Path) -> Iterator[Path]:
    for base, directories, names in os.walk(root):
        for name in (*directories, *names):
            yield Path(base) / name


def _contents(path: Path) -> Iterator[tuple[str, bytes]]:
    """Give what a file holds: as it is, and unpacked as far as it can be."""
    yield f"the name of {path}", os.fsencode(path.name)
    if path.is_symlink():
        yield f"the target of {path}", os.fsencode(path.readlink())
        return
    if not path.is_file():
        return
    content = path.read_bytes()
    yield str(path), content
    yield f"{path}, unpacked", _unpacked(content)
    if content.startswith(b"SQLite format 3\0"):
        yield from _cells(path)


def _cells(path: Path) -> Iterator[tuple[str, bytes]]:
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
        tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        for (table,) in tables.fetchall():
            for row in database.execute(f'SELECT * FROM "{table}"'):
                for cell in row:
                    data = cell if isinstance(cell, bytes) else str(cell).encode()
                    yield f"the table {table} of {path}", data + b"\0" + _unpacked(data)
    database.close()


def _unpacked(content: bytes) -> bytes:
    try:
        if content.startswith(b"\x1f\x8b"):
            return gzip.decompress(content)
        if content.startswith(b"\x78"):
            return zlib.decompress(content)
    except (OSError, EOFError, zlib.error):
        # It only began like one.
        pass
    return b""


def _found(content: bytes, forms: Mapping[str, bytes]) -> list[str]:
    return [name for name, form in forms.items() if form in content]
