"""Slips of the keyboard are told in one clear line; every command explains itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dissolver.cli.catalog import COMMANDS, GROUPS

# Slips ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "error", "code"),
    [
        (
            ["run", "-m", "64m", "box"],
            "error: `-m` is not supported: containers have the limits of who starts them\nhint: ",
            125,
        ),
        (
            ["container", "run", "--privileged", "box"],
            "error: `--privileged` is not supported: containers have the capabilities that Docker",
            125,
        ),
        (["compose", "up"], "error: `compose` is not supported: services are not orchestrated", 2),
        (
            ["image", "rm", "--platform", "linux/arm64", "x"],
            "error: `--platform` is not supported: an image of the store is for one platform\n",
            2,
        ),
        (
            ["builder", "prune", "--keep-storage", "1g"],
            "error: `--keep-storage` is not supported: the cache is kept to no size\nhint: ",
            2,
        ),
        (["rm", "--platform", "x"], "error: unknown flag `--platform` of `dissolver rm`", 2),
        (["container", "top", "x"], "error: `top` is not supported: processes are not listed\n", 2),
        (
            ["run", "--detach-keys", "ctrl-x", "box"],
            "error: `--detach-keys` is not supported: a container is connected to all streams",
            125,
        ),
        (["restart", "web"], "error: `restart` is not supported: it is two commands\nhint: ", 2),
        (
            ["volume", "create", "data"],
            "error: `create` is not supported: volumes are made when they are first used\nhint: ",
            2,
        ),
        (
            ["logs", "--since", "1m", "web"],
            "error: `--since` is not supported: lines are chosen by their number\nhint: `-n 100`",
            2,
        ),
        (["bild"], "error: unknown command `bild` of `dissolver`\nhint: did you mean `build`?", 2),
        (
            ["image", "lss"],
            "error: unknown command `lss` of `dissolver image`\nhint: did you mean `ls`?",
            2,
        ),
        (
            ["build", "--no-cahce", "."],
            "error: unknown flag `--no-cahce` of `dissolver build`\nhint: did you mean `--no-ca",
            2,
        ),
        (
            ["run", "--rmm", "box"],
            "error: unknown flag `--rmm` of `dissolver run`\nhint: did you mean `--rm`?",
            125,
        ),
        (
            ["exec", "-z", "web", "sh"],
            "error: unknown flag `-z` of `dissolver exec`\nhint: see `dissolver exec --help`",
            125,
        ),
        (
            ["--rot", "x", "ps"],
            "error: unknown flag `--rot` of `dissolver`\nhint: did you mean `--root`?",
            2,
        ),
        (
            ["build", "--cpu-quota=5", "."],
            "error: `--cpu-quota` is not supported: steps run in the control group of who builds\n",
            2,
        ),
        (
            ["image", "build", "-m", "1g", "."],
            "error: `-m` is not supported: steps run in the control group of who builds\nhint: ",
            2,
        ),
        (
            ["build", "--builder", "remote", "."],
            "error: `--builder` is not supported: there is one builder, and it runs in this comm",
            2,
        ),
        (
            ["build", "--attest=type=sbom", "."],
            "error: `--attest` is not supported: no attestations are made here\nhint: sign and ",
            2,
        ),
        (
            ["build", "--provenance", "mode=max", "."],
            "error: `--provenance mode=max` is not supported: no attestations are made here\n",
            2,
        ),
        (["rm"], "error: `dissolver rm` needs CONTAINER...\nhint: see `dissolver rm --help`", 2),
        (["run"], "error: `dissolver run` needs IMAGE\nhint: see `dissolver run --help`", 125),
        (["exec", "web"], "error: `dissolver exec` needs COMMAND [ARGUMENT]...\n", 125),
        (
            ["stop", "-t", "soon", "web"],
            "error: bad value for `--timeout`: `soon` is not a valid float\n",
            2,
        ),
        (
            ["build", "-t"],
            "error: `-t` requires an argument\nhint: see `dissolver build --help`\n",
            2,
        ),
        (["run", "--rm=maybe", "box"], "error: `--rm` is true or false, not `maybe`\n", 125),
        (["tag", "a", "b", "c"], "error: `dissolver tag` does not take `c` as well\n", 2),
        (["ps", "-f", "x=1"], "error: unknown filter `x=1`\nhint: the filters are `id=…`", 2),
        (["images", "-f", "dangling=x"], "error: `dangling` is true or false, not `x`\nhint: ", 2),
        (["ps", "-f", "name=["], "error: `name=[` is no regular expression: unterminated", 2),
        (["logs", "-n", "few", "web"], "error: `--tail` is a number or `all`, not `few`\n", 2),
        (["inspect", "--type", "planet", "x"], "error: unknown type `planet`\n", 2),
    ],
)
def test_a_slip_is_one_clear_line(line: Any, words: list[str], error: str, code: int) -> None:
    line.engine.answers["logs"] = []
    done = line(*words)
    assert done.err.startswith(error)
    assert done.err.count("\n") == 2
    assert (done.code, done.out) == (code, "")


# The catalogue -------------------------------------------------------------------


ALL_WORDS = [(name,) for name in COMMANDS] + [
    (group, name) for group in GROUPS for name in GROUPS[group].commands
]


@pytest.mark.parametrize("words", ALL_WORDS, ids=" ".join)
def test_every_command_explains_itself_with_an_example(line: Any, words: tuple[str, ...]) -> None:
    done = line(*words, "--help")
    entry = COMMANDS[words[0]] if len(words) == 1 else GROUPS[words[0]].commands[words[1]]
    assert done.code == 0
    assert done.out.startswith(f"Usage:  dissolver {' '.join(words)} ")
    assert f"\n{entry.help}\n\nExample:\n  {entry.example}\n" in done.out
    assert "Options:\n" in done.out
    assert line.engine.calls == []


@pytest.mark.parametrize(
    "words",
    [
        ("image", "ls"),
        ("image", "list"),
        ("container", "ls"),
        ("container", "ps"),
        ("container", "list"),
    ],
)
def test_the_grouped_words_mean_the_short_ones(line: Any, words: tuple[str, ...]) -> None:
    line.engine.answers |= {"images": [], "containers": []}
    assert line(*words).code == 0
    assert line.engine.names == ["images" if words[0] == "image" else "containers"]


@pytest.mark.parametrize("words", [[], ["image"], ["--help"], ["system", "--help"]])
def test_without_a_command_the_help_is_shown(line: Any, words: list[str]) -> None:
    done = line(*words)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("Usage:  dissolver")
    assert "Commands:\n" in done.out


def test_shared_options_may_stand_anywhere(line: Any, tmp_path: Path) -> None:
    line.engine.answers["images"] = []
    line("images", "--root", tmp_path / "other", "--debug")
    assert line.engine.settings.root == tmp_path / "other"
    assert line.engine.is_closed
