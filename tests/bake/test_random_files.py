"""Bake files with random changes: a definition or a mistake with its place, never anything else."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from dissolver.bake.hcl.source import Source
from dissolver.bake.requests import build_words
from dissolver.bake.selection import select
from dissolver.bake.show import selection_json, targets_text, variables_text
from dissolver.bake.sources import define
from dissolver.errors import DissolverError

HCL = """
// Variables
variable "GO_VERSION" { default = null }
variable "DESTDIR" { default = "./bin" }
variable "PLATFORMS" {
  type        = list(string)
  default     = ["linux/amd64", "linux/arm64"]
  description = <<-EOT
    what to build for ${upper("all")}
      %{ for p in ["a", "b"] ~}
      ${p}
      %{ endfor ~}
  EOT
  validation {
    condition     = length(PLATFORMS) > 0
    error_message = "say ${1 + 1} platforms"
  }
}
/* Functions */
function "tags" {
  params          = [repo]
  variadic_params = versions
  result          = [for v in concat(versions, ["latest"]) : "${repo}:${v}" if v != ""]
}
IS_CI = equal("true", "${false}") ? true : !true
group "default" { targets = ["binaries"] }
group "validate" {
  targets = ["lint", "vendor-*"] == [] ? [] : ["lint"]
}
target "_common" {
  args = {
    GO_VERSION          = GO_VERSION
    BUILDKIT_CONTEXT    = 1
    "quoted key"        = "a\\tb\\u00e9 $${not} %%{not}"
    (upper("computed")) = { x = [1, 2.5e3] }.x[0]
  }
  labels = merge({ "org.example.a" = "1" }, { for k, v in { b = 2 } : "org.example.${k}" => v })
}
target "binaries" {
  inherits  = ["_common"]
  target    = "binaries"
  output    = [{ type = "local", dest = "${DESTDIR}/build" }, "type=docker"]
  platforms = [PLATFORMS[0]]
  tags      = tags("example/app", "v1", replace("1.0", ".", "-"))
  secret    = ["id=token,env=TOKEN"]
  contexts  = { base = "target:lint-mac", src = "." }
}
target "lint" {
  name     = "lint-${item.os}"
  matrix   = { item = [{ os = "linux", n = 1 }, { os = "mac", n = 2 }] }
  args     = { N = item.n, OTHER = try(target._common.labels["org.example.b"], "none") }
  no-cache = item.n > 1 && true || false
}
"""

COMPOSE = """
x-build: &build
  args: &args { A: 1, B: "${B:-two}" }
  labels: [a=b, 'c']
services:
  web:
    image: web:${TAG-latest}
    environment: { A: x }
    build:
      <<: *build
      context: ./web
      dockerfile_inline: |
        FROM scratch
        COPY . /
      args:
        <<: [*args]
        C:
      shm_size: 64mb
      ulimits: { nofile: { soft: 1, hard: 2 } }
      secrets: [s]
      extra_hosts: ["h:1.2.3.4"]
      x-bake: { tags: a b, platforms: [linux/amd64] }
  db: { extends: web, build: { target: t } }
secrets: { s: { environment: TOKEN } }
"""

JSON = """
{"variable": {"V": {"type": "list(string)", "default": ["a"]}},
 "function": {"f": {"params": ["x"], "result": "${x}!"}},
 "group": {"default": {"targets": ["a"]}},
 "target": {"a": {"tags": ["x:${f(V[0])}"], "args": {"N": 1.5, "E": "\\u00e9"}, "pull": true}}}
"""

TOKENS = (
    *('"', "${", "}", "{", "[", "]", "(", ")", "%{ if ", "%{ for x in ", "~}", "...", ".", "*"),
    *("=>", "?", ":", "<<EOT\n", "\nEOT\n", "null", "1", "-", "\\", "\\u12", "\n", "#", "/*"),
    *('"x"', "target.", "target.lint", "[*]", ".0", "é", "\t", "$", "&&", "upper(", 'format("%'),
    *("!reset ", "<<: *build", "&a ", "- ", "x: ", "'", "null,", "\u2028", "\ufeff", "\U0001f600"),
)


def changed(text: str, chance: random.Random) -> str:
    for _ in range(chance.randint(1, 3)):
        place = chance.randrange(len(text) + 1)
        match chance.randrange(4):
            case 0:
                text = text[:place] + chance.choice(TOKENS) + text[place:]
            case 1:
                text = text[:place] + text[place + chance.randint(1, 8) :]
            case 2:
                other = chance.randrange(len(text) + 1)
                piece = text[other : other + chance.randint(1, 40)]
                text = text[:place] + piece + text[place:]
            case _:
                word = chance.choice(TOKENS)
                text = text[:place] + word + text[place + len(word) :]
    return text


def bake(name: str, text: str) -> None:
    """Do all that comes before a build."""
    definition = define(
        [Source(name, text)],
        environment={},
        given={},
        platform="linux/amd64",
        directory=Path("/nonexistent"),
    )
    targets_text(definition)
    variables_text(definition)
    for asked in (*definition.targets, *definition.groups):
        selection = select(definition, [asked])
        selection_json(selection)
        for target in selection.targets.values():
            build_words(target, {"TOKEN": "x"})


FILES = [("a.hcl", HCL), ("a.yaml", COMPOSE), ("a.json", JSON)]


def mistake(name: str, text: str) -> DissolverError | None:
    """Answer what is wrong with a file."""
    try:
        bake(name, text)
    except DissolverError as error:
        return error
    except Exception as error:  # noqa: BLE001 - whatever it is, the example is wanted
        pytest.fail(f"{type(error).__name__}: {error} for\n{text}")
    return None


@pytest.mark.parametrize(("name", "text"), FILES)
def test_the_files_that_are_changed_are_well(name: str, text: str) -> None:
    assert mistake(name, text) is None


@pytest.mark.parametrize(("name", "text"), FILES)
def test_a_random_change_is_understood_or_told_with_its_place(name: str, text: str) -> None:
    examples = int(os.environ.get("DISSOLVER_FUZZ_EXAMPLES", "900")) // 3
    chance = random.Random(name)
    rejected = 0
    for _ in range(examples):
        example = changed(text, chance)
        error = mistake(name, example)
        if error is not None:
            rejected += 1
            if error.where is not None:
                assert error.where.file == name
                assert 1 <= error.where.line <= example.count("\n") + 1, example
    assert examples // 20 < rejected < examples
