"""Bake files that refer, fork and link; what `--set` changes; what `--list` tells."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bake.conftest import Kitchen
from dissolver.bake.show import (
    selection_json,
    targets_json,
    targets_text,
    variables_json,
    variables_text,
)

PLAIN = {"context": ".", "dockerfile": "Dockerfile"}

# References -----------------------------------------------------------------------------


def test_targets_refer_to_what_others_say(kitchen: Kitchen) -> None:
    files = """
        target "a" {
          args = {
            VERSION  = target.base.args.VERSION
            FIRST    = target.base.tags[0]
            NONE     = target.base.network
            PARALLEL = join(",", group.all.targets)
          }
          secret = target.base.secret
        }
        target "base" {
          args   = { VERSION = 3 }
          tags   = ["x", "y"]
          secret = ["id=s,src=f"]
        }
        group "all" { targets = ["a", "base"] }
    """
    assert kitchen.target(files) == {
        "args": {"FIRST": "x", "PARALLEL": "a,base", "VERSION": "3"},
        "secret": [{"id": "s", "src": "f"}],
    }


def test_a_target_refers_to_one_of_a_matrix(kitchen: Kitchen) -> None:
    files = """
        target "m" {
          name = "m-${x}"
          matrix = { x = ["1", "2"] }
          tags = ["t:${x}"]
        }
        target "a" { tags = target["m-2"].tags }
    """
    assert kitchen.target(files)["tags"] == ["t:2"]


# Matrices ----------------------------------------------------------------------------------


def test_a_matrix_makes_targets_and_a_group(kitchen: Kitchen) -> None:
    files = """
        target "app" {
          name = "app-${tgt}-${replace(version, ".", "-")}"
          matrix = {
            tgt = ["foo", "bar"]
            version = ["1.0", "2.0"]
          }
          target = tgt
          args = { VERSION = version }
        }
    """
    told = kitchen.printed(files, "app")
    assert told["group"] == {
        "app": {"targets": ["app-foo-1-0", "app-foo-2-0", "app-bar-1-0", "app-bar-2-0"]},
        "default": {"targets": ["app"]},
    }
    assert told["target"]["app-bar-2-0"] == {
        **PLAIN,
        "args": {"VERSION": "2.0"},
        "target": "bar",
    }
    assert kitchen.printed(files, "app-foo-1-0")["target"].keys() == {"app-foo-1-0"}


def test_a_matrix_of_objects_and_of_variables(kitchen: Kitchen) -> None:
    files = """
        variable "ITEMS" {
          default = [{ tgt = "foo", version = "1.0" }, { tgt = "bar", version = "2.0" }]
        }
        target "app" {
          inherits = ["base-${item.tgt}"]
          name = "app-${sanitize(item.tgt)}"
          matrix = { item = ITEMS }
          args = { VERSION = item.version }
        }
        target "base-foo" { target = "f" }
        target "base-bar" { target = "b" }
    """
    told = kitchen.printed(files, "app")["target"]
    assert told["app-bar"] == {**PLAIN, "args": {"VERSION": "2.0"}, "target": "b"}
    assert told["app-foo"] == {**PLAIN, "args": {"VERSION": "1.0"}, "target": "f"}


# --set --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overrides", "changes"),
    [
        (["a.target=t"], {"target": "t"}),
        (["*.platform=linux/arm64"], {"platforms": ["linux/arm64"]}),
        (["a.platform=x", "a.platform=y"], {"platforms": ["x", "y"]}),
        (["a.tags=z"], {"tags": ["z"]}),
        (["a.tags+=z"], {"tags": ["t", "z"]}),
        (["?.args.V=2"], {"args": {"V": "2", "W": "1"}}),
        (["a.args.N=1"], {"args": {"N": "1", "V": "1", "W": "1"}}),
        (["a.args.ENV"], {"args": {"ENV": "e", "V": "1", "W": "1"}}),
        (["a.args.UNSET"], {}),
        (["a.labels.x.y=1"], {"labels": {"x.y": "1"}}),
        (["a.contexts.src=dir"], {"contexts": {"src": "dir"}}),
        (["a.no-cache=true", "a.pull=1"], {"pull": True, "no-cache": True}),
        (["a.output=type=tar,dest=x"], {"output": [{"dest": "x", "type": "tar"}]}),
        (["a.push=true"], {"output": [{"push": "true", "type": "image"}]}),
        (["a.load=true"], {"output": [{"type": "docker"}]}),
        (["a.load=true", "a.push=true"],
         {"output": [{"type": "docker"}, {"push": "true", "type": "image"}]}),
        (["a.output=type=registry", "a.push=false"], {}),
        (["a.output=type=image,name=x", "a.push=true"],
         {"output": [{"name": "x", "push": "true", "type": "image"}]}),
        (["a.output=type=local,dest=o", "a.push=true", "a.load=true"],
         {"output": [{"dest": "o", "type": "local"}]}),
        (["a.secrets=id=s,src=f"], {"secret": [{"id": "s", "src": "f"}]}),
        (["a.ssh=default"], {"ssh": [{"id": "default"}]}),
        (["a.cache-from=x", "a.cache-from=type=gha"],
         {"cache-from": [{"ref": "x", "type": "registry"}, {"type": "gha"}]}),
        (["a.annotations=x=1"], {"annotations": ["x=1"]}),
        (["a.extra-hosts.h=1.2.3.4"], {"extra-hosts": {"h": "1.2.3.4"}}),
        (["a.network=host"], {"network": "host", "entitlements": ["network.host"]}),
        (["a.context=sub", "a.dockerfile=F"], {"context": "sub", "dockerfile": "F"}),
        (["a.ulimits=core=0", "a.shm-size=1g"], {"shm-size": "1g", "ulimits": ["core=0"]}),
        (["parent.args.W=9"], {"args": {"V": "1", "W": "9"}}),
    ],
    ids=" ".join,
)  # fmt: skip
def test_values_are_set_from_outside(
    kitchen: Kitchen, overrides: list[str], changes: dict[str, Any]
) -> None:
    files = """
        target "parent" { args = { W = 1 } }
        target "a" {
          inherits = ["parent"]
          tags = ["t"]
          args = { V = 1 }
        }
    """
    before = {"tags": ["t"], "args": {"V": "1", "W": "1"}}
    found = kitchen.target(files, overrides=overrides, environment={"ENV": "e"})
    assert found == {**before, **changes}


# Targets as contexts ----------------------------------------------------------------------


def test_linked_targets_come_first_and_make_nothing(kitchen: Kitchen) -> None:
    files = """
        target "a" { contexts = { x = "target:b" } }
        target "b" {
          contexts = { y = "target:c" }
          output = ["type=docker"]
        }
        target "c" { network = "host" }
    """
    selection = kitchen.select(files, "a", "c")
    assert list(selection.targets) == ["c", "b", "a"]
    assert [target.is_linked for target in selection.targets.values()] == [False, True, False]
    printed = json.loads(selection_json(selection))["target"]
    assert printed["b"]["output"] == [{"type": "cacheonly"}]
    assert printed["a"]["entitlements"] == ["network.host"]
    assert "output" not in printed["c"]


# Lists ---------------------------------------------------------------------------------------


LISTED = """
variable "V" {
  type = number
  default = 3
  description = "how many"
}
variable "NONE" { default = null }
variable "L" { default = ["a"] }
group "default" { targets = ["a", "_hidden"] }
target "a" { description = "the first one" }
target "_hidden" {}
"""


def test_targets_and_variables_are_listed(kitchen: Kitchen) -> None:
    definition = kitchen.define(LISTED)
    assert targets_text(definition) == (
        "TARGET    DESCRIPTION\ndefault   a, _hidden\na         the first one\n"
    )
    assert variables_text(definition) == (
        "VARIABLE   TYPE     VALUE    DESCRIPTION\n"
        'L                   ["a"]\n'
        "NONE                <null>\n"
        "V          number   3        how many\n"
    )
    assert json.loads(targets_json(definition)) == [
        {"name": "default", "description": "", "group": True, "targets": ["a", "_hidden"]},
        {"name": "a", "description": "the first one", "group": False},
    ]
    assert json.loads(variables_json(definition))[2] == {
        "name": "V", "type": "number", "value": "3", "description": "how many",
    }  # fmt: skip
