"""Names of containers."""

from __future__ import annotations

import re

import pytest

from dissolver.containers.names import ADJECTIVES, SURNAMES, check_name, make_id, make_name
from dissolver.errors import RunError


@pytest.mark.parametrize("name", ["web", "a1", "0x", "My.web_server-2"])
def test_a_valid_name_is_taken_as_it_is(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "a", "-web", ".web", "we b", "web/1", "wéb", "web\n"])
def test_an_invalid_name_is_refused(name: str) -> None:
    with pytest.raises(RunError) as raised:
        check_name(name)
    assert raised.value.message == f"invalid container name `{name}`"


def test_a_made_up_name_has_two_words() -> None:
    adjective, _, surname = make_name(lambda _: False).partition("_")
    assert adjective in ADJECTIVES
    assert surname in SURNAMES


def test_a_taken_name_is_passed_over() -> None:
    taken: set[str] = set()

    def is_taken(name: str) -> bool:
        taken.add(name)
        return len(taken) < 10

    assert re.fullmatch(r"[a-z]+_[a-z]+[0-9]+", make_name(is_taken))


def test_every_made_up_name_is_a_valid_one() -> None:
    for adjective in ADJECTIVES:
        assert check_name(f"{adjective}_{SURNAMES[0]}")


def test_an_id_has_64_hex_digits() -> None:
    assert re.fullmatch(r"[0-9a-f]{64}", make_id())
