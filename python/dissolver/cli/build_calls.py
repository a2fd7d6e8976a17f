"""``build --check``, ``--call`` and ``--plan``: questions about a Dockerfile, answered in words."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dissolver.cli.words import UsageSlip
from dissolver.errors import DissolverError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dissolver.build.inquiry import CheckReport, FixReport
    from dissolver.engine import Engine

METHODS = ("build", "check", "lint", "outline", "targets")
FORMATS = ("text", "json")


@dataclass(frozen=True)
class Call:
    """What is asked: a method, and whether the answer is for people or programs.

    ``fixes`` has a check rewrite what it can.
    """

    method: str
    is_json: bool = False
    fixes: bool = False


@dataclass(frozen=True)
class Subject:
    """Which Dockerfile it is about, in the words of ``build``."""

    context: str
    dockerfile: str | None
    dockerfile_text: str | None
    target: str | None
    build_args: Mapping[str, str]
    contexts: Mapping[str, str]
    platform: str | None

    def words(self) -> dict[str, Any]:
        """Return the arguments that every question takes."""
        return {
            "dockerfile": self.dockerfile,
            "dockerfile_text": self.dockerfile_text,
            "target": self.target,
            "build_args": self.build_args,
            "contexts": self.contexts,
            "platform": self.platform,
        }


def read_call(
    *, call: str | None, check: bool, fix: bool, plan: bool, format_: str | None
) -> Call | None:
    """Read which question is asked; nothing if the words ask for a build.

    Raises:
        UsageSlip: the words do not go together, or name no method.
    """
    method, format_of_call = _method(call)
    asked = [name for name, is_asked in (("check", check), ("plan", plan)) if is_asked]
    if method is not None:
        asked.append(method)
    if len(set(asked)) > 1:
        raise UsageSlip("`--check`, `--plan` and `--call` ask different questions", None)
    name = asked[0] if asked else "build"
    if fix and name != "check":
        raise UsageSlip("`--fix` goes with `--check`", None, "use `--check --fix`")
    chosen = format_ or format_of_call or "text"
    if chosen not in FORMATS:
        raise UsageSlip(f"unknown format `{chosen}`", None, "it is `text` or `json`")
    if format_ is not None and name in ("build", "plan"):
        raise UsageSlip("`--format` goes with `--check` or `--call`", None)
    if name == "build":
        return None
    return Call(name, is_json=chosen == "json", fixes=fix)


def _method(call: str | None) -> tuple[str | None, str | None]:
    """Cut ``check,format=json`` up."""
    if call is None:
        return None, None
    name, *options = call.split(",")
    if name not in METHODS:
        listed = ", ".join(f"`{method}`" for method in METHODS if method != "lint")
        raise UsageSlip(f"unknown method `{name}` in `--call`", None, f"the methods are {listed}")
    chosen: str | None = None
    for option in options:
        key, _, value = option.partition("=")
        if key != "format":
            raise UsageSlip(f"unknown option `{option}` in `--call`", None, "it is `format=json`")
        chosen = value
    # The older name of the method, which tools still use.
    return "check" if name == "lint" else name, chosen


def answer(engine: Engine, call: Call, subject: Subject) -> int:
    """Answer on standard output; the exit code is 1 if a check found something.

    Raises:
        DockerfileError: a mistake in the Dockerfile.
    """
    match call.method:
        case "plan":
            sys.stdout.write(engine.plan(subject.context, **subject.words()))
        case "outline":
            from dissolver.plan.outline import outline_json, outline_text

            outline = engine.outline(subject.context, **subject.words())
            sys.stdout.write(outline_json(outline) if call.is_json else outline_text(outline))
        case "targets":
            from dissolver.plan.outline import targets_json, targets_text

            text = {"dockerfile": subject.dockerfile, "dockerfile_text": subject.dockerfile_text}
            targets = engine.targets(subject.context, **text)
            sys.stdout.write(targets_json(targets) if call.is_json else targets_text(targets))
        case _:
            return _check(engine, call, subject)
    return 0


def _check(engine: Engine, call: Call, subject: Subject) -> int:
    if not call.fixes:
        return _tell(engine.check_dockerfile(subject.context, **subject.words()), call)
    report = engine.fix_dockerfile(subject.context, **subject.words())
    if report.diff and report.left.path is not None:
        _write(report, Path(report.left.path))
    if not call.is_json:
        sys.stdout.write(report.diff + ("\n" if report.diff else ""))
        if report.fixed:
            count = len(report.fixed)
            sys.stdout.write(f"{count} warning{'' if count == 1 else 's'} fixed\n")
    return _tell(report.left, call)


def _write(report: FixReport, path: Path) -> None:
    """Put the new text into the file, which stays the same one: links and modes remain."""
    try:
        with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            file.write(report.after)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise DissolverError(f"cannot write `{path}`: {why}") from error


def _tell(report: CheckReport, call: Call) -> int:
    from dissolver.dockerfile.source import read_source
    from dissolver.plan.checks.report import as_json, as_text

    source = read_source(report.text, report.name)
    if call.is_json:
        sys.stdout.write(as_json(report.findings, source, report.error))
    else:
        if report.findings or report.error is None:
            sys.stdout.write(as_text(report.findings, source))
        if report.error is not None:
            raise report.error
    return 1 if report.findings or report.error is not None else 0
