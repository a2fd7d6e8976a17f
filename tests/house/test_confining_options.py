"""Options that confine what runs come from one table, and few files know of any one of them."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import click
import pytest

from dissolver.bake.attributes import RULES, Kind
from dissolver.bake.compose_build import CONFINING
from dissolver.cache.why import _SINGLE, first_difference
from dissolver.cli.catalog import COMMANDS, GROUPS
from dissolver.cli.invocation import Invocation, begin, end, open_engine
from dissolver.cli.refusals import FLAGS
from dissolver.cli.words import build_command
from dissolver.containers.options import RunOptions
from dissolver.sandbox.confinement import USUAL
from dissolver.sandbox.confining_options import (
    OPTIONS,
    REFUSED,
    BuildConfinement,
    ConfiningOption,
    RunConfinement,
    inspected,
    options_of,
)

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "python" / "dissolver"
MOST_FILES = 4

# A word in snake case, with hyphens, or as a part of a name in camel case; neither the system
# call `shmat` nor an `SshMount`.
WORDS = {
    "shm_size": r"(?<![A-Za-z])(shm|SHM)(?![A-Za-z])|Shm(?![a-z])",
    "ulimits": r"(?i)ulimit",
    "security": r"(?i)security[-_ ]?opt",
}
"""What names an option, in whatever spelling, by its keyword."""

TABLE = "sandbox/confining_options.py"
NAMED_IN = {
    "shm_size": {
        TABLE,
        "sandbox/confinement.py",  # its field
        "sandbox/assemble.py",  # what it comes to
        "containers/options.py",  # a format of records from before there was a confinement
    },
    "ulimits": {
        TABLE,
        "cli/refusals.py",  # a hint: it limits what `--pids-limit` would
        "plan/checks/behaviour.py",  # the command of shells
    },
    "security": {TABLE},
}
"""Every file that names an option, by its keyword."""


def naming(pattern: str) -> set[str]:
    """List the files of the package whose text has ``pattern``."""
    return {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if re.search(pattern, path.read_text(encoding="utf-8"))
    }


@pytest.fixture
def commands(tmp_path: Path) -> Any:
    """All commands, as the command line has them."""
    begin(Invocation(open_engine))
    entries = COMMANDS | {
        f"{name} {word}": entry
        for name, group in GROUPS.items()
        for word, entry in group.commands.items()
    }
    yield {name: build_command(name.split()[-1], entry) for name, entry in entries.items()}
    end()


def flag_of(command: click.Command, flag: str) -> click.Option | None:
    found = [one for one in command.params if flag in one.opts and isinstance(one, click.Option)]
    return found[0] if found else None


# How few files ---------------------------------------------------------------------------------


@pytest.mark.parametrize("option", OPTIONS, ids=lambda one: one.keyword)
def test_no_more_than_four_files_name_an_option(option: ConfiningOption) -> None:
    found = naming(WORDS[option.keyword])
    assert found == NAMED_IN[option.keyword]
    assert len(found) <= MOST_FILES


@pytest.mark.parametrize("option", OPTIONS, ids=lambda one: one.keyword)
def test_its_spellings_are_in_the_table_alone(option: ConfiningOption) -> None:
    for spelling in {option.flag, option.shown, option.attribute, option.keyword} - {None}:
        said = re.escape(f'"{spelling}"')
        assert naming(said) == {TABLE} or spelling == "security", spelling


def test_a_file_that_names_an_option_in_any_spelling_is_found() -> None:
    for text in ("shm_size", "shm-size", "SHM_BYTES", "ShmSize", "/dev/shm", "the shm of"):
        assert re.search(WORDS["shm_size"], text), text
    for text in ("shmat", "SshMount", "sshm", "SQLITE_IOERR_SHMSIZE"):
        assert not re.search(WORDS["shm_size"], text), text
    for text in ("ulimits", "--ulimit", "Ulimits"):
        assert re.search(WORDS["ulimits"], text), text
    for text in ("--security-opt", "security_opt", "SecurityOpt"):
        assert re.search(WORDS["security"], text), text


# What follows from the table -------------------------------------------------------------------


@pytest.mark.parametrize("option", OPTIONS, ids=lambda one: one.keyword)
def test_the_commands_of_an_option_offer_it_and_no_others(
    commands: dict[str, click.Command], option: ConfiningOption
) -> None:
    offered = {name for name, command in commands.items() if flag_of(command, option.flag)}
    named = {*option.commands, *option.ignored_by}
    assert {name.split()[-1] for name in offered} == named
    for name in offered:
        flag = flag_of(commands[name], option.flag)
        assert flag is not None
        assert flag.hidden == (name.split()[-1] in option.ignored_by)
        assert (flag.metavar, flag.help) == (option.metavar, option.help)
        assert flag.multiple == option.is_repeatable


@pytest.mark.parametrize("option", OPTIONS, ids=lambda one: one.keyword)
def test_help_lists_an_option_where_its_entry_says(
    commands: dict[str, click.Command], option: ConfiningOption
) -> None:
    for name in option.commands:
        order = [one.name for one in commands[name].params]
        assert order.index(option.keyword) == order.index(option.listed_after) + 1


def test_the_python_api_has_the_keywords_of_the_table() -> None:
    assert set(BuildConfinement.__annotations__) == {one.keyword for one in options_of("build")}
    fields = {one.name for one in dataclasses.fields(RunConfinement)}
    assert fields == {one.keyword for one in options_of("run")}
    assert issubclass(RunOptions, RunConfinement)


def test_bake_and_compose_files_have_the_attributes_of_the_table() -> None:
    for option in options_of("build"):
        assert option.attribute is not None
        assert RULES[option.attribute].kind is (Kind.TEXTS if option.is_repeatable else Kind.TEXT)
        assert CONFINING[option.attribute.replace("-", "_")] is option
        assert option.compose_form is not None


def test_what_steps_have_counts_for_their_keys_and_is_explained() -> None:
    names = [option.input_name for option in OPTIONS if option.input_name]
    assert len(set(names)) == len(names)
    for option in options_of("build"):
        name = option.input_name
        assert name is not None
        assert name not in _SINGLE
        assert list(option.inputs(USUAL)) == []
        said = first_difference([(f"{name}.x", "1")], [(f"{name}.x", "2")])
        assert said == option.change.format(item="x", verb="changed")


def test_every_option_is_inspected_and_none_twice() -> None:
    assert list(inspected(USUAL)) == [option.shown for option in OPTIONS]
    assert len({option.shown for option in OPTIONS}) == len(OPTIONS)


def test_what_is_refused_is_not_offered(commands: dict[str, click.Command]) -> None:
    for command, flags in REFUSED.items():
        for flag, words in flags.items():
            assert FLAGS[command][flag] == words
            assert flag_of(commands[command], flag) is None, f"{command} {flag}"


def test_the_pages_name_every_option() -> None:
    cli, runtime, api = (
        (ROOT / "docs" / f"{name}.md").read_text("utf-8") for name in ("cli", "runtime", "api")
    )
    for option in OPTIONS:
        assert f"`{option.flag}" in cli + runtime
        assert f"`{option.keyword}`" in api
