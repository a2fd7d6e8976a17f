"""The cases are complete: every flag has one, and every difference that is told is listed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cases.reading import OTHERWISE, all_cases
from dissolver.cli.catalog import COMMANDS
from dissolver.cli.invocation import Invocation, begin, end
from dissolver.cli.words import build_command
from dissolver.dockerfile.flags import FLAGS
from dissolver.dockerfile.statements import KEYWORDS
from dissolver.plan.mount_options import KEYS, TYPES

LISTED = Path(__file__).parents[2] / "docs" / "compatibility.md"
CASES = all_cases()
TEXT = "".join(section.text for case in CASES for section in case.all("Dockerfile"))
WORDS = {word.partition("=")[0] for case in CASES for word in case.text("flags").split()}
OF_EVERY_CASE = {"--progress"}


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 150
    assert len({case.id for case in CASES}) == len(CASES)


@pytest.mark.parametrize("keyword", KEYWORDS)
def test_every_instruction_has_a_case(keyword: str) -> None:
    assert re.search(rf"^(ONBUILD )?{keyword}\s", TEXT, re.MULTILINE)


@pytest.mark.parametrize(
    ("keyword", "flag"), [(keyword, flag) for keyword, flags in FLAGS.items() for flag in flags]
)
def test_every_flag_of_an_instruction_has_a_case(keyword: str, flag: str) -> None:
    assert re.search(rf"^{keyword} (--\S+ )*--{flag}\b", TEXT, re.MULTILINE)


@pytest.mark.parametrize("option", [*KEYS, *(f"type={kind}" for kind in TYPES)])
def test_every_option_of_a_mount_has_a_case(option: str) -> None:
    assert re.search(rf"^RUN .*--mount=(\S*,)?{option}[=, ]", TEXT, re.MULTILINE)


def test_every_flag_of_the_command_has_a_case() -> None:
    begin(Invocation())
    parameters = build_command("build", COMMANDS["build"]).params
    end()
    options = [
        option
        for option in parameters
        if option.param_type_name == "option" and not getattr(option, "hidden", False)
    ]
    told = WORDS | OF_EVERY_CASE
    names = [{*option.opts, *option.secondary_opts} for option in options]
    assert [sorted(name) for name in names if not name & told] == [], "see flags.cases"


def test_every_difference_is_listed_and_says_what_buildkit_does() -> None:
    rows = {line.split("|")[1].strip() for line in LISTED.read_text().splitlines() if "|" in line}
    for case in CASES:
        differs = case.has("differs")
        assert differs == any(section.name in OTHERWISE for section in case.sections), case.id
        if differs:
            assert case.text("differs").strip() in rows, case.id
