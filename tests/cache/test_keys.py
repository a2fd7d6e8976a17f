"""Cache keys: what a step depends on, and what it does not."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from dissolver.cache.inputs import digest_inputs
from dissolver.cache.keys import KEY_VERSION, copy_key, run_key, workdir_key
from dissolver.errors import Where
from dissolver.image.config import RunConfig
from dissolver.plan.steps import CopyStep, InlineFile, RunStep, WorkdirStep
from dissolver.store.packed_inputs import pack_inputs

WHERE = Where("Dockerfile", 3, 3)
RUN = RunStep(
    where=WHERE,
    display="RUN make",
    created_by="RUN /bin/sh -c make # buildkit",
    config=RunConfig(),
    argv=("/bin/sh", "-c", "make"),
    env=(("PATH", "/bin"), ("A", "1")),
    cwd="/app",
    user="",
)
ONE = pack_inputs([("context/a", "1")])
PARENTS = ("sha256:" + "a" * 64, "sha256:" + "b" * 64)


def test_the_key_of_a_step_is_a_disk_format() -> None:
    # A change of this digest forgets every cached result: raise KEY_VERSION with it.
    assert run_key(RUN, PARENTS).digest == (
        "sha256:33baada310de7242f89c29579468562ef7b703e02bc6f75c93ee57d7e11b3690"
    )


def test_the_inputs_of_a_run_are_named_one_by_one() -> None:
    assert run_key(RUN, PARENTS).inputs == (
        ("command", '["/bin/sh", "-c", "make"]'),
        ("env.A", "1"),
        ("env.PATH", "/bin"),
        ("user", ""),
        ("workdir", "/app"),
        ("network", "default"),
        ("parent.0", PARENTS[0]),
        ("parent.1", PARENTS[1]),
    )


@pytest.mark.parametrize(
    "change",
    [
        {"argv": ("/bin/sh", "-c", "make ")},
        {"argv": ("/bin/sh", "-c make")},
        {"env": (("PATH", "/bin"), ("A", "2"))},
        {"env": (("PATH", "/bin"),)},
        {"env": (("PATH", "/bin"), ("A", ""), ("B", "1"))},
        {"cwd": "/"},
        {"user": "node"},
        {"network": "none"},
        {"files": (InlineFile(path="script", content="#!/bin/sh\n", mode=0o755),)},
    ],
)
def test_what_a_process_can_observe_changes_the_key(change: dict[str, Any]) -> None:
    assert run_key(replace(RUN, **change), PARENTS).digest != run_key(RUN, PARENTS).digest


@pytest.mark.parametrize(
    "change",
    [
        {"where": Where("Containerfile", 99, 101)},
        {"display": "RUN something else"},
        {"created_by": "RUN |1 A=1 make"},
        {"config": RunConfig(labels={"version": "2"}, cmd=("sh",))},
        {"env": (("A", "1"), ("PATH", "/bin"))},
        {"shell_form": True},
        {"proxies": (("HTTP_PROXY", "http://proxy:3128"),)},
    ],
)
def test_what_a_process_cannot_observe_keeps_the_key(change: dict[str, Any]) -> None:
    assert run_key(replace(RUN, **change), PARENTS).digest == run_key(RUN, PARENTS).digest


@pytest.mark.parametrize("parents", [(), PARENTS[:1], PARENTS[::-1], (*PARENTS, PARENTS[0])])
def test_the_layers_below_change_the_key(parents: tuple[str, ...]) -> None:
    assert run_key(RUN, parents).digest != run_key(RUN, PARENTS).digest


def test_the_network_in_effect_counts_and_not_how_it_was_asked_for() -> None:
    asked = run_key(replace(RUN, network="none"), PARENTS)
    assert run_key(RUN, PARENTS, network="none").digest == asked.digest


def test_what_is_unusual_about_the_machine_comes_behind_the_platform() -> None:
    key = run_key(
        RUN,
        PARENTS,
        platform="linux/arm64",
        unusual=[("host.db", ""), ("shm", "1")],
        mounts=[("mount./x", "cache rw")],
    )
    assert [name for name, _ in key.inputs][5:] == [
        "network",
        "platform",
        "host.db",
        "shm",
        "mount./x",
        "parent.0",
        "parent.1",
    ]


def test_another_platform_changes_the_key() -> None:
    assert run_key(RUN, PARENTS, platform="linux/arm64").digest != run_key(RUN, PARENTS).digest


def test_the_content_and_the_mode_of_inline_files_count() -> None:
    file = InlineFile(path="script", content="a", mode=0o755)
    keys = {
        run_key(replace(RUN, files=(each,)), PARENTS).digest
        for each in (file, replace(file, content="b"), replace(file, mode=0o644))
    }
    assert len(keys) == 3


def test_a_copy_depends_on_its_listing_alone() -> None:
    step = CopyStep(
        where=WHERE,
        display="COPY . /app",
        created_by="COPY . /app # buildkit",
        config=RunConfig(),
        sources=(".",),
        destination="/app/",
    )
    key = copy_key(step, "blake3:1", lambda: ONE)
    assert key.inputs == (("context/a", "1"),)
    renamed = replace(step, display="COPY ./ /app", where=Where("Dockerfile", 9, 9))
    assert copy_key(renamed, "blake3:1", bytes).digest == key.digest
    assert copy_key(step, "blake3:2", lambda: ONE).digest != key.digest


def test_a_copy_lists_its_inputs_only_when_they_are_looked_at() -> None:
    asked: list[str] = []

    def listed() -> bytes:
        asked.append("now")
        return pack_inputs([("destination", "/app"), ("context/a", "1")])

    common = {"where": WHERE, "display": "", "created_by": "", "config": RunConfig()}
    copy = CopyStep(sources=("a",), destination="/app", **common)
    key = copy_key(copy, "blake3:1", listed)
    assert asked == []
    assert (key.inputs[0], len(key.inputs)) == (("destination", "/app"), 2)
    assert asked == ["now"]


def test_kinds_of_steps_do_not_share_keys() -> None:
    common = {"where": WHERE, "display": "", "created_by": "", "config": RunConfig()}
    workdir = WorkdirStep(path="/app", user="", **common)
    copy = CopyStep(sources=("a",), destination="/app", **common)
    assert (
        workdir_key(workdir, "blake3:1", bytes).digest != copy_key(copy, "blake3:1", bytes).digest
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([("a", "bc")], [("ab", "c")]),
        ([("a", "b"), ("c", "d")], [("a", "b"), ("d", "c")]),
        ([("a", "")], [("a", ""), ("", "")]),
        ([], [("", "")]),
        ([("a", "b\0c")], [("a\0b", "c")]),
    ],
)
def test_different_inputs_never_run_together(
    one: list[tuple[str, str]], other: list[tuple[str, str]]
) -> None:
    assert digest_inputs("run", 1, one) != digest_inputs("run", 1, other)


def test_a_new_version_forgets_all_keys() -> None:
    assert digest_inputs("run", KEY_VERSION, []) != digest_inputs("run", KEY_VERSION + 1, [])


def test_names_that_are_not_unicode_can_be_hashed() -> None:
    name = b"context/\xff".decode("utf-8", "surrogateescape")
    assert digest_inputs("copy", 1, [(name, "1")]) != digest_inputs("copy", 1, [("context/", "1")])
