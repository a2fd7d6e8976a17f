"""``image diff``: what differs between two images."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from dissolver.cli.invocation import current
from dissolver.cli.names import image_names
from dissolver.cli.render.cells import printable
from dissolver.cli.words import UsageSlip

if TYPE_CHECKING:
    from dissolver.engine.comparison import FileChange, FileFacts, ImageDifference
    from dissolver.image.compare import FieldChange

DIFFERENT = 1
"""The exit code for images that differ, as `diff` and `cmp` have it."""

_LETTERS = {"added": "A", "removed": "D", "changed": "C"}
_NAMES = {
    "kind": "type",
    "digest": "content",
    "link_target": "link",
    "mtime_ns": "time",
}
_SHOWN_CHARACTERS = 60
_DIGEST_CHARACTERS = len("blake3:") + 12


def diff(
    before: Annotated[str, Argument(metavar="IMAGE", autocompletion=image_names)],
    after: Annotated[str, Argument(metavar="IMAGE", autocompletion=image_names)],
    times: Annotated[
        bool, Option("--times", help="Compare modification times of files as well")
    ] = False,
    form: Annotated[
        str, Option("--format", metavar="FORMAT", help="Answer as text or json")
    ] = "text",
) -> int:
    """Show what differs between two images; exit with 1 if anything does."""
    if form not in ("text", "json"):
        raise UsageSlip(f"unknown format `{form}`", None, "it is `text` or `json`")
    found = current().engine.diff_images(before, after, times=times)
    if form == "json":
        sys.stdout.write(json.dumps(_document(found), indent=2) + "\n")
    else:
        sys.stdout.writelines(f"{line}\n" for line in _lines(found))
    return 0 if found.is_empty else DIFFERENT


def _lines(found: ImageDifference) -> Iterator[str]:
    parts: list[tuple[str, list[str]]] = [
        ("files", [_file_line(change) for change in found.files]),
        ("configuration", [_field_line(change) for change in found.config]),
        ("layers", [_field_line(change) for change in found.layers]),
        ("history", [_field_line(change) for change in found.history]),
    ]
    is_first = True
    for title, lines in parts:
        if not lines:
            continue
        if not is_first:
            yield ""
        is_first = False
        yield f"{title} ({len(lines)})"
        yield from lines


def _file_line(change: FileChange) -> str:
    path = printable(change.path)
    if change.before is None or change.after is None:
        there = change.after or change.before
        what = "" if there is None else f"  {_summary(there)}"
        return f"{_LETTERS[change.kind]} {path}{what}"
    facts = ", ".join(
        f"{_NAMES.get(name, name)} {_fact(name, change.before)} -> {_fact(name, change.after)}"
        for name in change.facts
    )
    return f"{_LETTERS[change.kind]} {path}  {facts}"


def _summary(facts: FileFacts) -> str:
    words = [facts.kind, f"{facts.mode:04o}", f"{facts.uid}:{facts.gid}"]
    if facts.kind == "file":
        words.append(f"{facts.size} bytes")
    if facts.link_target is not None:
        words.append(f"-> {printable(facts.link_target)}")
    return " ".join(words)


def _fact(name: str, facts: FileFacts) -> str:
    value = getattr(facts, name)
    if value is None:
        return "-"
    if name == "mode":
        return f"{value:04o}"
    if name == "digest":
        return str(value)[:_DIGEST_CHARACTERS]
    if name == "mtime_ns":
        from dissolver.image.timestamps import format_time

        return format_time(value)
    if name == "device":
        return ":".join(map(str, value))
    if name == "xattrs":
        return ",".join(f"{printable(key)}={text}" for key, text in value.items()) or "-"
    return printable(str(value))


def _field_line(change: FieldChange) -> str:
    return f"{printable(change.field)}: {_value(change.before)} -> {_value(change.after)}"


def _value(value: Any) -> str:
    if value is None:
        return "-"
    text = json.dumps(value, ensure_ascii=False)
    shown = text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 1]}…"
    return printable(shown)


def _document(found: ImageDifference) -> dict[str, Any]:
    def fields(changes: Sequence[FieldChange]) -> list[dict[str, Any]]:
        return [{"field": one.field, "before": one.before, "after": one.after} for one in changes]

    return {
        "before": found.before,
        "after": found.after,
        "files": [
            {
                "kind": one.kind,
                "path": one.path,
                "facts": list(one.facts),
                "before": _facts(one.before),
                "after": _facts(one.after),
            }
            for one in found.files
        ],
        "config": fields(found.config),
        "layers": fields(found.layers),
        "history": fields(found.history),
    }


def _facts(facts: FileFacts | None) -> dict[str, Any] | None:
    from dataclasses import asdict

    return None if facts is None else asdict(facts)
