"""Expressions of bake files: what each of them comes to."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from bake.conftest import value_of
from dissolver.errors import BakeFileError

NAMES = {
    "TAG": "v1.2",
    "n": 3,
    "yes": True,
    "none": None,
    "list": ["a", "b"],
    "object": {"b": "2", "a": "1"},
    "items": [{"name": "x"}, {"name": "y"}],
}

VALUES = [
    # Literals and templates
    ("1", 1),
    ("1.50", Decimal("1.5")),
    ("1.5e3", 1500),
    ("true", True),
    ("null", None),
    ('"a\\tb\\n\\"c\\" \\\\ \\u00e9 \\U0001F600"', 'a\tb\n"c" \\ é 😀'),
    ('"$${TAG} %%{if} $ % $$"', "${TAG} %{if} $ % $$"),
    ('"  ${TAG}  "', "  v1.2  "),
    ('"${n}"', 3),
    ('"${list}"', ["a", "b"]),
    ('"x${n}"', "x3"),
    ('"${"${TAG}!"}"', "v1.2!"),
    ('"a ${~ TAG ~} b"', "av1.2b"),
    ('"%{ if yes }A%{ else }B%{ endif }"', "A"),
    ('"%{ if n > 5 }A%{ endif }"', ""),
    ('"%{ for x in list }${x},%{ endfor }"', "a,b,"),
    ('"%{ for k, v in object }${k}=${v} %{ endfor }"', "a=1 b=2 "),
    ("<<EOT\nHello ${TAG}\n  world\nEOT", "Hello v1.2\n  world\n"),
    ("<<-EOT\n    Hello\n      ${TAG}\n\n    end\n  EOT", "Hello\n  v1.2\n\nend\n"),
    ("<<EOT\na \\n \"b\"\nEOT", 'a \\n "b"\n'),
    ("<<EOT\nEOT", ""),
    ("<<-EOT\n  %{ for x in list ~}\n  ${x}\n  %{ endfor ~}\n  EOT", "a\nb\n"),
    # Operators
    ("1 + 2 * 3", 7),
    ("(1 + 2) * 3", 9),
    ("7 / 2", Decimal("3.5")),
    ("-7 % 3", -1),
    ("0.1 + 0.2", Decimal("0.3")),
    ("n - 1", 2),
    ('"2" * 3', 6),
    ("-n", -3),
    ("!yes", False),
    ("!!yes", True),
    ("n >= 3 && n < 4", True),
    ("yes || missing", True),
    ("1 == 1.0", True),
    ('1 == "1"', False),
    ("list == list", True),
    ("none == null", True),
    ('TAG != ""', True),
    ('yes ? "a" : "b"', "a"),
    ('yes ? 1 : "b"', "1"),
    ("yes ? null : list", None),
    ('(\n  TAG == ""\n  ? 1\n  : 2\n)', 2),
    # Collections
    ("list[1]", "b"),
    ("list.0", "a"),
    ("object.a", "1"),
    ('object["b"]', "2"),
    ("items[*].name", ["x", "y"]),
    ("items.*.name", ["x", "y"]),
    ("none[*]", []),
    ("TAG[*]", ["v1.2"]),
    ("[1, [2], {}]", [1, [2], {}]),
    ("{ a = 1, b : 2\n c = 3 }", {"a": 1, "b": 2, "c": 3}),
    ('{ (TAG) = 1, "x${n}" = 2 }', {"v1.2": 1, "x3": 2}),
    ("[for x in list : upper(x)]", ["A", "B"]),
    ("[for i, x in list : i if x == \"b\"]", [1]),
    ("[for k, v in object : k]", ["a", "b"]),
    ("{ for x in list : x => length(x) }", {"a": 1, "b": 1}),
    ("{ for x in [1, 2, 3] : x > 1 ? \"big\" : \"small\" => x... }",
     {"small": [1], "big": [2, 3]}),
    ('concat([list, ["c"]]...)', ["a", "b", "c"]),
    ('try(missing, list[9], "else")', "else"),
    ("can(missing)", False),
    ("can(list[0])", True),
    ('convert("3", number)', 3),
    ('convert(["b", "a", "b"], set(string))', ["a", "b"]),
    ("convert({ a = 1 }, object({ a = string, b = optional(number, 7) }))", {"a": "1", "b": 7}),
    ("[1, # a comment\n 2 /* and one */, // more\n 3]", [1, 2, 3]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "value"), VALUES, ids=[text for text, _ in VALUES])
def test_an_expression_has_this_value(text: str, value: object) -> None:
    found = value_of(text, NAMES)
    assert (found, type(found)) == (value, type(value))


FUNCTIONS = [
    ("absolute(-3)", 3),
    ("add(123, 1)", 124),
    ("and(true, false)", False),
    ('base64decode("aGk=")', "hi"),
    ('base64encode("hi")', "aGk="),
    ('basename("/a/b/c.txt")', "c.txt"),
    ('basename("/")', "/"),
    ('basename("")', "."),
    ('byteslen("é")', 2),
    ('bytesslice("hello", 1, 3)', "ell"),
    ("ceil(1.2)", 2),
    ('chomp("a\\n\\n")', "a"),
    ('chunklist(["a", "b", "c"], 2)', [["a", "b"], ["c"]]),
    ('cidrhost("10.0.0.0/8", 5)', "10.0.0.5"),
    ('cidrhost("10.0.0.0/8", -1)', "10.255.255.255"),
    ('cidrnetmask("172.16.0.0/12")', "255.240.0.0"),
    ('cidrsubnet("172.16.0.0/12", 4, 2)', "172.18.0.0/16"),
    ('cidrsubnets("10.1.0.0/16", 4, 4, 8)', ["10.1.0.0/20", "10.1.16.0/20", "10.1.32.0/24"]),
    ('coalesce(null, "a", "b")', "a"),
    ('coalescelist([], ["a"])', ["a"]),
    ('compact(["a", "", "b"])', ["a", "b"]),
    ('concat(["a"], ["b"], [1])', ["a", "b", 1]),
    ('contains(["a"], "a")', True),
    ('csvdecode("a,b\\n1,2\\n3,\\"4,5\\"\\n")', [{"a": "1", "b": "2"}, {"a": "3", "b": "4,5"}]),
    ('dirname("/a/b/c")', "/a/b"),
    ('dirname("a")', "."),
    ('distinct(["a", "b", "a"])', ["a", "b"]),
    ("divide(9, 2)", Decimal("4.5")),
    ('element(["a", "b"], 3)', "b"),
    ("equal(1, 1)", True),
    ('flatten([["a"], [["b"], "c"]])', ["a", "b", "c"]),
    ("floor(-1.2)", -2),
    ('format("%s-%03d-%.2f-%t-%q-%%-%v", "a", 7, 1.005, true, "b", 2)',
     'a-007-1.00-true-"b"-%-2'),
    ('format("%-5s|%5s|%x|%+d", "a", "b", 255, 3)', "a    |    b|ff|+3"),
    ('format("%[2]s%[1]s", "a", "b")', "ba"),
    ('formatdate("DD MMM YYYY hh:mm:ss ZZZ", "2018-01-02T23:12:01Z")', "02 Jan 2018 23:12:01 UTC"),
    ('formatdate("EEEE, DD-MMM-YY HH:mm aa \'o\'\'clock\' Z", "2018-01-02T23:12:01-08:00")',
     "Tuesday, 02-Jan-18 11:12 pm o'clock -08:00"),
    ('formatlist("%s:%d", ["a", "b"], 1)', ["a:1", "b:1"]),
    ('formattimestamp("YYYY-MM-DD", 1700000000)', "2023-11-14"),
    ("[{ a = { b = 1 } }, { a = { b = 2 } }].*.a.b[1]", 2),
    ("[{ a = [3, 4] }, { a = [5, 6] }].*.a[1][0]", 5),
    ("[{ a = [3, 4] }, { a = [5, 6] }].*.a.0", [3, 5]),
    ("[{ a = [3, 4] }, { a = [5, 6] }][*].a[1]", [4, 6]),
    ("homedir()", str(Path("~").expanduser())),
    ('formattimestamp("X", "2023-11-14T22:13:20Z")', "1700000000"),
    ('formattimestamp("hh:mm Z", "2023-11-14T22:13:20+02:00")', "22:13 +02:00"),
    ("greaterthan(2, 1)", True),
    ("greaterthanorequalto(2, 2)", True),
    ('hasindex(["a"], 1)', False),
    ('indent(2, "a\\nb")', "a\n  b"),
    ('index({ a = 1 }, "a")', 1),
    ('indexof(["a", "b"], "b")', 1),
    ("int(-1.9)", -1),
    ('join(",", ["a", "b"], [1])', "a,b,1"),
    ('jsondecode("{\\"a\\": [1, 2.5, null]}")', {"a": [1, Decimal("2.5"), None]}),
    ('jsonencode({ b = [1, true, null], a = "<x>" })', '{"a":"\\u003cx\\u003e","b":[1,true,null]}'),
    ("keys({ b = 1, a = 2 })", ["a", "b"]),
    ('length("abc")', 3),
    ("lessthan(1, 2)", True),
    ("lessthanorequalto(3, 2)", False),
    ("log(16, 2)", 4),
    ('lookup({ a = 1 }, "b", 2)', 2),
    ('lower("ÄB")', "äb"),
    ("max(1, 3, 2)", 3),
    ('md5("a")', "0cc175b9c0f1b6a831c399e269772661"),
    ("merge({ a = 1, b = 1 }, { b = 2 })", {"a": 1, "b": 2}),
    ('min(3, "1", 2)', 1),
    ("modulo(10, 3)", 1),
    ("multiply(2, 3)", 6),
    ("negate(2)", -2),
    ("not(true)", False),
    ("notequal(1, 2)", True),
    ("or(true, false)", True),
    ('parseint("ff", 16)', 255),
    ("pow(2, 10)", 1024),
    ("range(3)", [0, 1, 2]),
    ("range(4, 0, -2)", [4, 2]),
    ('regex("[a-z]+", "12ab")', "ab"),
    ('regex("(\\\\d+)\\\\.(\\\\d+)", "v1.2")', ["1", "2"]),
    ('regex("(?P<major>\\\\d+)", "v1.2")', {"major": "1"}),
    ('regex_replace("a1b2", "[0-9]", "-")', "a-b-"),
    ('regex_replace("v1.2", "v(?P<x>\\\\d)", "<$x>")', "<1>.2"),
    ('regexall("[a-z]", "a1b")', ["a", "b"]),
    ('replace("1.2.3", ".", "-")', "1-2-3"),
    ('reverse("abc")', "cba"),
    ("reverselist([1, 2])", [2, 1]),
    ('sanitize("a.b/c d_e-f")', "a_b_c_d_e-f"),
    ('semvercmp("1.4.2", ">= 1.2, < 2")', True),
    ('semvercmp("2.0.0", "^1.2 || ~2.0")', True),
    ('semvercmp("1.2.3-rc.1", ">= 1.2")', False),
    ('semvercmp("1.2.3", "1.x")', True),
    ('sethaselement(["a"], "b")', False),
    ('setintersection(["a", "b"], ["b"])', ["b"]),
    ('setproduct(["a", "b"], [1])', [["a", 1], ["b", 1]]),
    ('setsubtract(["a", "b"], ["b"])', ["a"]),
    ('setsymmetricdifference(["a", "b"], ["b", "c"])', ["a", "c"]),
    ('setunion(["b"], ["a", "b"])', ["a", "b"]),
    ('sha1("a")', "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8"),
    ('substr(sha256("a"), 0, 8)', "ca978112"),
    ('substr(sha512("a"), 0, 8)', "1f40fc92"),
    ("signum(-7)", -1),
    ('slice(["a", "b", "c"], 1, 3)', ["b", "c"]),
    ('sort(["b", "a"])', ["a", "b"]),
    ('split(",", "a,b")', ["a", "b"]),
    ('strlen("é")', 1),
    ('substr("hello", -3, -1)', "llo"),
    ("subtract(3, 5)", -2),
    ('timeadd("2024-02-28T23:30:00Z", "1h30m")', "2024-02-29T01:00:00Z"),
    ('length(timestamp()) == length("2006-01-02T15:04:05Z")', True),
    ('title("hello big-world")', "Hello Big-World"),
    ('trim("--a--", "-")', "a"),
    ('trimprefix("v1", "v")', "1"),
    ('trimspace(" a\\n")', "a"),
    ('trimsuffix("a.txt", ".txt")', "a"),
    ("unixtimestampparse(1690328596).rfc3339", "2023-07-25T23:43:16Z"),
    ('upper("a")', "A"),
    ('urlencode("a b&c")', "a+b%26c"),
    ("length(uuidv4())", 36),
    ('uuidv5("dns", "www.example.com")', "2ed6657d-e927-568b-95e1-2665a8aea6a2"),
    ("values({ b = 1, a = 2 })", [2, 1]),
    ('zipmap(["a", "b"], [1, 2])', {"a": 1, "b": 2}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "value"), FUNCTIONS, ids=[text for text, _ in FUNCTIONS])
def test_a_function_answers_this(text: str, value: object) -> None:
    assert value_of(text) == value


def test_every_function_is_in_a_table_above() -> None:
    from dissolver.bake.functions.table import standard_functions

    called = " ".join(text for text, _ in [*FUNCTIONS, *VALUES])
    assert [name for name in standard_functions() if f"{name}(" not in called] == []


MISTAKES = [
    ("missing", "there is no variable `missing`", (1, 4, 7)),
    ("[\n1,\nmissing]", "there is no variable `missing`", (3, 0, 7)),
    ("1 / 0", "a division by zero has no result", (1, 4, 5)),
    ('"a" + 1', "a number is needed here, not `a`", (1, 4, 3)),
    ('"é" + missing', "there is no variable `missing`", (1, 10, 7)),
    ("[1][3]", "there is no element 3 in a list of 1", (1, 7, 3)),
    ("{ a = 1 }.b", "there is no attribute `b`; there is `a`", (1, 13, 2)),
    ('"x${[1]}"', "a text is needed here, not a list", (1, 8, 3)),
    ('"x${null}"', "`null` cannot be put into a text", (1, 8, 4)),
    ('true ? [1] : "a"', "these are of different kinds: a list and a text", (1, 4, 16)),
    ("upper()", "`upper`: it takes 1 argument, not 0", (1, 4, 7)),
    ("upper(null)", "`upper`: argument 1 is null", (1, 4, 11)),
    ('sort("a")', "`sort`: argument 1 is a text, not a list", (1, 4, 9)),
    ("element([], 0)", "`element`: the list is empty", (1, 4, 14)),
    ('regex("a**", "a")', "`regex`: `a**` is no pattern: bad repetition operator: **",
     (1, 4, 17)),
    ('parseint("z", 10)', "`parseint`: `z` is no number to the base 10", (1, 4, 17)),
    ("pow(10, 1000000)", "`pow`: there is no such number", (1, 4, 16)),
    ("range(1, 1000000000)", "`range`: these are more than 100000 numbers", (1, 4, 20)),
    ('{ for x in ["a", "a"] : x => 1 }', "two elements come to the key `a`", (1, 4, 32)),
    ("[for x in 3 : x]", "a list or an object is needed here, not a number", (1, 14, 1)),
    ('try(a, b)', "`try`: none of these has a value", (1, 4, 9)),
    (r'"\ud83d"', r"`\ud83d` stands for no character", (1, 4, 8)),
    (r'jsondecode("\"\\ud83d\"")',
     "`jsondecode`: this is no JSON: a text in it has half a character", (1, 4, 25)),
    ("convert(1, text)", "`text` is no type", (1, 15, 4)),
    ('"a', "a text has no closing quote on its line", (1, 4, 2)),
    ('["a]', "a text has no closing quote on its line", (1, 5, 3)),
    ("[1, 2", "`]` is missing behind this", (1, 8, 1)),
    ("1 +", "something is missing behind this", (1, 6, 1)),
    ("@", "`x = @` makes no sense here", (1, 0, 5)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message", "place"), MISTAKES, ids=[text for text, _, _ in MISTAKES]
)
def test_a_mistake_is_told_at_its_place(
    text: str, message: str, place: tuple[int, int, int]
) -> None:
    with pytest.raises(BakeFileError) as caught:
        value_of(text)
    where = caught.value.where
    assert where is not None
    assert (caught.value.message, (where.line, where.column, where.length)) == (message, place)


def test_deep_nesting_is_refused_and_nothing_else() -> None:
    with pytest.raises(BakeFileError, match="nested too deeply"):
        value_of("[" * 3000 + "]" * 3000)
