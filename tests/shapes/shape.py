"""A shape: a Dockerfile, a context, what to do with them, and what comes of it, as text."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
import tomllib
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scene import Account

HERE = Path(__file__).parent
SHOWN_BYTES = 400
"""A longer file is told by its length alone."""


@dataclass
class Workshop:
    """A process of an account that builds and runs on a store of its own."""

    account: Account
    process: subprocess.Popen[str]
    bases: Path
    made: dict[str, list[str]]

    def ask(self, do: str, **what: object) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"do": do, **what}) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        assert "error" not in answer, answer["error"]
        return answer

    def need(self, bases: Mapping[str, str]) -> None:
        """Make the stand-ins for images that are not there by now."""
        for name, stage in bases.items():
            if name not in self.made:
                built = self.ask("build", context=str(self.bases), tags=[name], target=stage)
                self.made[name] = built["history"]


@dataclass
class Shape:
    """What a directory of ``tests/shapes`` says."""

    directory: Path

    def __post_init__(self) -> None:
        self.says = tomllib.loads((self.directory / "shape.toml").read_text())

    @property
    def expected(self) -> Path:
        return self.directory / "expected.txt"

    def lay_out(self, account: Account) -> Path:
        """Copy Dockerfile and context to where the account builds; modes are those of the index."""
        site = account.home / f"{self.directory.name}-{uuid.uuid4().hex[:8]}"
        site.mkdir()
        shutil.copy(self.directory / "Dockerfile", site / "Dockerfile")
        for source in self.directory.iterdir():
            if source.is_dir():
                end = "" if source.name == "context" else f"-{source.name}"
                shutil.copytree(source, f"{site}{end}", symlinks=True, dirs_exist_ok=True)
        for path in site.parent.glob(f"{site.name}*"):
            settle_modes(path)
            account.own(path)
        return site

    def order(self, site: Path, tag: str) -> dict[str, Any]:
        """Say what to ask of a build of the context at ``site``."""
        contexts = {
            name: where if "://" in where else f"{site}-{where}"
            for name, where in self.says.get("contexts", {}).items()
        }
        return {
            "context": str(site),
            "contexts": contexts,
            "tags": [tag],
            "target": self.says.get("target"),
            "args": self.says.get("args", {}),
            "secrets": self.says.get("secrets", {}),
        }

    def change(self, site: Path, change: Mapping[str, str]) -> None:
        """Replace a text in one file; the text must be there, once."""
        path = Path(f"{site}-{change['in']}" if "in" in change else site) / change["file"]
        text = path.read_text()
        assert text.count(change["old"]) == 1, f"{path}: {change['old']}"
        path.write_text(text.replace(change["old"], change["new"]))


def settle_modes(top: Path) -> None:
    for path in (top, *top.rglob("*")):
        if not path.is_symlink():
            is_program = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(0o755 if is_program else 0o644)


# What is told --------------------------------------------------------------------------


def told_image(built: Mapping[str, Any], bases: Iterable[list[str]]) -> Iterator[str]:
    """Tell the configuration of an image, and how it came about on top of its base."""
    yield "configuration"
    for name, value in built["config"].items():
        if name in ("entrypoint", "command", "shell", "health"):
            value = [json.dumps(value)] if value else []
        for text in [value] if isinstance(value, str) else value:
            if text:
                yield f"  {name:<12}{text}"
    yield "history"
    history = built["history"]
    below = max(len(base) for base in (*bases, []) if history[: len(base)] == base)
    for is_empty, text in history[below:]:
        yield f"  {'-' if is_empty else '+'} {text}"


def told_tree(archive: Path, tops: Sequence[str]) -> Iterator[str]:
    """Tell what lies below some paths of a root file system: mode, owner, content."""
    with tarfile.open(archive) as tar:
        found = {f"/{entry.name.strip('./')}": entry for entry in tar}
        for top in tops:
            yield f"tree {top}"
            for path in sorted(found):
                is_below = path == top or path.startswith(top.rstrip("/") + "/")
                if is_below and path != "/":
                    yield f"  {_told_entry(tar, found[path], path)}"


def _told_entry(tar: tarfile.TarFile, entry: tarfile.TarInfo, path: str) -> str:
    head = f"{entry.mode:04o} {entry.uid}:{entry.gid} {path}"
    if entry.issym():
        return f"{head} -> {entry.linkname}"
    file = tar.extractfile(entry)
    if file is None:
        return f"{head}/"
    content = file.read()
    if len(content) > SHOWN_BYTES:
        return f"{head} ({len(content)} bytes)"
    return f"{head} {json.dumps(content.decode())}"


def told_steps(steps: Sequence[tuple[str, bool]]) -> Iterator[str]:
    for name, is_cached in steps:
        yield f"  {'CACHED' if is_cached else 'RAN   '} {name}"


def told_run(command: Sequence[str], done: Mapping[str, Any]) -> str:
    lines = [" ".join(("run", *command)), *done["said"].splitlines()]
    if done["code"]:
        lines.append(f"(exit code {done['code']})")
    return "\n  ".join(lines)
