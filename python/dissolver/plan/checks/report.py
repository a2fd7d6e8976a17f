"""Findings in words: the text and the JSON of ``--check``."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import msgspec

from dissolver.dockerfile.source import Source, show
from dissolver.errors import DissolverError, DockerfileErrors, Where
from dissolver.plan.checks.findings import Edit, Finding

RULE = "-" * 20
AROUND_LINE, AROUND_RANGE = 2, 1
"""Lines that are shown above and below one line, and a range of lines: BuildKit's numbers."""


def summary(count: int) -> str:
    """Return the first line of a report."""
    if count == 0:
        return "Check complete, no warnings found."
    if count == 1:
        return "Check complete, 1 warning has been found!"
    return f"Check complete, {count} warnings have been found!"


def as_text(findings: Sequence[Finding], source: Source) -> str:
    """Word findings as ``docker build --check`` does; the text ends with a line end."""
    text = summary(len(findings)) + "\n"
    for finding in findings:
        url = f" - {finding.rule.url}" if finding.rule.url else ""
        text += f"\nWARNING: {finding.rule.name}{url}\n{finding.message}\n"
        text += source_frame(finding.where, source)
    return text


def source_frame(where: Where, source: Source) -> str:
    """Show lines of a file with those around them, the ones that are meant marked."""
    last = min(where.end_line, len(source.lines))
    around = AROUND_LINE if where.line == last else AROUND_RANGE
    # BuildKit shows the empty line behind the last one as well.
    lines = [*source.lines, ""]
    text = f"{where.file}:{where.line}\n{RULE}\n"
    for number in range(max(1, where.line - around), min(len(lines), last + around) + 1):
        mark = ">>>" if where.line <= number <= last else "   "
        text += f" {number:3} | {mark} {show(lines[number - 1].rstrip(chr(13)))}".rstrip() + "\n"
    return text + f"{RULE}\n"


def as_json(
    findings: Sequence[Finding], source: Source, error: DissolverError | None = None
) -> str:
    """Write findings as ``--call=check,format=json`` does; the text ends with a line end.

    Beyond BuildKit's fields, ``fix`` holds the changes that take a finding away, and
    ``buildErrors`` all mistakes where there are several.
    """
    document: dict[str, Any] = {
        "warnings": [_warning(finding) for finding in findings],
        "sources": [_source(source)],
    }
    if error is not None:
        errors = error.errors if isinstance(error, DockerfileErrors) else (error,)
        document["buildError"] = _mistake(errors[0])
        if len(errors) > 1:
            document["buildErrors"] = [_mistake(each) for each in errors]
    return dumped(document)


def _mistake(error: DissolverError) -> dict[str, Any]:
    mistake: dict[str, Any] = {"message": error.message}
    if error.where is not None:
        mistake["location"] = _location(error.where)
    if error.hint:
        mistake["hint"] = error.hint
    return mistake


def dumped(document: dict[str, Any]) -> str:
    """Write a document as people read it, with a line end."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def _warning(finding: Finding) -> dict[str, Any]:
    warning: dict[str, Any] = {
        "ruleName": finding.rule.name,
        "description": finding.rule.description,
        "url": finding.rule.url,
        "detail": finding.message,
        "location": _location(finding.where),
    }
    if not finding.rule.url:
        del warning["url"]
    if finding.fix:
        warning["fix"] = [_edit(edit) for edit in finding.fix]
    return warning


def _location(where: Where) -> dict[str, Any]:
    return {"ranges": [{"start": {"line": where.line}, "end": {"line": where.end_line}}]}


def _edit(edit: Edit) -> dict[str, Any]:
    return {
        "start": {"line": edit.line, "character": edit.column},
        "end": {"line": edit.end_line, "character": edit.end_column},
        "text": edit.text,
    }


def _source(source: Source) -> dict[str, Any]:
    text = "".join(f"{line}\n" for line in source.lines)
    data = base64.b64encode(text.encode(errors="surrogateescape")).decode()
    return {"filename": source.name, "language": "Dockerfile", "data": data}
