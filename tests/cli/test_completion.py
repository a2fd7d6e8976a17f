"""What the tab key gives: words of commands, options, and names that there are."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pexpect
import pytest

from dissolver.engine.results import ListedVolume
from dissolver.image.reference import parse_reference

BREAKS = " \t\n\"'><=;|&(:"


@pytest.fixture
def asks(line: Any) -> Any:
    """Ask as bash does; answer the words, and `file` where files are meant."""
    names = [parse_reference(name) for name in ("goals:v2", "goals:latest", "ghcr.io/a/tool:1")]
    line.engine.answers["images"] = [SimpleNamespace(references=names)]
    line.engine.answers["containers"] = lambda all_: [
        SimpleNamespace(name=name) for name in (["web", "db"] if all_ else ["web"])
    ]
    line.engine.answers["volumes"] = [ListedVolume("data", "/v/data")]

    def ask(text: str, breaks: str = BREAKS) -> list[str]:
        done = line("__complete", text, breaks)
        assert done.err == ""
        kinds = [row.partition(",") for row in done.out.splitlines()]
        return [value if kind == "plain" else kind for kind, _, value in kinds]

    return ask


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dissolver im", ["image", "images", "import"]),
        ("dissolver image pr", ["prune"]),
        ("dissolver image ls --no", ["--no-trunc"]),
        ("dissolver run --rm g", ["ghcr.io/a/tool:1", "goals", "goals:latest", "goals:v2"]),
        ("dissolver rmi goals:v2 goals:", ["latest", "v2"]),
        ("dissolver run --name x goals:v", ["v2"]),
        ("dissolver stop w", ["web"]),
        ("dissolver container rm ", ["db", "web"]),
        ("dissolver volume rm ", ["data"]),
        ("dissolver build ", ["file"]),
        ("dissolver run goals x", ["file"]),
        ("dissolver nonsense ", []),
        ("dissolver run 'goals", ["goals", "goals:latest", "goals:v2"]),
    ],
)
def test_words_are_completed(asks: Any, text: str, expected: list[str]) -> None:
    assert asks(text) == expected


def test_names_stay_whole_where_colons_do_not_break_words(asks: Any) -> None:
    assert asks("dissolver rmi goals:v", " \t\n") == ["goals:v2"]


def test_a_store_that_cannot_be_read_completes_nothing(line: Any, asks: Any) -> None:
    from dissolver.errors import StoreError

    line.engine.answers["images"] = StoreError("damaged")
    assert asks("dissolver rmi ") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_gets_its_script(line: Any, shell: str) -> None:
    done = line("completion", shell)
    assert (done.code, done.err) == (0, "")
    assert "__complete" in done.out
    assert "__complete" not in line("--help").out


def test_an_unknown_shell_is_told(line: Any) -> None:
    done = line("completion", "powershell")
    assert done.code == 2
    assert "unknown shell `powershell`" in done.err
    assert "use bash, zsh or fish" in done.err


SHELLS = {
    "bash": ("--norc", "--noprofile", "-i"),
    "zsh": ("-f", "-i"),
    "fish": ("--no-config", "-i"),
}


@pytest.mark.parametrize("shell", SHELLS)
def test_the_tab_key_completes(tmp_path: Path, shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    program = tmp_path / "dissolver"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m dissolver "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "DISSOLVER_ROOT": str(tmp_path / "store"),
        "TERM": "dumb",
    }
    words = [str(program), "completion", shell]
    made = subprocess.run(words, env=environment, capture_output=True, check=True)
    (tmp_path / "script").write_bytes(made.stdout)
    started = pexpect.spawn(
        shell, list(SHELLS[shell]), env=environment, encoding="utf-8", timeout=20
    )
    before = "autoload -Uz compinit; compinit -u; " if shell == "zsh" else ""
    started.sendline(f"{before}source {tmp_path}/script; echo rea''dy")
    started.expect("ready")
    started.send("dissolver vol\t")
    started.expect("ume")
    started.send("\x03")
    started.sendline("exit")
    started.expect(pexpect.EOF)
    started.close()
