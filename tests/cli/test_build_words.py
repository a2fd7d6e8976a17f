"""Words of `build` with an inner form: secrets, agents, named values."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dissolver.cli.build_words import (
    annotation_values,
    fields_of,
    label_values,
    named_values,
    read_agents,
    read_secrets,
    stage_names,
)
from dissolver.cli.words import UsageSlip
from dissolver.errors import BuildError


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "npmrc").write_bytes(b"from a file\n")
    (tmp_path / "token").write_bytes(b"token file")


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("id=a,src=npmrc", b"from a file\n"),
        ("id=a,source=npmrc", b"from a file\n"),
        ("type=file,id=a,src=npmrc", b"from a file\n"),
        ("id=a,env=TOKEN", b"from a variable"),
        ("type=env,id=a,src=TOKEN", b"from a variable"),
        ('"id=a","src=npmrc"', b"from a file\n"),
        ("ID=a,Src=npmrc", b"from a file\n"),
    ],
)
def test_a_secret_comes_from_a_file_or_a_variable(word: str, expected: bytes) -> None:
    assert read_secrets([word], {"TOKEN": "from a variable"}) == {"a": expected}


def test_an_id_alone_is_a_variable_if_there_is_one_and_else_a_file() -> None:
    assert read_secrets(["id=token"], {}) == {"token": b"token file"}
    assert read_secrets(["id=token"], {"token": "variable"}) == {"token": b"variable"}


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("src=npmrc", "`--secret src=npmrc` has no `id=`"),
        ("npmrc", "`npmrc` in `--secret npmrc` has to be `key=value`"),
        ("id=a,path=x", "unknown key `path` in `--secret id=a,path=x`"),
        ("id=a,type=vault", "unknown type `vault` in `--secret id=a,type=vault`"),
        ('"id=a', '`--secret "id=a` cannot be cut at its commas'),
    ],
)
def test_words_that_name_no_secret_are_slips(word: str, message: str) -> None:
    with pytest.raises(UsageSlip) as caught:
        read_secrets([word], {})
    assert caught.value.message == message


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("id=a,src=none", "cannot read the secret `a` from `none`: no such file or directory"),
        ("id=a,env=NONE", "the variable `NONE` of the secret `a` is not set"),
        ("id=a,src=large", "the secret `a` is larger than 500 KiB"),
    ],
)
def test_secrets_that_cannot_be_had_are_failures(word: str, message: str) -> None:
    Path("large").write_bytes(bytes(500 * 1024 + 1))
    with pytest.raises(BuildError) as caught:
        read_secrets([word], {})
    assert caught.value.message == message


def test_agents_are_the_callers_or_named() -> None:
    environment = {"SSH_AUTH_SOCK": "/run/agent"}
    words = ["default", "other=/run/other", "keys=a,b"]
    assert read_agents(words, environment) == {
        "default": ("/run/agent",),
        "other": ("/run/other",),
        "keys": ("a", "b"),
    }


def test_an_agent_that_the_caller_has_not_is_a_slip() -> None:
    with pytest.raises(UsageSlip) as caught:
        read_agents(["default"], {})
    assert caught.value.message == "`--ssh default` needs an agent, and SSH_AUTH_SOCK names none"


def test_named_values_may_come_from_the_caller() -> None:
    assert named_values(["A=1", "B", "C", "A=2"], {"B": "b"}) == {"A": "2", "B": "b"}


def test_quoted_fields_hold_commas() -> None:
    assert fields_of("--x", 'a=1,"b=2,3"') == {"a": "1", "b": "2,3"}


def test_stages_may_stand_between_commas() -> None:
    assert stage_names(["a,b", " c ", ","]) == ("a", "b", "c")


def test_a_label_without_a_value_is_empty() -> None:
    assert label_values(["a=1", "b", "c=x=y", "a=2"]) == {"a": "2", "b": "", "c": "x=y"}


@pytest.mark.parametrize(
    ("read", "word", "message"),
    [
        (label_values, "=x", "`--label =x` has no name before the `=`"),
        (annotation_values, "a", "`--annotation a` has to be `NAME=VALUE`"),
    ],
)
def test_pairs_without_their_parts_are_slips(
    read: Callable[[list[str]], object], word: str, message: str
) -> None:
    with pytest.raises(UsageSlip) as caught:
        read([word])
    assert caught.value.message == message
