"""Imports go one way: down the ranks of the architecture."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "python" / "dissolver"

RANKS = {
    "_core": -1,  # `errors` names its exception, and it imports nothing
    "errors": 0,
    "image": 1,
    "dockerfile": 2,
    "plan": 3,
    "store": 4,
    "registry": 5,
    "network": 5,
    "sandbox": 6,
    "intake": 5,
    "export": 5,
    "exchange": 6,
    "cache": 7,  # words for options that changed are in the table of `sandbox`
    "containers": 8,  # not for `build`: a step is no container
    "build": 8,
    "bake": 9,
    "config": 9,
    "engine": 10,
    "cli": 11,
    "__init__": 11,
    "__main__": 12,
}

# Rust: a crate may use those of a lower rank.
CRATES = {"sys": 0, "digest": 0, "tree": 1, "layer": 2, "sandbox": 2, "python": 3}


def _part(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def _imported_parts(path: Path) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            base = node.module or ""
            # `from dissolver import errors` names the part in the alias.
            names = (
                [f"dissolver.{alias.name}" for alias in node.names]
                if base == "dissolver"
                else [base]
            )
        for name in names:
            parts = name.split(".")
            if parts[0] == "dissolver":
                part = parts[1] if len(parts) > 1 else "__init__"
                found.append((node.lineno, part if part in RANKS else "__init__"))
    return found


MODULES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_only_go_down_the_ranks(path: Path) -> None:
    own = _part(path)
    assert own in RANKS, f"`{own}` has no rank: give it one here and in docs/architecture.md"
    for line, part in _imported_parts(path):
        if part == own:
            continue
        assert RANKS[part] < RANKS[own], (
            f"{path.relative_to(ROOT)}:{line}: `{own}` (rank {RANKS[own]}) "
            f"imports `{part}` (rank {RANKS[part]})"
        )


@pytest.mark.parametrize("crate", sorted(CRATES))
def test_crates_only_depend_on_lower_ones(crate: str) -> None:
    manifest = tomllib.loads((ROOT / "rust" / crate / "Cargo.toml").read_text(encoding="utf-8"))
    own = [name for name in manifest.get("dependencies", {}) if name.startswith("dissolver-")]
    for name in own:
        other = name.removeprefix("dissolver-")
        assert CRATES[other] < CRATES[crate], f"`{crate}` depends on `{other}`"


def test_the_climbing_import_would_be_seen(tmp_path: Path) -> None:
    probe = tmp_path / "probe.py"
    probe.write_text("from dissolver.cli import app\nimport dissolver.store.gc\n", encoding="utf-8")
    assert _imported_parts(probe) == [(1, "cli"), (2, "store")]
