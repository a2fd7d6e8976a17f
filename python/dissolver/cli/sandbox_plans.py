"""What ``--debug`` adds: the operations that make up each sandbox, in words.

The engine works without knowing that anybody looks on: RUN steps are told as
they start, and a container's plan is read from its directory, where its
supervisor found it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from dissolver._core import sandbox
from dissolver.cli.render.cells import printable

if TYPE_CHECKING:
    from dissolver._core.sandbox import Process


def tell_plans_of_steps() -> None:
    """Print the plan of every sandbox that this process starts from now on."""
    start = sandbox.start

    def told(spec: bytes, *, stdin: int | None, stdout: int | None, stderr: int | None) -> Process:
        _tell(spec)
        return start(spec, stdin=stdin, stdout=stdout, stderr=stderr)

    vars(sandbox)["start"] = told


def tell_plan_of_container(root: Path, container: str) -> None:
    """Print the plan of a container that was started; nothing if it is gone already."""
    try:
        spec = (root / "containers" / container / "spec.json").read_bytes()
    except FileNotFoundError:
        return
    _tell(spec)


def _tell(spec: bytes) -> None:
    sys.stderr.write(plan_text(sandbox.describe(spec)))
    sys.stderr.flush()


def plan_text(operations: list[str]) -> str:
    """Number the operations of a sandbox, one a line."""
    lines = [f"  {number:>2}  {printable(text)}\n" for number, text in enumerate(operations, 1)]
    return "".join([f"sandbox: {len(operations)} operations\n", *lines])
