"""What bake files come to, as `--print` tells it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bake.conftest import Kitchen
from dissolver.bake.show import selection_json

PLAIN = {"context": ".", "dockerfile": "Dockerfile"}


def one(body: str) -> str:
    return f'target "a" {{\n{body}\n}}\n'


# The whole answer ------------------------------------------------------------------


def test_the_answer_is_told_letter_by_letter(kitchen: Kitchen) -> None:
    text = """
        variable "TAG" { default = "latest" }
        group "default" {
          description = "everything"
          targets = ["web", "db"]
        }
        target "_shared" {
          args = { B = 2, A = "<x> & $${y}", NONE = null }
          labels = { "org.example" = "é" }
        }
        target "web" {
          inherits   = ["_shared"]
          tags       = ["example/web:${TAG}", "example/web:${TAG}"]
          contexts   = { base = "target:base", src = "../src" }
          output     = ["type=image,push=true", "out"]
          cache-from = ["user/web:cache", "type=local,src=/c"]
          secret     = ["type=env,id=KUBE", "id=aws,src=/aws"]
          ssh        = ["default", "key=/a,/b"]
          platforms  = ["linux/amd64", "linux/arm64"]
          no-cache   = 1
          pull       = false
        }
        target "db" { dockerfile = "db.Dockerfile" }
        target "base" { target = "base" }
    """
    assert (
        selection_json(kitchen.select(text))
        == """{
  "group": {
    "default": {
      "description": "everything",
      "targets": [
        "db",
        "web"
      ]
    }
  },
  "target": {
    "base": {
      "context": ".",
      "dockerfile": "Dockerfile",
      "target": "base",
      "output": [
        {
          "type": "cacheonly"
        }
      ]
    },
    "db": {
      "context": ".",
      "dockerfile": "db.Dockerfile"
    },
    "web": {
      "context": ".",
      "contexts": {
        "base": "target:base",
        "src": "../src"
      },
      "dockerfile": "Dockerfile",
      "args": {
        "A": "\\u003cx\\u003e \\u0026 $${y}",
        "B": "2"
      },
      "labels": {
        "org.example": "é"
      },
      "tags": [
        "example/web:latest"
      ],
      "cache-from": [
        {
          "ref": "user/web:cache",
          "type": "registry"
        },
        {
          "src": "/c",
          "type": "local"
        }
      ],
      "secret": [
        {
          "id": "KUBE",
          "env": "KUBE"
        },
        {
          "id": "aws",
          "src": "/aws"
        }
      ],
      "ssh": [
        {
          "id": "default"
        },
        {
          "id": "key",
          "paths": [
            "/a",
            "/b"
          ]
        }
      ],
      "platforms": [
        "linux/amd64",
        "linux/arm64"
      ],
      "output": [
        {
          "push": "true",
          "type": "image"
        },
        {
          "dest": "out",
          "type": "local"
        }
      ],
      "pull": false,
      "no-cache": true
    }
  }
}
"""
    )


def test_what_is_printed_is_a_bake_file_itself(kitchen: Kitchen) -> None:
    text = one("""
        args = { A = "$${x}" }
        cache-to = [{ type = "local", dest = "c" }]
        secret = [{ id = "s", src = "f" }]
        ssh = [{ id = "default" }]
        output = [{ type = "tar", dest = "x.tar" }]
    """)
    first = selection_json(kitchen.select(text, "a"))
    again = selection_json(kitchen.select({"other.json": first}, "a", named=["other.json"]))
    assert again == first


def test_without_targets_the_default_is_built(kitchen: Kitchen) -> None:
    files = 'target "default" {}\ntarget "other" {}\n'
    assert kitchen.printed(files) == {
        "group": {"default": {"targets": ["default"]}},
        "target": {"default": PLAIN},
    }
    assert kitchen.printed(files, "other")["group"] == {"default": {"targets": ["other"]}}


GROUPS = """
group "default" { targets = ["all"] }
group "all" { targets = ["web", "db"] }
group "tests" { targets = ["test-a", "test-b", "all"] }
target "web" {}
target "db" {}
target "test-a" {}
target "test-b" {}
"""


@pytest.mark.parametrize(
    ("asked", "groups", "targets"),
    [
        ((), {"default": ["all"], "all": ["web", "db"]}, {"web", "db"}),
        (("all",), {"all": ["web", "db"], "default": ["all"]}, {"web", "db"}),
        (("db", "web"), {"default": ["db", "web"]}, {"web", "db"}),
        (("test-*",), {"default": ["test-a", "test-b"]}, {"test-a", "test-b"}),
        (("tests",), {"tests": ["test-a", "test-b", "all"], "all": ["web", "db"],
                      "default": ["tests"]}, {"web", "db", "test-a", "test-b"}),
        (("web", "default"), {"default": ["all", "web"], "all": ["web", "db"]}, {"web", "db"}),
        (("web", "web"), {"default": ["web"]}, {"web"}),
    ],
)  # fmt: skip
def test_groups_lead_to_targets(
    kitchen: Kitchen, asked: tuple[str, ...], groups: dict[str, Any], targets: set[str]
) -> None:
    told = kitchen.printed(GROUPS, *asked)
    assert {name: group["targets"] for name, group in told["group"].items()} == groups
    assert told["target"].keys() == targets


def test_a_group_counts_before_a_target_of_its_name(kitchen: Kitchen) -> None:
    files = 'target "x" {}\ntarget "y" {}\ngroup "x" { targets = ["y"] }\n'
    assert kitchen.printed(files, "x")["target"].keys() == {"y"}


# Inheritance and merging -------------------------------------------------------------


def test_the_last_of_several_parents_counts(kitchen: Kitchen) -> None:
    files = """
        target "app-dev" {
          args = { GO_VERSION = "1.20", EXPERIMENTAL = 1 }
          tags = ["docker.io/username/myapp"]
          dockerfile = "app.Dockerfile"
          labels = { source = "https://example.com" }
        }
        target "_release" {
          args = { KEEP_GIT = 1, EXPERIMENTAL = 0 }
        }
        target "a" {
          inherits = ["app-dev", "_release"]
          platforms = ["linux/amd64"]
        }
    """
    assert kitchen.target(files) == {
        "dockerfile": "app.Dockerfile",
        "args": {"EXPERIMENTAL": "0", "GO_VERSION": "1.20", "KEEP_GIT": "1"},
        "labels": {"source": "https://example.com"},
        "tags": ["docker.io/username/myapp"],
        "platforms": ["linux/amd64"],
    }


@pytest.mark.parametrize(
    ("attribute", "first", "second", "result"),
    [
        ("tags", '["x"]', '["y"]', ["y"]),
        ("tags", '["x"]', "[]", None),
        ("tags", '["x"]', "null", ["x"]),
        ("platforms", '["linux/amd64"]', '["linux/arm64"]', ["linux/arm64"]),
        ("cache-to", '["x"]', '["type=inline"]', [{"type": "inline"}]),
        ("output", '["type=docker"]', '["-"]', [{"dest": "-", "type": "tar"}]),
        ("target", '"x"', '"y"', "y"),
        ("dockerfile-inline", '"FROM x"', '"FROM y"', "FROM y"),
        ("pull", "true", "false", False),
        ("args", "{ A = 1, B = 1 }", "{ B = 2, A = null }", {"A": "1", "B": "2"}),
        ("labels", "{ A = 1 }", "{ B = 2 }", {"A": "1", "B": "2"}),
        ("contexts", '{ a = "x", b = "y" }', '{ a = "" }', {"b": "y"}),
        ("extra-hosts", '{ a = "1.1.1.1" }', '{ b = "2.2.2.2" }',
         {"a": "1.1.1.1", "b": "2.2.2.2"}),
        ("annotations", '["x=1"]', '["y=2"]', ["x=1", "y=2"]),
        ("secret", '["id=a,src=x"]', '["id=b,src=y"]',
         [{"id": "a", "src": "x"}, {"id": "b", "src": "y"}]),
        ("ssh", '["default"]', '["default"]', [{"id": "default"}]),
        ("cache-from", '["x,y"]', '["y"]',
         [{"ref": "x", "type": "registry"}, {"ref": "y", "type": "registry"}]),
        ("no-cache-filter", '["x"]', '["y", "x"]', ["x", "y"]),
        ("ulimits", '["nofile=1:2"]', '["core=0"]', ["nofile=1:2", "core=0"]),
        ("attest", '["type=provenance,mode=min"]', '["type=provenance,disabled=true"]',
         [{"disabled": True, "type": "provenance"}]),
        ("network", '"none"', '"host"', "host"),
        ("entitlements", '["network.host"]', '["security.insecure"]',
         ["network.host", "security.insecure"]),
    ],
)  # fmt: skip
def test_two_values_of_an_attribute_go_together(
    kitchen: Kitchen, attribute: str, first: str, second: str, result: Any
) -> None:
    inherited = (
        f'target "p" {{ {attribute} = {first} }}\n'
        f'target "a" {{\n inherits = ["p"]\n {attribute} = {second}\n}}\n'
    )
    repeated = f'target "a" {{ {attribute} = {first} }}\ntarget "a" {{ {attribute} = {second} }}\n'
    assert kitchen.target(inherited).get(attribute) == result
    assert kitchen.target(repeated).get(attribute) == result


def test_later_files_change_earlier_ones(kitchen: Kitchen) -> None:
    files = {
        "docker-bake.json": json.dumps(
            {
                "variable": {"TAG": {"default": "json"}},
                "group": {"default": {"targets": ["a"]}},
                "target": {"a": {"tags": ["x:${TAG}"], "args": {"A": '${upper("a")}'}}},
            }
        ),
        "docker-bake.hcl": 'target "a" { args = { B = TAG } }\n',
        "docker-bake.override.json": json.dumps({"target": {"a": {"args": {"A": None, "C": 3}}}}),
        "docker-bake.override.hcl": 'variable "TAG" { default = "last" }\n',
    }
    assert kitchen.target(files) == {
        "args": {"A": "A", "B": "last", "C": "3"},
        "tags": ["x:last"],
    }


@pytest.mark.parametrize(
    "text",
    [
        '{"target": [{"a": {"tags": ["x"]}}, {"a": {"args": {"A": "1"}}}]}',
        '{"target": {"a": [{"tags": ["x"]}, {"args": {"A": "1"}}]}}',
        '{"target": {"a": {"tags": ["x"]}, "a": {"args": {"A": "1"}}}}',
    ],
)
def test_json_says_a_block_more_than_once(kitchen: Kitchen, text: str) -> None:
    assert kitchen.target({"docker-bake.json": text}) == {"args": {"A": "1"}, "tags": ["x"]}


def test_a_group_that_is_said_goes_before_the_one_of_a_matrix(kitchen: Kitchen) -> None:
    files = """
        target "m" {
          name = "m-${v}"
          matrix = { v = ["1", "2"] }
        }
        group "m" { targets = ["m-1"] }
    """
    assert list(kitchen.printed(files, "m")["target"]) == ["m-1"]


def test_functions_that_there_are_stay_as_they_are(kitchen: Kitchen) -> None:
    files = """
        function "upper" {
          params = [x]
          result = "mine"
        }
        target "a" { args = { A = upper("x") } }
    """
    assert kitchen.target(files) == {"args": {"A": "X"}}


def test_a_variable_is_no_json_for_another_one(kitchen: Kitchen) -> None:
    files = """
        variable "V" {
          type = string
          default = "v"
        }
        variable "V_JSON" { default = "" }
        target "a" { args = { A = V } }
    """
    assert kitchen.target(files, environment={"V_JSON": '"x"'}) == {"args": {"A": "v"}}


def test_files_are_found_as_the_environment_says(kitchen: Kitchen) -> None:
    kitchen.write({"x.hcl": one('tags = ["x"]'), "y.hcl": one('args = { Y = "y" }')})
    environment = {"BUILDX_BAKE_FILE": "x.hcl;y.hcl", "BUILDX_BAKE_FILE_SEPARATOR": ";"}
    found = kitchen.target({}, environment=environment)
    assert found == {"args": {"Y": "y"}, "tags": ["x"]}


# Variables and functions ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("declared", "environment", "value"),
    [
        ('default = "x"', {}, "x"),
        ('default = "x"', {"V": "y"}, "y"),
        ('default = "x"', {"V": ""}, ""),
        ("", {}, ""),
        ("", {"V": "y"}, "y"),
        ("default = null", {}, None),
        ("default = null", {"V": "y"}, "y"),
        ("default = 3", {"V": "4"}, "4"),
        ("default = false", {"V": "1"}, "true"),
        ("default = false", {"V": "True"}, "true"),
        ("type = number\n default = 3", {"V": "4.50"}, "4.5"),
        ("type = string\n default = 3", {}, "3"),
        ("type = bool", {"V": "t"}, "true"),
        ("type = string", {}, None),
        ('default = "${OTHER}-x"', {}, "other-x"),
        ('default = "x"', {"V": "y", "BUILDX_BAKE_DISABLE_VARS_ENV_LOOKUP": "1"}, "x"),
    ],
)
def test_a_variable_has_this_value(
    kitchen: Kitchen, declared: str, environment: dict[str, str], value: str | None
) -> None:
    files = f'variable "V" {{\n{declared}\n}}\nvariable "OTHER" {{ default = "other" }}\n' + one(
        'args = { V = V, SAID = "x" }'
    )
    expected = {"SAID": "x"} | ({} if value is None else {"V": value})
    assert kitchen.target(files, environment=environment)["args"] == expected


@pytest.mark.parametrize(
    ("kind", "environment", "value"),
    [
        ("list(string)", {}, '["a"]'),
        ("list(string)", {"V": 'x,"y,z"'}, '["x","y,z"]'),
        ("list(string)", {"V": ""}, "[]"),
        ("list(number)", {"V": "1,2"}, "[1,2]"),
        ("set(string)", {"V": "b,a,b"}, '["a","b"]'),
        ("list(string)", {"V_JSON": '["x", "y"]'}, '["x","y"]'),
        ("list(any)", {"V_JSON": '["x", 1]'}, '["x",1]'),
    ],
)
def test_a_list_can_be_said_in_the_environment(
    kitchen: Kitchen, kind: str, environment: dict[str, str], value: str
) -> None:
    default = '["1"]' if "number" in kind else '["a"]'
    files = f'variable "V" {{\n type = {kind}\n default = {default}\n}}\n' + one(
        "args = { V = jsonencode(V) }"
    )
    assert kitchen.target(files, environment=environment)["args"] == {"V": value}


def test_objects_are_said_as_json(kitchen: Kitchen) -> None:
    files = """
        variable "V" {
          type = map(object({ tag = string, n = optional(number, 5) }))
          default = {}
        }
        target "a" { args = { for k, v in V : k => "${v.tag}/${v.n}" } }
    """
    environment = {"V_JSON": '{"x": {"tag": "t"}, "y": {"tag": 1, "n": "2"}}'}
    assert kitchen.target(files, environment=environment)["args"] == {"x": "t/5", "y": "1/2"}


def test_what_is_said_explicitly_counts_before_the_environment(kitchen: Kitchen) -> None:
    files = 'variable "V" { default = "x" }\n' + one("args = { V = V }")
    found = kitchen.target(files, environment={"V": "env"}, given={"V": "said"})
    assert found["args"] == {"V": "said"}


def test_names_at_the_top_are_constants(kitchen: Kitchen) -> None:
    files = 'registry = "r.example/${TEAM}"\nvariable "TEAM" { default = "t" }\n' + one(
        'tags = ["${registry}/x"]'
    )
    assert kitchen.target(files, environment={"registry": "no"})["tags"] == ["r.example/t/x"]


def test_two_variables_are_there_by_themselves(kitchen: Kitchen) -> None:
    files = one("args = { C = BAKE_CMD_CONTEXT, P = BAKE_LOCAL_PLATFORM }")
    assert kitchen.target(files)["args"] == {"C": "cwd://", "P": "linux/amd64"}


def test_files_define_functions(kitchen: Kitchen) -> None:
    files = """
        variable "REPO" { default = "user/repo" }
        function "increment" {
          params = [number]
          result = number + 1
        }
        function "tag" {
          params          = [tag]
          variadic_params = more
          result          = concat([for t in concat([tag], more) : "${REPO}:${t}"], LAST)
        }
        LAST = ["${REPO}:${increment(increment(1))}"]
        target "a" { tags = tag("v1", "v2") }
    """
    expected = ["user/repo:v1", "user/repo:v2", "user/repo:3"]
    assert kitchen.target(files)["tags"] == expected


def test_json_files_have_functions_and_types_too(kitchen: Kitchen) -> None:
    files = {
        "docker-bake.json": json.dumps(
            {
                "function": {"twice": {"params": ["x"], "result": "${x}${x}"}},
                "variable": {"L": {"type": "list(string)", "default": ["a"]}},
                "target": {"a": {"tags": "${[for l in L : twice(l)]}"}},
            }
        )
    }
    assert kitchen.target(files, environment={"L": "b,c"})["tags"] == ["bb", "cc"]
