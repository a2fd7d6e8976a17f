"""Mistakes in bake files: told at their place, with what could be meant."""

from __future__ import annotations

import pytest

from bake.conftest import Kitchen
from dissolver.cli.render.failures import failure


def test_a_mistake_looks_like_this(kitchen: Kitchen) -> None:
    error = kitchen.refused(
        'target "default" {\n  dockerfile-inline = "FROM ${BASE_IMGE}"\n}\n'
        'variable "BASE_IMAGE" { default = "x" }\n'
    )
    assert failure(error) == (
        "error: there is no variable `BASE_IMGE`\n"
        "  docker-bake.hcl:2\n"
        '    2 │   dockerfile-inline = "FROM ${BASE_IMGE}"\n'
        "      │                               ^^^^^^^^^\n"
        "hint: did you mean `BASE_IMAGE`?\n"
    )


HCL = [
    ('target "a" { tag = ["x"] }', 1, "a target has no attribute `tag`", "did you mean `tags`?"),
    ('target "a" { policy = [] }', 1, "`policy` is not supported", None),
    ('target "a" { tags = "x" }', 1, "a list is needed here, not a text", None),
    ('target "a" { args = ["x"] }', 1, "an object is needed here, not a list", None),
    ('target "a" { args = { x = [1] } }', 1, "`x` has to be a text, not a list", None),
    ('target "a" { no-cache = "maybe" }', 1,
     "`true` or `false` is needed here, not `maybe`", None),
    ('target "a" { output = ["dest=x,push=true"] }', 1, "an output needs a `type`", None),
    ('target "a" { cache-to = [{ ref = "x" }] }', 1, "a cache needs a `type`", None),
    ('target "a" { secret = ["id=x,mode=1"] }', 1,
     "a secret has no `mode`; it has `id`, `src`, `env` and `type`", None),
    ('target "a" { ssh = [{ key = "x" }] }', 1, "an agent has no `key`; it has `id` and `paths`",
     None),
    ('target "a" {\n args {\n  A = 1\n }\n}', 2, "there are no blocks in a `target`",
     "write `args = { … }`"),
    ('target "a.b" {}', 1, "`a.b` cannot be the name of a target",
     "names have letters, digits, `_` and `-`; `sanitize` makes such names"),
    ("target {}", 1, "`target` has one name behind it, not 0", 'write `target "name" { … }`'),
    ('targets "a" {}', 1, "there are no blocks called `targets`", "did you mean `target`?"),
    ('target "a" {\n tags = ["x"]\n tags = ["y"]\n}', 3, "`tags` was set already, on line 2",
     None),
    ('target "a" { tags = ["x"] pull = true }', 1,
     "this has to begin on a line of its own", None),
    ('target "a" {\n args = { A = 1 B = 2 }\n}', 2,
     "a comma or a new line has to be before this", None),
    ('target "a" {\n tags = ["x\n}', 2, "a text has no closing quote on its line", None),
    ('target "a" {\n tags = ["x"\n}', 2, "`]` is missing behind this", None),
    ('target "a" {\n tags = ["é\\d"]\n}', 2, "`\\d` stands for no character",
     "a backslash itself is `\\\\`"),
    ('target "a" {\n args = { A = \'x\' }\n}', 2, "`\'x\' }` makes no sense here",
     "texts stand in double quotes"),
    ('target "a" {\n args = {\n  A = "x";\n }\n}', 3, "`;` makes no sense here", None),
    ('target "a" {\n dockerfile-inline = <<EOT\nabc\n}', 2,
     "`EOT` is missing, on a line of its own, behind this text", None),
    ('target "a" {\n tags = \n}', 2, "`tags =` makes no sense here", None),
    ('target "a" { tags = [uper("x")] }', 1, "there is no function `uper`",
     "did you mean `upper`?"),
    ('target "a" { tags = [bcrypt("x", 1)] }', 1,
     ("the function `bcrypt` is not supported: "
      "it needs a library for passwords, and makes another hash every time"), None),
    ('target "a" { tags = [target.b.tags[0]] }', 1, "there is no target `b`", None),
    ('target "a" { tags = target.a.tags }', 1, "the value of `tags` depends on itself", None),
    ('target "a" { tags = [target.a.colour] }', 1, "a target has no attribute `colour`", None),
    ('target "a" { tags = [target.a] }', 1, "a text is needed here, not the target `a`", None),
    ('variable "V" { default = "${W}" }\nvariable "W" { default = V }\ntarget "a" {}', 2,
     "`V` depends on itself: V → W → V", None),
    ('function "f" {\n params = [x]\n result = f(x)\n}\ntarget "a" { tags = [f("x")] }', 1,
     "`f()` depends on itself: f() → f()", None),
    ('function "f" { params = [x] }\ntarget "a" {}', 1, "the function `f` has no `result`", None),
    ('function "f" {\n params = [x]\n result = x\n}\ntarget "a" { tags = [f()] }', 5,
     "`f`: it takes 1 arguments, not 0", None),
    ('variable "V" { type = strng }\ntarget "a" {}', 1, "`strng` is no type", None),
    ('variable "V" {\n type = number\n default = "x"\n}\ntarget "a" {}', 3,
     "a number is needed here, not `x`", None),
    ('variable "V" { value = 1 }\ntarget "a" {}', 1, "a variable has no `value`",
     "it has `default`, `type`, `description`"),
    (('variable "V" {\n default = "x"\n validation {\n  condition = V != "x"\n'
      '  error_message = "not ${V}"\n }\n}\ntarget "a" {}'), 4, "`V`: not x", None),
    ('group "g" {}\ntarget "a" {}', 1, "the group `g` has no `targets`", None),
    ('group "g" { targets = ["a"]\n matrix = {} }\ntarget "a" {}', 2,
     "a group has no attribute `matrix`", None),
    ('target "a" { name = "b" }', 1, "`name` is for targets with a `matrix`", None),
    ('target "a" { matrix = ["x"] }', 1, "a matrix is an object, not a list", None),
    ('target "a" { matrix = { x = "y" } }', 1, "`x` of a matrix is a list, not a text", None),
    ('target "a" { matrix = { x = ["1", "2"] } }', 1,
     "two targets of the matrix are called `a`",
     'give them names of their own: `name = "app-${version}"`'),
    ('target "m" {\n name = "a.${x}"\n matrix = { x = [1] }\n}\ntarget "a" {}', 1,
     "`a.1` cannot be the name of a target", None),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "message", "hint"), HCL, ids=[row[0] for row in HCL])
def test_a_mistake_in_hcl_is_told(
    kitchen: Kitchen, text: str, line: int, message: str | None, hint: str | None
) -> None:
    error = kitchen.refused(text, "a")
    assert error.where is not None
    assert (error.where.file, error.where.line) == ("docker-bake.hcl", line)
    if message is not None:
        assert error.message == message
    if hint is not None:
        assert error.hint == hint


SELECTED = [
    ('target "web" {}', ("https://example.com/x.git",),
     "`https://example.com/x.git` is no target, and bake files are not read from repositories",
     "check the repository out, and bake there"),
    ('target "web" {}', ("wbe",), "there is no target `wbe`", "did you mean `web`?"),
    ('target "web" {}', (), "there is no target `default`", "there is `web`"),
    ('target "web" {}', ("x*",), "no target fits `x*`", None),
    ('group "g" { targets = ["web", "dba"] }\ntarget "web" {}\ntarget "db" {}', ("g",),
     "the group `g` has `dba`, and there is no such target", "did you mean `db`?"),
    ('group "g" { targets = ["h"] }\ngroup "h" { targets = ["g"] }', ("g",),
     "the group `g` contains itself: g → h → g", None),
    ('target "a" { inherits = ["bse"] }\ntarget "base" {}', ("a",),
     "`a` inherits from `bse`, and there is no such target", "did you mean `base`?"),
    ('target "a" { inherits = ["b"] }\ntarget "b" { inherits = ["a"] }', ("a",),
     "the target `a` inherits from itself: a → b → a", None),
    ('target "a" { contexts = { x = "target:b" } }', ("a",),
     "`a` takes files from `b`, and there is no such target", None),
    ('target "a" { contexts = { x = "target:b" } }\ntarget "b" { contexts = { x = "target:a" } }',
     ("a",), "the target `a` takes files from itself: a → b → a", None),
]  # fmt: skip


@pytest.mark.parametrize(("text", "asked", "message", "hint"), SELECTED)
def test_what_cannot_be_selected_is_told(
    kitchen: Kitchen, text: str, asked: tuple[str, ...], message: str, hint: str | None
) -> None:
    error = kitchen.refused(text, *asked)
    assert (error.message, error.hint) == (message, hint)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("tags=x", "`--set tags=x`: it has to be `TARGET.KEY=VALUE`"),
        ("a.colour=x", "`--set a.colour=x`: there is no `colour` that could be set"),
        ("a.inherits=x", "`--set a.inherits=x`: there is no `inherits` that could be set"),
        ("a.args=x", "`--set a.args=x`: it has to be `TARGET.args.NAME=VALUE`"),
        ("a.tags", "`--set a.tags`: it has no value"),
        ("a.tags.x=y", "`--set a.tags.x=y`: `tags` has no parts with names"),
        ("a.target+=y", "`--set a.target+=y`: nothing can be added to `target`"),
        ("b.tags=x", "`--set b.tags=x`: there is no target `b`"),
        ("a.no-cache=x", "`--set a.no-cache=x`: `true` or `false` is needed here, not `x`"),
        ("a.output=push=true", "`--set a.output=push=true`: an output needs a `type`"),
    ],
)
def test_what_cannot_be_set_is_told(kitchen: Kitchen, word: str, message: str) -> None:
    assert kitchen.refused('target "a" {}', "a", overrides=[word]).message == message


def test_variables_that_no_file_has_are_told(kitchen: Kitchen) -> None:
    error = kitchen.refused('variable "TAG" {}\ntarget "a" {}', "a", given={"TGA": "x"})
    assert (error.message, error.hint) == (
        "no file declares the variable `TGA`",
        "did you mean `TAG`?",
    )


@pytest.mark.parametrize(
    ("kind", "name", "value", "why"),
    [
        ("number", "V", "x", "a number is needed here, not `x`"),
        ("bool", "V", "maybe", "`true` or `false` is needed here, not `maybe`"),
        ("map(string)", "V", "x", "`map(string)` has to be said as JSON"),
        ("list(number)", "V_JSON", '["x"]', "a number is needed here, not `x`"),
        ("list(number)", "V_JSON", "[1", "this is no JSON: expecting `,` delimiter at character 3"),
    ],
)
def test_a_value_of_the_environment_that_does_not_fit_is_told(
    kitchen: Kitchen, kind: str, name: str, value: str, why: str
) -> None:
    text = f'variable "V" {{ type = {kind} }}\ntarget "a" {{}}'
    error = kitchen.refused(text, "a", environment={name: value})
    assert error.message == f"the value given for `V` does not fit: {why}"


JSON = [
    ('{"target": {"a": {}}', 1, "`,` or `}` is missing here"),
    ('{"target": {"a": {"tags": [x]}}}', 1, "a value is missing here"),
    ('{\n"target": {"a": {"tags": ["${x}"]}}}', 2, "there is no variable `x`"),
    ('{"target": {"a": {"tags": ["${x"]}}}', 1, None),
    ('{"target": ["a"]}', 1, "an object has to be here"),
    ('{"target": {"a": {}}} x', 1, "nothing can follow here"),
    ('{"target": {"a": {\n"tags": [],\n"tags": []}}}', 3, "`tags` is there twice"),
    ('{"target": {"a": {"args": {"A": 1,\n"A": 2}}}}', 2, "`A` is there twice"),
    (
        r'{"target": {"a": {"tags": ["\ud83d"]}}}',
        1,
        "this is no text: half a character is before this",
    ),
    ('{"target": {"a": {"tag": []}}}', 1, "a target has no attribute `tag`"),
]


@pytest.mark.parametrize(("text", "line", "message"), JSON)
def test_a_mistake_in_json_is_told(
    kitchen: Kitchen, text: str, line: int, message: str | None
) -> None:
    error = kitchen.refused({"docker-bake.json": text}, "a")
    assert error.where is not None
    assert (error.where.file, error.where.line) == ("docker-bake.json", line)
    if message is not None:
        assert error.message == message


COMPOSE = [
    ("services: [", 1, None),
    ("services:\n  a:\n    build: { contxt: . }", 3, "the build of a service has no `contxt`"),
    ("services:\n  a:\n    build: { privileged: true }", 3,
     "`privileged` is not supported: no step of a build may have all rights"),
    ("services:\n  a:\n    build: { args: 3 }", 3, "`args` has to be a mapping"),
    ("services:\n  a:\n    build: { tags: x }", 3, "`tags` has to be a list"),
    ("services:\n  a:\n    build: { secrets: [s] }", 3,
     "no secret `s` is defined below `secrets`"),
    ("services:\n  a:\n    build: { secrets: [s] }\nsecrets: { s: { content: x } }", 4,
     "the secret `s` cannot be said in the file itself"),
    ("services:\n  a:\n    build: { dockerfile: x, dockerfile_inline: y }", 3,
     "a build has a `dockerfile` or a `dockerfile_inline`, not both"),
    ("services:\n  a:\n    build: { secrets: [s] }\nsecrets: { s: { external: true } }", 4,
     "secrets of a swarm cannot be had here"),
    ("services:\n  a:\n    build: { shm_size: big }", 3, "`big` is no size like `128m`"),
    ("services:\n  a:\n    build: { x-bake: { tag: x } }", 3, "`x-bake` has no `tag`"),
    ("services:\n  a:\n    build: ${X:?no X}", 3, "the variable `X` has to be set: no X"),
    ("services:\n  a:\n    extends: b\n    build: .", 3, "there is no service `b` to extend"),
    ("services:\n  a:\n    extends: { service: b, file: x }\n    build: .", 3,
     "a service of another file cannot be extended here"),
    ("services:\n  a:\n    extends: a\n    build: .", 3, "`a` extends itself: a → a"),
    ("include: [x]\nservices: {}", 1, "`include` is not supported"),
    ("services:\n  a:\n    build: .\n    build: x", 4, "`build` is there twice"),
    ("services:\n  a: &a\n    build: *a", 2, "this contains itself"),
    ("services:\n  a:\n    build: !exec x", 3, "the tag `!exec` means nothing here"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "message"), COMPOSE, ids=[row[0] for row in COMPOSE])
def test_a_mistake_in_a_compose_file_is_told(
    kitchen: Kitchen, text: str, line: int, message: str | None
) -> None:
    error = kitchen.refused({"compose.yaml": text}, "a")
    assert error.where is not None
    assert (error.where.file, error.where.line) == ("compose.yaml", line)
    if message is not None:
        assert error.message == message


def test_aliases_cannot_exhaust_the_memory(kitchen: Kitchen) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    error = kitchen.refused({"compose.yaml": "\n".join([*lines, "services: {}"])}, "a")
    assert error.message == "this file has too many values"


def test_files_that_cannot_be_read_are_told(kitchen: Kitchen) -> None:
    assert kitchen.refused({}).message == "there is no bake file here"
    assert kitchen.refused({}, named=["x.hcl"]).message == (
        "cannot read the bake file `x.hcl`: no such file or directory"
    )
    assert kitchen.refused({}, named=["https://example.com/x.git"]).message == (
        "`https://example.com/x.git` is no file of this machine"
    )
    relative = kitchen.refused("", environment={"BUILDX_BAKE_FILE_RELATIVE_PATHS": "1"})
    assert relative.message == (
        "paths are relative to the current directory, and BUILDX_BAKE_FILE_RELATIVE_PATHS is set"
    )
    (kitchen.directory / "docker-bake.hcl").write_bytes(b"\xff")
    assert kitchen.refused({}).message == "`docker-bake.hcl` is no text in UTF-8"
    (kitchen.directory / "docker-bake.hcl").write_bytes(b"a\0b")
    assert kitchen.refused({}).message == "`docker-bake.hcl` is no text"
