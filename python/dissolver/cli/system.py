"""``info``, ``version``, ``system check`` and ``layer cat``: the machinery itself."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from dissolver.cli.invocation import current
from dissolver.cli.render.templates import compile_template
from dissolver.cli.words import UsageSlip

if TYPE_CHECKING:
    from dissolver.engine.results import Info

Form = Annotated[str | None, Option("-f", "--format", metavar="FORM", help="json, or a template")]


def version_line() -> str:
    """Give the name and version, as ``--version`` prints them."""
    from dissolver import _core

    return f"dissolver {_core.version}\n"


def version(form: Form = None) -> None:
    """Show the version, and what it runs on."""
    import platform

    from dissolver import _core

    facts = {
        "Version": _core.version,
        "Python": platform.python_version(),
        "Os": platform.system().lower(),
        "Arch": platform.machine(),
        "Kernel": platform.release(),
    }
    if form is not None:
        template = "{{json .}}" if form == "json" else form
        sys.stdout.write(compile_template(template)(facts) + "\n")
        return
    lines = [f" {name + ':':<10}{value}\n" for name, value in facts.items()]
    sys.stdout.write("".join(["dissolver\n", *lines]))


def info(form: Form = None) -> None:
    """Show where things lie and what the kernel offers."""
    found = current().engine.info()
    if form is not None:
        template = "{{json .}}" if form == "json" else form
        sys.stdout.write(compile_template(template)(info_fields(found)) + "\n")
        return
    sys.stdout.write(info_text(found))


def info_fields(found: Info) -> dict[str, object]:
    """Name the facts as templates and JSON do."""
    return {
        "Version": found.version,
        "Root": found.root,
        "Run": found.run,
        "Rootless": found.is_rootless,
        "Kernel": found.kernel,
        "Architecture": found.architecture,
        "Images": found.images,
        "Containers": found.containers,
        "ContainersRunning": found.containers_running,
        "Features": dict(found.features),
    }


def info_text(found: Info) -> str:
    """Lay out the facts, one line each."""
    lines = [
        ("Version", found.version),
        ("Root", found.root),
        ("Run", found.run),
        ("Rootless", "yes" if found.is_rootless else "no"),
        ("Kernel", found.kernel),
        ("Architecture", found.architecture),
        ("Images", str(found.images)),
        ("Containers", f"{found.containers} ({found.containers_running} running)"),
    ]
    text = "".join(f"{name}: {value}\n" for name, value in lines) + "Features:\n"
    for name, reason in sorted(found.features.items()):
        text += f"  {name}: {f'no, {reason}' if reason else 'yes'}\n"
    return text


def check() -> int:
    """Verify everything in the store; 1 when something is wrong, which leftovers are not."""
    findings = current().engine.check()
    is_wrong = any(finding.kind != "leftover" for finding in findings)
    lines = [f"{finding.message}\n" for finding in findings]
    sys.stdout.write("".join(lines if is_wrong else [*lines, "no problems found\n"]))
    return 1 if is_wrong else 0


def layer_cat(layer: Annotated[str, Argument(metavar="LAYER")]) -> None:
    """Write a layer's tar to standard output."""
    if sys.stdout.isatty():
        raise UsageSlip(
            "a tar does not belong on a terminal", None, "send it on: `… | tar -t` or `… > FILE`"
        )
    sys.stdout.flush()
    current().engine.layer_cat(layer, sys.stdout.fileno())
