"""Modes in ``--chmod``: what is one, and what it makes of the mode of a file."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from dissolver.plan.modes import ModeProgram, format_mode, parse_mode

OCTAL = [("0", 0), ("7", 7), ("755", 0o755), ("0755", 0o755), ("07777", 0o7777), ("0000644", 0o644)]


@pytest.mark.parametrize(("text", "mode"), OCTAL)
def test_an_octal_number_is_a_mode(text: str, mode: int) -> None:
    assert parse_mode(text) == mode


NO_MODES = [
    "", "8", "9", "08", "10000", "77777", "0o755", "0x1", "-1", "+1", "1.0", "\u0667", "7" * 5000,
    "rwx", "u", "u~x", "z+x", "u+z", "u+x,", ",u+x", "u+x g+x", "u+gx", "u=og", "a+x;", "=+q",
]  # fmt: skip


@pytest.mark.parametrize("text", NO_MODES)
def test_other_texts_are_no_modes(text: str) -> None:
    assert parse_mode(text) is None


PROGRAMS = [
    "u+x", "go=rX", "a-w,u=rwx", "+t", "-x", "=rw", "u=rwX,go=rX", "ug+s", "u-s", "g=u",
    "o=g-w", "a+X", "u+r-w+x", "g+w,o-r", "u=", "go=", "a=rwxst", "+X", "u=s", "og-rwx", "=",
    "o=u", "u+g", "ugo-x+X", "u+w,u-w", "g-s", "a+rX,a-w",
]  # fmt: skip
MODES = [0o644, 0o755, 0o600, 0o4755, 0o2750, 0o1777, 0, 0o7777, 0o421]


@pytest.mark.parametrize("text", PROGRAMS)
def test_a_symbolic_mode_does_what_chmod_does(text: str, tmp_path: Path) -> None:
    program = parse_mode(text)
    assert isinstance(program, ModeProgram)
    paths = [tmp_path / f"{mode:04o}" for mode in MODES]
    for path, mode in zip(paths, MODES, strict=True):
        path.touch()
        path.chmod(mode)
    command = 'umask 0; exec chmod -- "$@"'
    subprocess.run(["sh", "-c", command, "sh", text, *paths], check=True)
    for path, mode in zip(paths, MODES, strict=True):
        expected = path.stat().st_mode & 0o7777
        assert program.apply(mode, is_directory=False) == expected, f"{mode:04o}"


@pytest.mark.parametrize(
    ("text", "mode"), [("u+t", 0o1755), ("g+t", 0o1755), ("o+t", 0o755), ("o=t,u=s", 0o4050)]
)
def test_the_sticky_bit_is_buildkits(text: str, mode: int) -> None:
    program = parse_mode(text)
    assert isinstance(program, ModeProgram)
    assert program.apply(0o755, is_directory=True) == mode


def test_a_directory_can_be_entered_by_whoever_may_read() -> None:
    program = parse_mode("u=rwX,go=rX")
    assert isinstance(program, ModeProgram)
    assert program.apply(0o600, is_directory=True) == 0o755
    assert program.apply(0o600, is_directory=False) == 0o644
    assert program.apply(0o700, is_directory=False) == 0o755


def test_modes_are_written_as_people_read_them() -> None:
    program = parse_mode("u+x")
    assert program is not None
    assert (format_mode(0o55), format_mode(program)) == ("0055", "u+x")
