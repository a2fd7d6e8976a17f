"""Targets in the words of a build: what each attribute becomes, and what is not allowed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bake.conftest import Kitchen
from dissolver.bake.permissions import Permissions
from dissolver.bake.requests import build_words, check_places
from dissolver.bake.selection import Selection
from dissolver.errors import BakeFileError, DissolverError


def unsupported(attribute: str, why: str) -> str:
    return f"`{attribute}` of the target `a` is not supported: {why}"


ENVIRONMENT = {"TOKEN": "t0k", "SSH_AUTH_SOCK": "/agent"}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("", {"context": ".", "dockerfile": "Dockerfile", "dockerfile_text": None}),
        ('context = "sub"', {"context": "sub", "dockerfile": "sub/Dockerfile"}),
        ('context = "sub/../x"\ndockerfile = "../D"', {"context": "x", "dockerfile": "D"}),
        ('dockerfile = "/abs/D"', {"dockerfile": "/abs/D"}),
        ('context = "cwd://sub"\ndockerfile = "cwd://D"', {"context": "sub", "dockerfile": "D"}),
        ("context = BAKE_CMD_CONTEXT", {"context": ".", "dockerfile": "Dockerfile"}),
        ('context = "https://example.com/x.git#v1"',
         {"context": "https://example.com/x.git#v1", "dockerfile": None}),
        ('context = "https://example.com/x.tar"\ndockerfile = "sub/D"',
         {"context": "https://example.com/x.tar", "dockerfile": "sub/D"}),
        ('dockerfile-inline = "FROM x"', {"dockerfile": None, "dockerfile_text": "FROM x"}),
        ('contexts = { a = "docker-image://x", b = "cwd://sub", c = "target:a2" }',
         {"contexts": {"a": "docker-image://x", "b": "sub"}}),
        ('args = { A = 1, B = null }', {"build_args": {"A": "1"}}),
        ('labels = { A = 1 }', {"labels": {"A": "1"}}),
        ('tags = ["x", "y"]\ntarget = "t"', {"tags": ("x", "y"), "target": "t"}),
        ('platforms = ["linux/arm64"]', {"platform": "linux/arm64"}),
        ('no-cache = true\npull = true', {"no_cache": True, "pull": True}),
        ('no-cache-filter = ["a"]', {"no_cache_filter": ("a",)}),
        ('network = "none"', {"network": "none"}),
        ('network = "host"', {"network": "host", "allow": ("network.host",)}),
        ('shm-size = "64m"', {"shm_size": "64m"}),
        ('ulimits = ["nofile=1:2"]', {"ulimits": ("nofile=1:2",)}),
        ('extra-hosts = { a = "1.2.3.4,::1" }', {"add_hosts": ["a=1.2.3.4", "a=::1"]}),
        ('extra-hosts = { a = "1.2.3.4", b = "::1" }', {"add_hosts": ["a=1.2.3.4", "b=::1"]}),
        ('annotations = ["a=b=c", "manifest:d=e"]',
         {"annotations": {"a": "b=c", "manifest:d": "e"}}),
        ('secret = ["id=a,env=TOKEN", "type=env,id=TOKEN", "id=TOKEN"]',
         {"secrets": {"a": b"t0k", "TOKEN": b"t0k"}}),
        ('ssh = ["default", "key=/k,/l"]',
         {"ssh": {"default": ("/agent",), "key": ("/k", "/l")}}),
        ('attest = ["type=provenance,disabled=true"]', {}),
        ('output = ["type=registry", "x"]',
         {"outputs": [{"type": "registry"}, {"type": "local", "dest": "x"}]}),
        ('output = [{ type = "oci", dest = "x.tar", compression = "zstd" }]',
         {"outputs": [{"type": "oci", "dest": "x.tar", "compression": "zstd"}]}),
        ('cache-from = ["x", "type=local,src=c"]\ncache-to = ["type=inline"]',
         {"cache_from": [{"ref": "x", "type": "registry"}, {"src": "c", "type": "local"}],
          "cache_to": [{"type": "inline"}]}),
        ('call = "build"\ndescription = "x"', {}),
    ],
)  # fmt: skip
def test_an_attribute_becomes_these_words(
    kitchen: Kitchen, body: str, words: dict[str, Any]
) -> None:
    files = f'target "a" {{\n{body}\n}}\ntarget "a2" {{}}\n'
    found = build_words(kitchen.select(files, "a").targets["a"], ENVIRONMENT)
    assert {name: found.get(name) for name in words} == words


def test_a_linked_target_leaves_nothing_behind(kitchen: Kitchen) -> None:
    files = 'target "a" { contexts = { x = "target:b" } }\ntarget "b" { tags = ["b"] }\n'
    selection = kitchen.select(files, "a")
    assert build_words(selection.targets["b"], {})["outputs"] == [{"type": "cacheonly"}]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('context = "-"', unsupported("context", "standard input cannot be had by several builds")),
        ('platforms = ["linux/amd64", "linux/arm64"]',
         unsupported("platforms", "an image is built for one platform at a time")),
        ('attest = ["type=sbom"]', unsupported("attest", "no attestations are made here")),
        ('call = "check"', unsupported("call", "a target can only be built")),
        ('network = "mine"', "unknown network `mine` of a build"),
        ('shm-size = "big"', None),
        ('ulimits = ["nofile"]', None),
        ('extra-hosts = { a = "nowhere" }', "`nowhere` in `a=nowhere` is no IP address"),
        ('annotations = ["a"]', "the annotation `a` has to be `NAME=VALUE`"),
        ('secret = ["id=a,env=UNSET"]', "the variable `UNSET` of the secret `a` is not set"),
        ('secret = ["id=a,src=/none/x"]',
         "cannot read the secret `a` from `/none/x`: no such file or directory"),
        ('ssh = ["default"]', "the agent `default` is needed, and SSH_AUTH_SOCK names none"),
        ('cache-from = ["type=gha"]', None),
        ('cache-to = ["type=local"]', None),
        ('output = ["type=gha"]', "unknown type of output `gha`"),
        ('output = ["type=oci,colour=x"]', "an output of type `oci` has no `colour`"),
    ],
)  # fmt: skip
def test_what_a_build_cannot_do_is_told_at_its_line(
    kitchen: Kitchen, body: str, message: str | None
) -> None:
    target = kitchen.select(f'target "a" {{\n{body}\n}}\n', "a").targets["a"]
    with pytest.raises(DissolverError) as caught:
        build_words(target, {})
    error = caught.value
    assert error.where is not None
    assert (error.where.file, error.where.line) == ("docker-bake.hcl", 2)
    assert message is None or error.message == message


def test_two_targets_cannot_write_one_file(kitchen: Kitchen) -> None:
    files = (
        'target "a" { output = ["type=tar,dest=x.tar"] }\n'
        'target "b" { output = ["type=oci,dest=./x.tar"] }\n'
        'target "c" { output = ["dir"] }\ntarget "d" { output = ["dir"] }\n'
    )
    check_places(kitchen.select(files, "a", "c", "d").targets.values())
    with pytest.raises(BakeFileError) as caught:
        check_places(kitchen.select(files, "a", "b").targets.values())
    assert caught.value.message == "the targets `a` and `b` both write to `./x.tar`"


# What has to be allowed ----------------------------------------------------------------


def refusal(kitchen: Kitchen, body: str, *allow: str, **environment: str) -> str | None:
    """Answer the hint of what is not allowed; nothing if all is."""
    target = kitchen.select(f'target "a" {{\n{body}\n}}\n', "a").targets["a"]
    try:
        Permissions(allow, environment, kitchen.directory).check(target)
    except BakeFileError as error:
        place = None if error.where is None else error.where.line
        return str(error.hint).removeprefix("if you trust the file: ") if place == 2 else "where?"
    return None


@pytest.mark.parametrize(
    ("body", "needed"),
    [
        ('context = "sub"', None),
        ('context = "../x"', "`--allow fs.read=../x`"),
        ('context = "/etc"', "`--allow fs.read=/etc`"),
        ('context = "link"', "`--allow fs.read=link`"),
        ('dockerfile = "../D"', "`--allow fs.read=../D`"),
        ('contexts = { x = "/etc" }', "`--allow fs.read=/etc`"),
        ('contexts = { x = "docker-image://x", y = "https://example.com/x.git" }', None),
        ('contexts = { x = "oci-layout:///etc/x:tag" }', "`--allow fs.read=/etc/x`"),
        ('secret = ["id=x,src=/etc/shadow"]', "`--allow fs.read=/etc/shadow`"),
        ('secret = ["id=/etc/shadow"]', "`--allow fs.read=/etc/shadow`"),
        ('secret = ["id=x,env=HOME"]', None),
        ('ssh = ["key=/root/.ssh/id"]', "`--allow fs.read=/root/.ssh/id`"),
        ('ssh = ["default"]', "`--allow ssh`"),
        ('cache-from = ["type=local,src=/c"]', "`--allow fs.read=/c`"),
        ('cache-to = ["type=local,dest=/c"]', "`--allow fs.write=/c`"),
        ('output = ["/usr/bin"]', "`--allow fs.write=/usr/bin`"),
        ('output = ["out", "type=tar,dest=-"]', None),
        ('output = ["type=oci,dest=/x.tar"]', "`--allow fs.write=/x.tar`"),
        ('network = "host"', "`--allow network.host`"),
        ('entitlements = ["security.insecure"]', "`--allow security.insecure`"),
    ],
)
def test_what_goes_beyond_the_directory_has_to_be_allowed(
    kitchen: Kitchen, body: str, needed: str | None
) -> None:
    (kitchen.directory / "link").symlink_to("/etc")
    assert refusal(kitchen, body) == needed
    if needed is not None:
        assert refusal(kitchen, body, needed.strip("`").removeprefix("--allow ")) is None


def test_directories_are_allowed_with_all_that_is_below(kitchen: Kitchen) -> None:
    body = 'context = "/etc/x/y"'
    assert refusal(kitchen, body, "fs.read=/etc") is None
    assert refusal(kitchen, body, "fs=/etc/x") is None
    assert refusal(kitchen, body, "fs=*") is None
    assert refusal(kitchen, body, "fs.write=/etc") == "`--allow fs.read=/etc/x/y`"
    assert refusal(kitchen, body, "fs.read=/etc/x/yy") == "`--allow fs.read=/etc/x/y`"
    assert refusal(kitchen, body, BUILDX_BAKE_ENTITLEMENTS_FS="0") is None


def test_what_is_set_outside_of_files_is_allowed(kitchen: Kitchen) -> None:
    overrides = ["a.context=/etc", "a.network=host"]
    selection = kitchen.select('target "a" {}', "a", overrides=overrides)
    Permissions((), {}, kitchen.directory).check(selection.targets["a"])


@pytest.mark.parametrize(
    ("body", "override", "needed"),
    [
        ('contexts = { x = "/etc" }', "contexts.y=sub", "fs.read=/etc"),
        ('contexts = { x = "sub" }', "contexts.y=/etc", None),
        ('contexts = { x = "/etc" }', "contexts.x=sub", None),
        ('secret = ["id=x,src=/etc/shadow"]', "secret+=id=y,src=/y", "fs.read=/etc/shadow"),
        ('cache-from = ["type=local,src=/c"]', "cache-from+=type=local,src=/d", "fs.read=/c"),
        ('output = ["out"]', "output+=/out", None),
        ('ssh = ["key=/root/.ssh/id"]', "ssh+=default", "fs.read=/root/.ssh/id"),
        ('entitlements = ["security.insecure"]', "entitlements=network.host", "security.insecure"),
        ('entitlements = ["security.insecure"]', "network=host", "security.insecure"),
    ],
)
def test_what_is_set_beside_a_wish_of_a_file_allows_that_not(
    kitchen: Kitchen, body: str, override: str, needed: str | None
) -> None:
    inheriting = 'target "q" {}\ntarget "a" { inherits = ["p", "q"] }'
    texts = {
        "a": f'target "a" {{\n{body}\n}}',
        "q": f'target "p" {{\n{body}\n}}\n{inheriting}',
    }
    for name, text in texts.items():
        selection = kitchen.select(text, "a", overrides=[f"{name}.{override}"])

        def check(*allow: str, selection: Selection = selection) -> None:
            permissions = Permissions(allow, {}, kitchen.directory, selection.said)
            permissions.check(selection.targets["a"])

        if needed is None:
            check()
            continue
        with pytest.raises(BakeFileError) as caught:
            check()
        assert caught.value.hint == f"if you trust the file: `--allow {needed}`"
        check(needed)


def test_arguments_are_read_from_files_elsewhere_if_that_is_allowed(kitchen: Kitchen) -> None:
    kitchen.write({"there.env": "THERE=2\n", "in/here.env": "HERE=1\n"})
    inner = Kitchen(kitchen.directory / "in")
    text = """services:
  a:
    env_file: [here.env, ../there.env]
    build:
      args: [HERE, THERE]
"""
    target = inner.select({"compose.yaml": text}, "a").targets["a"]
    assert target.named("args") == {"HERE": "1", "THERE": "2"}
    with pytest.raises(BakeFileError) as caught:
        Permissions((), {}, inner.directory).check(target)
    assert (caught.value.message, caught.value.hint) == (
        "the target `a` reads `../there.env`, outside of this directory",
        "if you trust the file: `--allow fs.read=../there.env`",
    )
    assert caught.value.where is not None
    assert caught.value.where.line == 3
    Permissions(["fs.read=../there.env"], {}, inner.directory).check(target)


@pytest.mark.parametrize("word", ["everything", "fs.read", "ssh=x", "fs.exec=/x", "="])
def test_rights_that_there_are_not_are_refused(word: str) -> None:
    with pytest.raises(BakeFileError) as caught:
        Permissions([word], {}, Path())
    assert caught.value.message == f"`--allow {word}` allows nothing that there is"
