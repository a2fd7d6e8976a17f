"""``save``, ``load`` and ``export``: words into calls, and what is printed."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from dissolver.errors import ExportError
from dissolver.image.config import Image, ImageConfig
from dissolver.image.reference import parse_reference
from dissolver.intake.load import Loaded


class Terminal:
    """A stream that says it is a terminal."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def isatty(self) -> bool:
        return True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@pytest.mark.parametrize(
    ("words", "form", "compression"),
    [
        ((), "docker", None),
        (("--format", "oci"), "oci", None),
        (("--format=oci-directory", "--compression", "zstd"), "oci-directory", "zstd"),
        (("--compression=none",), "docker", "none"),
    ],
)
@pytest.mark.parametrize("command", [("save",), ("image", "save")])
def test_save_takes_images_and_a_form(
    line: Any, command: tuple[str, ...], words: tuple[str, ...], form: str, compression: str | None
) -> None:
    outcome = line(*command, "-o", "out.tar", *words, "one", "two:2")
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")
    assert line.asked("save") == (
        (["one", "two:2"], "out.tar"),
        {"form": form, "compression": compression},
    )


@pytest.mark.parametrize("words", [("save", "one"), ("save", "-o", "-", "one"), ("export", "web")])
def test_without_a_file_it_goes_to_standard_output(
    line: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: tuple[str, ...]
) -> None:
    with (tmp_path / "piped").open("w") as piped:
        monkeypatch.setattr(sys, "stdout", piped)
        assert line(*words).code == 0
        assert line.engine.calls[0][1][1] == piped.fileno()


@pytest.mark.parametrize("words", [("save", "one"), ("export", "web")])
def test_no_tar_goes_to_a_terminal(
    line: Any, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setattr(sys, "stdout", Terminal(sys.stdout))
    outcome = line(*words)
    assert (outcome.code, line.engine.names) == (2, [])
    assert outcome.err == (
        "error: a tar does not belong on a terminal\nhint: name a file with `-o`, or redirect\n"
    )


def test_a_directory_is_not_for_standard_output(line: Any) -> None:
    outcome = line("save", "--format", "oci-directory", "one")
    assert (outcome.code, line.engine.names) == (2, [])
    assert "hint: name it: `-o DIRECTORY`" in outcome.err


def test_save_needs_an_image(line: Any) -> None:
    outcome = line("save", "-o", "x")
    assert outcome.code == 2
    assert "`dissolver save` needs IMAGE..." in outcome.err


def test_what_the_engine_refuses_is_told(line: Any) -> None:
    line.engine.answers["save"] = ExportError("unknown format `x`", hint="the formats are …")
    outcome = line("save", "-o", "x", "--format", "x", "one")
    assert (outcome.code, outcome.err) == (
        1,
        "error: unknown format `x`\nhint: the formats are …\n",
    )


def test_load_prints_what_was_loaded(line: Any) -> None:
    def loaded(letter: str, *names: str) -> Loaded:
        image = Image("sha256:" + letter * 64, ImageConfig("amd64", "linux"), 1)
        return Loaded(image, tuple(parse_reference(name) for name in names))

    line.engine.answers["load"] = [
        loaded("a", "box", "ghcr.io/a/b:v2"),
        loaded("b"),
    ]
    assert line("load", "-i", "in.tar").out == (
        "Loaded image: box:latest\nLoaded image: ghcr.io/a/b:v2\n"
        f"Loaded image ID: sha256:{'b' * 64}\n"
    )
    assert line.asked("load") == (("in.tar",), {})


def test_load_reads_standard_input(line: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    line.engine.answers["load"] = []
    with Path(os.devnull).open() as null:
        monkeypatch.setattr(sys, "stdin", null)
        assert line("image", "load", "-q").code == 0
        assert line.asked("load") == ((null.fileno(),), {})
        monkeypatch.setattr(sys, "stdin", Terminal(null))
        outcome = line("load")
    assert outcome.code == 2
    assert "standard input is a terminal, not an archive" in outcome.err


def test_export_names_a_container_and_a_file(line: Any) -> None:
    for words in (("export",), ("container", "export")):
        line.engine.calls.clear()
        assert line(*words, "--output", "web.tar", "web").code == 0
        assert line.asked("export") == (("web", "web.tar"), {})
