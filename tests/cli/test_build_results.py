"""Files about a build's result: older ones go, new ones are whole, and devices are left alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dissolver.build.request import StepOutcome
from dissolver.cli.build_results import forget, tell_why, write_result
from dissolver.errors import DissolverError


def test_only_ordinary_files_are_forgotten(tmp_path: Path) -> None:
    file, link, pipe = tmp_path / "file", tmp_path / "link", tmp_path / "pipe"
    file.write_text("old")
    link.symlink_to(file)
    os.mkfifo(pipe)
    forget(str(link), str(pipe), None, str(tmp_path / "none"), str(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link", "pipe"]
    forget(str(file))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "pipe"]


def test_a_result_is_written_through_a_link_and_else_in_one_piece(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "target")
    write_result(str(link), "through")
    write_result(str(tmp_path / "new"), "new")
    assert (link.is_symlink(), (tmp_path / "target").read_text()) == (True, "through")
    assert (tmp_path / "new").read_text() == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "new", "target"]


def test_a_place_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DissolverError) as raised:
        write_result(str(tmp_path / "none" / "file"), "text")
    assert raised.value.message == f"cannot write `{tmp_path}/none/file`: no such file or directory"


@pytest.mark.parametrize("name", [".", "", "/"])
def test_a_directory_is_no_place_for_a_result(name: str) -> None:
    with pytest.raises(DissolverError) as raised:
        write_result(name, "text")
    assert raised.value.message == f"cannot write `{name}`: is a directory"


def test_why_names_the_steps_that_were_not_cached(capsys: pytest.CaptureFixture[str]) -> None:
    def step(name: str, reason: str | None) -> StepOutcome:
        return StepOutcome(name, "stage-0", reason is None, reason, "sha256:0", 0.1)

    steps = [step("[1/2] COPY a b", None), step("[2/2] RUN \x1bx", "file `a` changed")]
    tell_why(steps)
    tell_why(steps[:1])
    assert capsys.readouterr().err == (
        "Not cached, because:\n - [2/2] RUN \\x1bx: file `a` changed\nEvery step was cached.\n"
    )
