"""Functions that encode, decode and hash."""

from __future__ import annotations

import base64
import csv
import hashlib
import uuid
from urllib.parse import quote_plus

from dissolver.bake.functions.table import NULLABLE, FunctionTable
from dissolver.bake.hcl.values import Value, ValueFault, from_json, to_json

TABLE = FunctionTable()
provide = TABLE.provide

_NAMESPACES = {
    "dns": uuid.NAMESPACE_DNS,
    "url": uuid.NAMESPACE_URL,
    "oid": uuid.NAMESPACE_OID,
    "x500": uuid.NAMESPACE_X500,
}


def _hashed(name: str) -> None:
    def digest(text: str) -> Value:
        return hashlib.new(name, text.encode(), usedforsecurity=False).hexdigest()

    provide(name, "text")(digest)


for _name in ("md5", "sha1", "sha256", "sha512"):
    _hashed(_name)


@provide("base64encode", "text")
def encode(text: str) -> Value:
    """Write a text in Base64."""
    return base64.b64encode(text.encode()).decode()


@provide("base64decode", "text")
def decode(text: str) -> Value:
    """Read Base64."""
    try:
        return base64.b64decode(text, validate=True).decode()
    except ValueError:
        raise ValueFault("this is no text in Base64") from None


@provide("urlencode", "text")
def encode_for_url(text: str) -> Value:
    """Write a text as the query of a URL may have it."""
    return quote_plus(text)


@provide("jsonencode", NULLABLE)
def encode_json(value: Value) -> Value:
    """Write a value as JSON."""
    written = to_json(value)
    for character in "<>&\u2028\u2029":
        written = written.replace(character, f"\\u{ord(character):04x}")
    return written


@provide("jsondecode", "text")
def decode_json(text: str) -> Value:
    """Read JSON."""
    return from_json(text)


@provide("csvdecode", "text")
def decode_csv(text: str) -> Value:
    """Read a table of comma-separated values, with the names of its columns at its top."""
    try:
        header, *rows = csv.reader(text.splitlines(), strict=True)
    except (csv.Error, ValueError):
        raise ValueFault("this is no table of comma-separated values") from None
    if len(set(header)) != len(header):
        raise ValueFault("two columns have the same name")
    found: list[Value] = []
    for number, row in enumerate((row for row in rows if row), 2):
        if len(row) != len(header):
            raise ValueFault(f"line {number} has {len(row)} values, not {len(header)}")
        found.append(dict(zip(header, row, strict=True)))
    return found


@provide("uuidv4")
def random_uuid() -> Value:
    """Make a random identifier."""
    return str(uuid.uuid4())


@provide("uuidv5", "text", "text")
def named_uuid(namespace: str, name: str) -> Value:
    """Make the identifier of a name."""
    try:
        space = _NAMESPACES.get(namespace) or uuid.UUID(namespace)
    except ValueError:
        raise ValueFault(f"`{namespace}` is no name space") from None
    return str(uuid.uuid5(space, name))
