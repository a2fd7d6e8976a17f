"""The examples of docs/api.md, run in their order as the page promises."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "api.md"
BLOCK = re.compile(r"^```(?P<info>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


ELSEWHERE = ("network", "registry", "hub")
"""What needs a mirror, a registry (`tests/registry` has one), or a search on the default one."""


def blocks() -> list[tuple[int, str, str]]:
    """List the page's blocks: the line of their first, what they are, and their text."""
    page = PAGE.read_text(encoding="utf-8")
    return [
        (page.count("\n", 0, found.start()) + 2, found["info"], found["text"])
        for found in BLOCK.finditer(page)
    ]


def test_every_public_method_has_an_example() -> None:
    from dissolver import Engine
    from dissolver.engine.distribution import Distribution

    code = "".join(text for _, info, text in blocks() if info.startswith("python"))
    parts = {**vars(Engine), **vars(Distribution)}
    methods = [name for name, value in parts.items() if callable(value) and name[0] != "_"]
    assert [name for name in methods if f".{name}(" not in code] == []


def run_blocks(directory: Path, busybox_tar: Path) -> int:
    shutil.copy(busybox_tar, directory / "rootfs.tar")
    names: dict[str, object] = {}
    count = 0
    for line, info, text in blocks():
        kind, _, rest = info.partition(" ")
        if rest.startswith("file="):
            path = directory / rest.removeprefix("file=")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        if kind == "python" and rest not in ELSEWHERE:
            # Line ends in front make a failure name the line of the page.
            exec(compile("\n" * (line - 1) + text, str(PAGE), "exec"), names)
            count += 1
    return count


def test_the_examples_run(
    tmp_path: Path, busybox_tar: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DISSOLVER_ROOT", str(tmp_path / "store"))
    assert run_blocks(tmp_path, busybox_tar) == 30


@pytest.mark.network
@pytest.mark.slow
def test_the_examples_that_need_a_mirror_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dissolver import Engine

    monkeypatch.setenv("DISSOLVER_ROOT", str(tmp_path / "store"))
    for _, info, text in blocks():
        if info == "python network":
            with Engine() as engine:
                exec(text, {"engine": engine})
