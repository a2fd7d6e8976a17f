"""Files that ask for more than a machine has: refused at their place, and soon."""

from __future__ import annotations

import time

import pytest

from bake.conftest import Kitchen, value_of
from dissolver.bake.hcl import limits
from dissolver.errors import BakeFileError


def growing(first: str, then: str, steps: int = 60) -> str:
    """Write variables each of which is made of the one before."""
    lines = [f'variable "v0" {{ default = {first} }}']
    for number in range(1, steps):
        default = then.replace("V", f"v{number - 1}")
        lines.append(f'variable "v{number}" {{ default = {default} }}')
    return "\n".join([*lines, 'target "a" { args = { A = "x" } }\n'])


GROWING = [
    ('"xxxx"', '"${V}${V}"', "this text becomes too long"),
    ('"xxxx"', 'join("", [V, V])', "this becomes too large"),
    ('"xxxx"', 'replace(V, "x", "xx")', "`replace`: this becomes too large"),
    ('"xxxx"', 'regex_replace(V, ".+", "${join("", [for i in range(0, 99): "$0"])}")',
     "`regex_replace`: this becomes too large"),
    ('"xxxx"', 'format("%s%s", V, V)', "`format`: this becomes too large"),
    ('"xxxx"', 'join(V, range(0, 20))', "`join`: this becomes too large"),
    ('"\\n\\n"', 'indent(1000, replace(V, " ", "\\n"))', "`indent`: this becomes too large"),
    ('"xxxx"', 'join("", formatlist("${V}%s", range(0, 20)))',
     "`formatlist`: this becomes too large"),
    ("[1]", "concat(V, V)", "this becomes too large"),
    ("[1]", "[V, V]", "this becomes too large"),
    ("[1]", "{ a = V, b = V }", "this becomes too large"),
    ("[1]", "[for x in [1, 2] : V]", "this becomes too large"),
    ("[1]", "[1, 2][*] == [] ? [] : [{ x = V }, { x = V }][*].x", "this becomes too large"),
    ("10", "pow(V, 900)", "`pow`: this number is too large"),
]  # fmt: skip


@pytest.mark.parametrize(("first", "then", "message"), GROWING, ids=[row[1] for row in GROWING])
def test_a_value_that_doubles_is_refused_before_it_fills_the_memory(
    kitchen: Kitchen, first: str, then: str, message: str
) -> None:
    error = kitchen.refused(growing(first, then), "a")
    assert error.message == message
    assert error.where is not None


def test_expressions_have_a_number_of_steps(
    kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "_MOST_STEPS", 20_000)
    numbers = "range(0, 1000)"
    text = 'target "a" {{ args = {{ A = length([for i in {0} : {1}]) }} }}'
    for inner in (f"length({numbers})", f"try({numbers} == {numbers}, 1)", f"{numbers}[*][0]"):
        error = kitchen.refused(text.format(numbers, inner), "a")
        assert error.where is not None
    error = kitchen.refused(text.format(numbers, f"length([for j in {numbers} : j])"), "a")
    assert error.message == "the expressions of this file take too many steps"
    assert error.hint == "lists in lists and texts of texts grow fast: make them shorter"


def test_a_pattern_takes_linear_time(kitchen: Kitchen) -> None:
    text = 'target "a" { args = { A = can(regex("(a+)+$", "%s!")) } }' % ("a" * 5000)
    started = time.monotonic()
    assert kitchen.target(text) == {"args": {"A": "false"}}
    assert time.monotonic() - started < 5


def test_what_is_inherited_on_two_ways_is_there_once(kitchen: Kitchen) -> None:
    lines = [
        f'target "t{i}" {{ inherits = ["t{i + 1}", "t{i + 1}"] }}' for i in range(60)
    ]  # fmt: skip
    last = 'target "t60" { annotations = ["a=1"]\n cache-from = ["type=local,src=c"] }\n'
    assert kitchen.target("\n".join([*lines, last]), "t0") == {
        "annotations": ["a=1"],
        "cache-from": [{"src": "c", "type": "local"}],
    }


def test_groups_on_two_ways_are_followed_once(kitchen: Kitchen) -> None:
    lines = [
        f'group "{name}{i}" {{ targets = ["g{i + 1}", "h{i + 1}"] }}'
        for i in range(60)
        for name in "gh"
    ]
    last = 'target "g60" {}\ntarget "h60" {}\n'
    told = kitchen.printed("\n".join([*lines, last]), "g0", "h0")
    assert list(told["target"]) == ["g60", "h60"]


DEEP = [
    ('target "t%d" { inherits = ["t%d"] }', "targets inherit too deeply"),
    ('target "t%d" { contexts = { x = "target:t%d" } }',
     "targets take files from each other too deeply"),
    ('group "t%d" { targets = ["t%d"] }', "groups contain each other too deeply"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "message"), DEEP, ids=[row[1] for row in DEEP])
def test_what_leads_from_one_to_the_next_has_an_end(
    kitchen: Kitchen, line: str, message: str
) -> None:
    lines = [line % (i, i + 1) for i in range(1500)]
    error = kitchen.refused("\n".join([*lines, 'target "t1500" {}\n']), "t0")
    assert error.message == message
    assert error.where is not None


def test_a_long_row_of_variables_is_no_accident(kitchen: Kitchen) -> None:
    lines = [f'variable "v{i}" {{ default = v{i - 1} }}' for i in reversed(range(1, 900))]
    error = kitchen.refused("\n".join([*lines, 'variable "v0" {}\ntarget "a" {}\n']), "a")
    assert error.message == "too many variables depend on each other here"


def test_variables_of_compose_files_have_a_size(kitchen: Kitchen) -> None:
    lines = [f"V{i}=$V{i - 1}$V{i - 1}" for i in range(1, 60)]
    compose = "services: {a: {build: {args: {A: x$V0$V0$V0}}}}"
    files = {"compose.yaml": compose, ".env": "\n".join(["V0=x", *lines])}
    assert kitchen.refused(files).message == "`.env`: this becomes too large"
    files[".env"] = "V0=" + "x" * 400_000
    assert kitchen.refused(files).message == "this becomes too large"
    files[".env"] = 'V0="' + "\n" * 200_000
    assert kitchen.refused(files).message == "`.env`: the value of `V0` has no closing quote"
    files[".env"] = ""
    files["compose.yaml"] = compose.replace("x$V0", '"' + "${A:-" * 2000 + "}" * 2000 + '"')
    assert kitchen.refused(files).where is not None


def test_a_deep_compose_file_is_no_accident(kitchen: Kitchen) -> None:
    error = kitchen.refused({"compose.yaml": "services: " + "[" * 900 + "]" * 900})
    assert error.message == "this is nested too deeply"


def test_a_value_of_a_target_is_evaluated_once(kitchen: Kitchen) -> None:
    text = """
    target "a" { args = { A = uuidv4() } }
    target "b" { args = { A = target.a.args.A } }
    """
    told = kitchen.printed(text, "a", "b")["target"]
    assert told["a"]["args"] == told["b"]["args"]


NUMBERS = [
    ("1.5e99999", "this number is too large"),
    ("0.1e-99999", "this number is too small"),
    ('parseint(join("", range(100000, 101000)), 10)', "`parseint`: this number is too large"),
    ('semvercmp("1.${join("", range(100000, 101000))}", "1")', None),
    ("setproduct([for i in range(0, 40) : [1, 2]]...)",
     "`setproduct`: these are more than 100000 combinations"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), NUMBERS, ids=[row[0] for row in NUMBERS])
def test_a_number_without_measure_is_refused(text: str, message: str | None) -> None:
    with pytest.raises(BakeFileError) as caught:
        value_of(text)
    assert message is None or caught.value.message == message


def test_a_number_keeps_its_digits() -> None:
    digits = 123456789012345678901234567890123456789
    assert value_of(f"-{digits}") == -digits
    assert value_of(f"negate({digits})") == -digits


PATTERNS = [
    (r'regex("[[:alpha:]]+", "12ab3")', "ab"),
    (r'regex("\\pL+", "12éa3")', "éa"),
    (r'regexall("\\d", "1٣2")', ["1", "2"]),
    (r'regex("(?P<a>x)(?P<b>y)?", "x")', {"a": "x", "b": None}),
    (r'regex("a\\z", "ba")', "a"),
    (r'regex_replace("axxb", "x*", "-")', "-a-b-"),
]


@pytest.mark.parametrize(("text", "value"), PATTERNS, ids=[row[0] for row in PATTERNS])
def test_a_pattern_means_what_it_means_to_buildx(text: str, value: object) -> None:
    assert value_of(text) == value
