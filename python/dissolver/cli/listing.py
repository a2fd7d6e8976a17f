"""Lists of things: as a table, as JSON, through a template, or their IDs only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from dissolver.cli.render.tables import table
from dissolver.cli.render.template_functions import to_json
from dissolver.cli.render.templates import compile_template, fields_of
from dissolver.cli.words import UsageSlip

Row: TypeAlias = Mapping[str, str]


def listed(
    rows: Sequence[Row], columns: Mapping[str, str], form: str | None, titles: Mapping[str, str]
) -> str:
    """Write rows in the form that ``--format`` asks for.

    ``columns`` maps the fields of the plain table to their headings, ``titles``
    all fields. ``form`` is a template, ``table``, ``table TEMPLATE`` or ``json``.
    """
    if form is None or form == "table":
        return table(list(columns.values()), [[row[name] for name in columns] for row in rows])
    if form == "json":
        return "".join(to_json(dict(sorted(row.items()))) + "\n" for row in rows)
    if form.startswith("table "):
        return _template_table(rows, form.removeprefix("table "), titles)
    render = compile_template(form)
    return "".join(render(dict(row)) + "\n" for row in rows)


def _template_table(rows: Sequence[Row], template: str, titles: Mapping[str, str]) -> str:
    render = compile_template(template)
    fields = {name: titles.get(name, name.upper()) for name in fields_of(template)}
    header = render({**titles, **fields}).split("\t")
    return table(header, [render(dict(row)).split("\t") for row in rows])


def read_filters(words: Sequence[str] | None, known: Sequence[str]) -> dict[str, list[str]]:
    """Read ``--filter KEY=VALUE`` words; values of one key are alternatives."""
    filters: dict[str, list[str]] = {}
    for word in words or ():
        key, equals, value = word.partition("=")
        if key not in known or not equals:
            keys = ", ".join(f"`{name}=…`" for name in known)
            raise UsageSlip(f"unknown filter `{word}`", None, f"the filters are {keys}")
        filters.setdefault(key, []).append(value)
    return filters


def has_label(labels: Mapping[str, str], text: str) -> bool:
    """Tell whether there is the label that ``NAME`` or ``NAME=VALUE`` asks for."""
    key, equals, value = text.partition("=")
    return key in labels and (not equals or labels[key] == value)
