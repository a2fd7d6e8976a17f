"""Attributes that are lists of small records: caches, outputs, secrets, agents, attestations.

Each is written as an object, or as a line of comma-separated ``key=value`` fields, as the
flags of a build have it. Here they are objects in the order in which they are shown.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from typing import TypeAlias

from dissolver.bake.hcl.values import Value, ValueFault, kind_of, to_list, to_text

Entry: TypeAlias = "dict[str, str | list[str] | bool]"


def _cut(line: str) -> list[str]:
    try:
        (row,) = csv.reader([line], strict=True)
    except (csv.Error, ValueError):
        raise ValueFault(f"`{line}` cannot be cut at its commas") from None
    return row


def _fields(line: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    for field in _cut(line):
        key, equals, value = field.partition("=")
        if not equals:
            raise ValueFault(f"`{field}` has to be `key=value`")
        fields[key.strip().lower()] = value
    return fields


def _texts(given: Mapping[str, Value]) -> dict[str, str]:
    return {key: to_text(value) for key, value in given.items() if value is not None}


def _typed(fields: Mapping[str, str], what: str) -> Entry:
    if not fields.get("type"):
        raise ValueFault(f"{what} needs a `type`")
    return {key: fields[key] for key in sorted(fields)}


def _cache(given: Value) -> list[Entry]:
    if isinstance(given, dict):
        return [_typed(_texts(given), "a cache")]
    line = to_text(given)
    if "=" not in line:
        return [{"ref": reference, "type": "registry"} for reference in _cut(line)]
    return [_typed(_fields(line), "a cache")]


def _output(given: Value) -> list[Entry]:
    if isinstance(given, dict):
        return [_typed(_texts(given), "an output")]
    line = to_text(given)
    if line == "-":
        return [{"dest": "-", "type": "tar"}]
    if "=" not in line and len(_cut(line)) == 1:
        return [{"dest": line, "type": "local"}]
    return [_typed(_fields(line), "an output")]


def _secret(given: Value) -> list[Entry]:
    fields = _texts(given) if isinstance(given, dict) else _fields(to_text(given))
    kind = fields.pop("type", "")
    if "source" in fields:
        fields["src"] = fields.pop("source")
    unknown = sorted(fields.keys() - {"id", "src", "env"})
    if unknown:
        raise ValueFault(f"a secret has no `{unknown[0]}`; it has `id`, `src`, `env` and `type`")
    if kind not in ("", "file", "env"):
        raise ValueFault(f"a secret is of the type `file` or `env`, not `{kind}`")
    if kind == "env" and not fields.get("env") and fields.get("src"):
        fields["env"] = fields.pop("src")
    entry: Entry = {key: fields[key] for key in ("id", "src", "env") if fields.get(key)}
    if kind == "env" and "env" not in entry:
        entry["env"] = fields.get("id", "")
    return [entry]


def _agent(given: Value) -> list[Entry]:
    if isinstance(given, dict):
        unknown = sorted(given.keys() - {"id", "paths"})
        if unknown:
            raise ValueFault(f"an agent has no `{unknown[0]}`; it has `id` and `paths`")
        paths = [to_text(path) for path in to_list(given.get("paths") or [])]
        identity = to_text(given.get("id") or "default")
    else:
        identity, _, rest = to_text(given).partition("=")
        paths = [path for path in rest.split(",") if path]
    return [{"id": identity, **({"paths": paths} if paths else {})}]


def _attestation(given: Value) -> list[Entry]:
    fields = _texts(given) if isinstance(given, dict) else _fields(to_text(given))
    entry = _typed(fields, "an attestation")
    if entry.get("disabled") in ("true", "false"):
        entry["disabled"] = entry["disabled"] == "true"
        if not entry["disabled"]:
            del entry["disabled"]
    return [entry]


_READERS: Mapping[str, Callable[[Value], list[Entry]]] = {
    "attest": _attestation,
    "cache-from": _cache,
    "cache-to": _cache,
    "output": _output,
    "secret": _secret,
    "ssh": _agent,
}


def read_entries(attribute: str, given: Value) -> list[Entry]:
    """Read the records of an attribute; empty texts and nulls are none.

    Raises:
        ValueFault: one does not say what it has to.
    """
    items = to_list(given)
    found: list[Entry] = []
    for item in items:
        if item is None or item == "":
            continue
        if not isinstance(item, str | dict):
            raise ValueFault(f"a text or an object is needed here, not {kind_of(item)}")
        found += _READERS[attribute](item)
    return merged_attestations([], found) if attribute == "attest" else found


def without_doubles(entries: list[Entry]) -> list[Entry]:
    """Leave out what is there twice."""
    found: list[Entry] = []
    for entry in entries:
        if entry not in found:
            found.append(entry)
    return found


def merged_attestations(first: list[Entry], second: list[Entry]) -> list[Entry]:
    """Put attestations together; of each type, the last one counts."""
    by_type = {str(entry["type"]): entry for entry in [*first, *second]}
    return list(by_type.values())
