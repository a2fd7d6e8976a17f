"""Compose files: services with a build become targets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bake.conftest import Kitchen
from dissolver.bake.hcl.values import ValueFault
from dissolver.bake.interpolation import interpolate, read_environment_file


def test_services_with_a_build_are_the_default_group(kitchen: Kitchen) -> None:
    files = {
        "compose.yaml": """
name: project
services:
  db:
    build: ./db
    image: docker.io/tonistiigi/db
  web.app:
    build:
      context: ./dir
      dockerfile: Dockerfile-alternate
      args: { buildno: 123, empty: "", version: 1.10 }
    ports: ["80:80"]
  cache:
    image: redis
""",
    }
    assert kitchen.printed(files) == {
        "group": {"default": {"targets": ["db", "web_app"]}},
        "target": {
            "db": {
                "context": "./db",
                "dockerfile": "Dockerfile",
                "tags": ["docker.io/tonistiigi/db"],
            },
            "web_app": {
                "context": "./dir",
                "dockerfile": "Dockerfile-alternate",
                "args": {"buildno": "123", "empty": "", "version": "1.10"},
            },
        },
    }
    assert kitchen.printed(files, "web.app")["target"].keys() == {"web_app"}


def service(build: str, more: str = "") -> dict[str, str]:
    lines = "\n".join(f"      {line}" for line in build.strip("\n").split("\n"))
    return {"compose.yaml": f"services:\n  a:\n    build:\n{lines}\n{more}"}


@pytest.mark.parametrize(
    ("build", "result"),
    [
        ("dockerfile_inline: |\n  FROM alpine\n  RUN true",
         {"dockerfile-inline": "FROM alpine\nRUN true\n"}),
        ("args:\n  - A=1\n  - B\n  - C", {"args": {"A": "1", "B": "from env"}}),
        ("args:\n  A: yes\n  B: true\n  C:", {"args": {"A": "yes", "B": "true"}}),
        ("labels:\n  - a=b=c\n  - d", {"labels": {"a": "b=c", "d": ""}}),
        ("labels: { a: 1 }", {"labels": {"a": "1"}}),
        ("target: prod\nnetwork: none", {"target": "prod", "network": "none"}),
        ("network: host", {"network": "host", "entitlements": ["network.host"]}),
        ("tags: [x, y]", {"tags": ["x", "y"]}),
        ("platforms: [linux/amd64]", {"platforms": ["linux/amd64"]}),
        ("cache_from: [alpine, 'type=local,src=c']\ncache_to: ['type=local,dest=c']",
         {"cache-from": [{"ref": "alpine", "type": "registry"}, {"src": "c", "type": "local"}],
          "cache-to": [{"dest": "c", "type": "local"}]}),
        ("no_cache: true\npull: true", {"no-cache": True, "pull": True}),
        ("no_cache: false", {}),
        ("extra_hosts:\n  - a=1.1.1.1\n  - b:2.2.2.2",
         {"extra-hosts": {"a": "1.1.1.1", "b": "2.2.2.2"}}),
        ("extra_hosts:\n  - a:1.1.1.1\n  - a:2.2.2.2", {"extra-hosts": {"a": "1.1.1.1,2.2.2.2"}}),
        ("extra_hosts: { a: 1.1.1.1 }", {"extra-hosts": {"a": "1.1.1.1"}}),
        ("additional_contexts:\n  - r=https://example.com/x.git\n  - b=service:base.img",
         {"contexts": {"b": "target:base_img", "r": "https://example.com/x.git"}}),
        ("shm_size: 128mb", {"shm-size": "128MiB"}),
        ("shm_size: 2147483648", {"shm-size": "2GiB"}),
        ("ulimits:\n  nproc: 65535\n  nofile: { soft: 10, hard: 20 }",
         {"ulimits": ["nproc=65535:65535", "nofile=10:20"]}),
        ("ssh: [key=./k, default]", {"ssh": [{"id": "default"}, {"id": "key", "paths": ["./k"]}]}),
        ("ssh: { default: }", {"ssh": [{"id": "default"}]}),
        ("provenance: mode=max\nsbom: false",
         {"attest": [{"mode": "max", "type": "provenance"}, {"disabled": True, "type": "sbom"}]}),
        ("privileged: false\nx-other: { a: b }", {}),
        ("tags: [x]\nx-bake:\n  tags: [y]\n  platforms: linux/amd64 linux/arm64\n  pull: true",
         {"tags": ["x", "y"], "platforms": ["linux/amd64", "linux/arm64"], "pull": True}),
        ("x-bake:\n  secret: ['id=s,src=f']\n  output: type=docker\n  contexts: { c: d }",
         {"secret": [{"id": "s", "src": "f"}], "output": [{"type": "docker"}],
          "contexts": {"c": "d"}}),
        ("args: { A: '${A:-1}$$x', B: \"${UNSET}\", D: '${B?needed}' }",
         {"args": {"A": "1$x", "B": "", "D": "from env"}}),
    ],
    ids=lambda value: value.replace("\n", " ") if isinstance(value, str) else "",
)  # fmt: skip
def test_a_build_section_says_this(kitchen: Kitchen, build: str, result: dict[str, Any]) -> None:
    files = service(build, "  base.img: { build: . }\n")
    assert kitchen.target(files, environment={"B": "from env"}) == result


def test_secrets_are_defined_at_the_top(kitchen: Kitchen) -> None:
    more = "secrets:\n  token: { environment: TOKEN }\n  aws: { file: ./aws }\n"
    files = service("secrets:\n  - token\n  - source: aws\n    target: x", more)
    assert kitchen.target(files)["secret"] == [
        {"id": "token", "env": "TOKEN"},
        {"id": "aws", "src": "./aws"},
    ]


def test_arguments_take_the_values_of_the_service(kitchen: Kitchen) -> None:
    kitchen.write({".env": "FROM_DOTENV=dot\nA=dot\n", "vars.env": "FILE='one two'\nA=file\n"})
    files = {
        "compose.yaml": """
services:
  a:
    image: x:${FROM_DOTENV}
    env_file: [vars.env, { path: none.env, required: false }]
    environment: { A: service }
    build:
      context: .
      args: [A, FILE, FROM_DOTENV, NOWHERE]
""",
    }
    assert kitchen.target(files) == {
        "args": {"A": "service", "FILE": "one two", "FROM_DOTENV": "dot"},
        "tags": ["x:dot"],
    }


def test_anchors_merges_and_extends_are_followed(kitchen: Kitchen) -> None:
    files = {
        "compose.yaml": """
x-build: &build
  args: &args { A: 1, B: 1 }
  target: prod
services:
  base:
    build: { context: base, args: { C: 3 }, tags: [b] }
  a:
    extends: base
    build:
      <<: *build
      args:
        <<: [*args, { D: 4 }]
        B: 2
      tags: [t]
""",
    }
    assert kitchen.target(files) == {
        "context": "base",
        "args": {"A": "1", "B": "2", "C": "3", "D": "4"},
        "tags": ["b", "t"],
        "target": "prod",
    }


def test_later_compose_files_and_bake_files_go_on_top(kitchen: Kitchen) -> None:
    files = {
        "compose.yaml": "services:\n  a:\n    build: { context: x, args: { A: 1, B: 1 },"
        " tags: [t], target: p }\n",
        "docker-compose.yml": "services:\n  a:\n    build: { args: [B=2], tags: !override [u],"
        " target: !reset null }\n  b:\n    build: .\n",
        "docker-bake.hcl": 'variable "V" { default = "1" }\n'
        'target "a" { args = { V = V }\n pull = true }\n',
    }
    assert kitchen.target(files, given={"V": "2"}) == {
        "context": "x",
        "args": {"A": "1", "B": "2", "V": "2"},
        "tags": ["u"],
        "pull": True,
    }
    assert kitchen.printed(files)["group"] == {"default": {"targets": ["a", "b"]}}


def test_standard_input_may_be_any_of_the_three(kitchen: Kitchen) -> None:
    from pathlib import Path

    from dissolver.bake.sources import define, read_sources

    for text in (
        'target "a" { tags = ["x"] }',
        '{"target": {"a": {"tags": ["x"]}}}',
        "services:\n  a: { build: {tags: [x]} }\n",
    ):
        sources = read_sources(["-"], Path(), text)
        found = define(sources, environment={}, given={}, platform="", directory=Path("/none"))
        assert found.targets["a"].texts("tags") == ("x",)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a $A ${A} $$A", "a 1 1 $A"),
        ("${E-x}${E:-x}${U-x}${U:-x}", "xxx"),
        ("${A+x}${E+x}${E:+x}${U+x}", "xx"),
        ("${U:-${A:-x}}", "1"),
        ("${U:-a:-b}", "a:-b"),
        ("${U}", ""),
        ("$ 5, $1, ^a$", "$ 5, $1, ^a$"),
        ("${U:-^a$}", "^a$"),
    ],
)
def test_variables_are_put_in(text: str, value: str) -> None:
    assert interpolate(text, {"A": "1", "E": ""}) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${", "`${` has braces without a name"),
        ("${A", "`${A` has no form that is known"),
        ("${A:-x", "`${A:-x` has no closing brace"),
        ("${U:?say it}", "the variable `U` has to be set: say it"),
        ("${E:?}", "the variable `E` has to be set"),
        ("${A/x}", "`${A/x}` has no form that is known"),
    ],
)
def test_variables_that_cannot_be_put_in(text: str, message: str) -> None:
    with pytest.raises(ValueFault) as caught:
        interpolate(text, {"A": "1", "E": ""})
    assert str(caught.value) == message


def test_environment_files_are_read() -> None:
    text = (
        "# a comment\n\nA=1\nexport B = two words # more\nC='$A \\n'\nD=\"$A\\n${X}\"\n"
        'E="first\nsecond"\nF=\nG\nH=a#b\n'
    )
    assert read_environment_file(text, {"X": "x", "G": "g"}) == {
        "A": "1", "B": "two words", "C": "$A \\n", "D": "1\nx", "E": "first\nsecond",
        "F": "", "G": "g", "H": "a#b",
    }  # fmt: skip


def test_a_line_that_is_none_of_an_environment_file_is_not_shown() -> None:
    with pytest.raises(ValueFault) as caught:
        read_environment_file('A="x\ny"\n\n-----BEGIN KEY-----\n', {})
    assert str(caught.value) == "its line 4 has to be `NAME=value`"


def test_the_environment_file_stays_in_its_directory(kitchen: Kitchen, tmp_path: Path) -> None:
    secret = tmp_path.with_name(f"{tmp_path.name}-secret")
    secret.write_text("PASSWORD=1\n", encoding="utf-8")
    compose = "services: {app: {build: {context: ., args: {A: $PASSWORD}}}}\n"
    (kitchen.directory / ".env").symlink_to(secret)
    refused = kitchen.refused({"compose.yaml": compose})
    assert refused.message == "`.env` leads out of the current directory"
    (kitchen.directory / ".env").unlink()
    kitchen.write({"dev.env": "PASSWORD=2\n"})
    (kitchen.directory / ".env").symlink_to("dev.env")
    assert kitchen.target({"compose.yaml": compose}, "app")["args"] == {"A": "2"}
