"""Bake files as people and programs look at them: ``--print`` and ``--list``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dissolver.bake.selection import Selection
    from dissolver.bake.target import Definition, Group, Target

_TEMPLATES = ("annotations", "dockerfile-inline", "labels", "args", "extra-hosts")
"""Attributes whose texts may have ``${``, which a bake file would fill in."""


def selection_json(selection: Selection) -> str:
    """Write what would be built, as ``docker buildx bake --print`` does.

    It is a bake file itself.
    """
    groups = {name: _group(selection.groups[name]) for name in sorted(selection.groups)}
    targets = {name: _target(selection.targets[name]) for name in sorted(selection.targets)}
    whole: dict[str, Any] = {"group": groups} if groups else {}
    return _written({**whole, "target": targets})


def _written(value: object) -> str:
    text = json.dumps(value, indent=2, ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text + "\n"


def _group(group: Group) -> dict[str, Any]:
    shown: dict[str, Any] = {"description": group.description} if group.description else {}
    return {**shown, "targets": list(group.targets)}


def _target(target: Target) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for name, setting in target.settings.items():
        content: Any = setting.content
        if isinstance(content, dict):
            content = {key: content[key] for key in sorted(content)}
        shown[name] = _escaped(content) if name in _TEMPLATES else content
    return shown


def _escaped(content: Any) -> Any:
    if isinstance(content, str):
        return content.replace("${", "$${").replace("%{", "%%{")
    if isinstance(content, list):
        return [_escaped(item) for item in content]
    if isinstance(content, dict):
        return {key: _escaped(item) for key, item in content.items()}
    return content


def targets_text(definition: Definition) -> str:
    """List groups and targets with what their files say of them."""
    rows = [("TARGET", "DESCRIPTION")]
    for name in _names(definition):
        group = definition.groups.get(name)
        if group is not None:
            rows.append((name, group.description or ", ".join(group.targets)))
        else:
            rows.append((name, definition.targets[name].text("description") or ""))
    return _table(rows)


def targets_json(definition: Definition) -> str:
    """List groups and targets for programs."""
    rows: list[dict[str, Any]] = []
    for name in _names(definition):
        group = definition.groups.get(name)
        if group is not None:
            row = {"name": name, "description": group.description, "group": True}
            rows.append({**row, "targets": list(group.targets)})
        else:
            description = definition.targets[name].text("description") or ""
            rows.append({"name": name, "description": description, "group": False})
    return _written(rows)


def _names(definition: Definition) -> list[str]:
    """Name groups and targets in order, but ``default`` first; those with ``_`` are internal."""
    names = {*definition.groups, *definition.targets}
    shown = [name for name in names if not name.startswith("_")]
    return sorted(shown, key=lambda name: (name != "default", name))


def variables_text(definition: Definition) -> str:
    """List the variables with their values."""
    rows = [("VARIABLE", "TYPE", "VALUE", "DESCRIPTION")]
    rows += [
        (row.name, row.type, "<null>" if row.value is None else row.value, row.description)
        for row in sorted(definition.variables, key=lambda row: row.name)
    ]
    return _table(rows)


def variables_json(definition: Definition) -> str:
    """List the variables for programs."""
    rows = [
        {"name": row.name, "type": row.type, "value": row.value, "description": row.description}
        for row in sorted(definition.variables, key=lambda row: row.name)
    ]
    return _written(rows)


def _table(rows: Sequence[Sequence[str]]) -> str:
    shown = [[cell.replace("\n", " ") for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    lines = (
        "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in shown
    )
    return "".join(f"{line}\n" for line in lines)
