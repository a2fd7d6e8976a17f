"""Image configurations: their JSON, and changes that leave the old one alone."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dissolver.errors import BadImageConfig
from dissolver.image import mutate
from dissolver.image.config import (
    Healthcheck,
    HistoryEntry,
    Image,
    ImageConfig,
    RootFs,
    RunConfig,
    decode_config,
    encode_config,
    image_id,
)
from dissolver.image.platform import Platform
from dissolver.image.timestamps import format_time, parse_time
from dissolver.image.validate import check_config

LAYER = "sha256:" + "1" * 64
SECOND = 1_000_000_000

FULL = ImageConfig(
    architecture="arm",
    os="linux",
    variant="v7",
    created=1_700_000_000 * SECOND + 5,
    author="A B",
    config=RunConfig(
        user="node:node",
        exposed_ports=("443/tcp", "80/tcp"),
        env=("PATH=/bin", "A=b=c"),
        entrypoint=("/entry",),
        cmd=("node", "server.js"),
        volumes=("/data",),
        working_dir="/app",
        labels={"b": "2", "a": "1"},
        stop_signal="SIGQUIT",
        shell=("/bin/bash", "-c"),
        on_build=("RUN x",),
        healthcheck=Healthcheck(test=("CMD", "x"), interval=30 * SECOND, retries=3),
        args_escaped=True,
        unknown={"Hostname": "h", "Memory": 0},
    ),
    rootfs=RootFs(diff_ids=(LAYER,)),
    history=(
        HistoryEntry(created=1, created_by="ADD x /", comment="c", author="a"),
        HistoryEntry(created_by="CMD x", empty_layer=True),
    ),
    unknown={"os.version": "10", "container_config": {"Cmd": None}},
)

DOCUMENT = {
    "architecture": "arm",
    "author": "A B",
    "config": {
        "ArgsEscaped": True,
        "Cmd": ["node", "server.js"],
        "Entrypoint": ["/entry"],
        "Env": ["PATH=/bin", "A=b=c"],
        "ExposedPorts": {"443/tcp": {}, "80/tcp": {}},
        "Healthcheck": {"Interval": 30_000_000_000, "Retries": 3, "Test": ["CMD", "x"]},
        "Hostname": "h",
        "Labels": {"a": "1", "b": "2"},
        "Memory": 0,
        "OnBuild": ["RUN x"],
        "Shell": ["/bin/bash", "-c"],
        "StopSignal": "SIGQUIT",
        "User": "node:node",
        "Volumes": {"/data": {}},
        "WorkingDir": "/app",
    },
    "container_config": {"Cmd": None},
    "created": "2023-11-14T22:13:20.000000005Z",
    "history": [
        {
            "author": "a",
            "comment": "c",
            "created": "1970-01-01T00:00:00.000000001Z",
            "created_by": "ADD x /",
        },
        {"created_by": "CMD x", "empty_layer": True},
    ],
    "os": "linux",
    "os.version": "10",
    "rootfs": {"diff_ids": [LAYER], "type": "layers"},
    "variant": "v7",
}


def test_a_configuration_is_written_with_sorted_keys() -> None:
    expected = json.dumps(DOCUMENT, separators=(",", ":"), sort_keys=True)
    assert encode_config(FULL).decode() == expected


def test_a_configuration_is_read_back() -> None:
    assert decode_config(encode_config(FULL)) == FULL


def test_equal_configurations_have_one_identity() -> None:
    turned = mutate.with_run_config(
        FULL, mutate.with_labels(mutate.with_labels(RunConfig(), {"a": "1"}), {"b": "2"})
    )
    other = mutate.with_run_config(FULL, RunConfig(labels={"b": "2", "a": "1"}))
    assert image_id(turned) == image_id(other)
    assert image_id(turned) != image_id(FULL)


def test_what_is_empty_is_left_out() -> None:
    assert encode_config(ImageConfig(architecture="amd64", os="linux")) == (
        b'{"architecture":"amd64","config":{},"os":"linux",'
        b'"rootfs":{"diff_ids":[],"type":"layers"}}'
    )


def test_null_means_empty() -> None:
    document = {
        "architecture": "amd64",
        "os": "linux",
        "created": None,
        "config": {"Cmd": None, "Env": None, "Labels": None, "Volumes": None, "OnBuild": None},
        "rootfs": {"type": "layers", "diff_ids": [LAYER]},
        "history": None,
    }
    assert decode_config(json.dumps(document).encode()) == ImageConfig(
        architecture="amd64", os="linux", rootfs=RootFs(diff_ids=(LAYER,))
    )


def test_an_image_without_layers_may_say_null_as_buildkit_does() -> None:
    document = {
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": None},
    }
    assert decode_config(json.dumps(document).encode()).diff_ids == ()


FAULTS = [
    b"",
    b"[]",
    b"null",
    b"{}",
    b'{"architecture":"a"}',
    b'{"architecture":1,"os":"linux"}',
    b'{"architecture":"a","os":"l","config":[]}',
    b'{"architecture":"a","os":"l","config":{"Env":"A=b"}}',
    b'{"architecture":"a","os":"l","config":{"Env":[1]}}',
    b'{"architecture":"a","os":"l","config":{"ExposedPorts":["80"]}}',
    b'{"architecture":"a","os":"l","created":"yesterday"}',
    b'{"architecture":"a","os":"l","created":5}',
    b'{"architecture":"a","os":"l","history":{}}',
    b'{"architecture":"a","os":"l","history":[{"created_by":1}]}',
    b'{"architecture":"a","os":"l","rootfs":{"diff_ids":"x"}}',
    b'{"architecture":"a","os":"l","rootfs":[]}',
    b'{"architecture":"\xff","os":"l"}',
    b"[" * 100_000,
]


@pytest.mark.parametrize("document", FAULTS, ids=range(len(FAULTS)))
def test_a_document_that_is_no_configuration_is_refused(document: bytes) -> None:
    with pytest.raises(BadImageConfig):
        decode_config(document)


@given(st.binary(max_size=200))
def test_random_bytes_are_refused_or_read(document: bytes) -> None:
    with contextlib.suppress(BadImageConfig):
        decode_config(document)


def test_a_layer_is_put_on_top() -> None:
    entry = HistoryEntry(created=9, created_by="RUN x", empty_layer=True)
    changed = mutate.with_layer(FULL, LAYER, entry)
    assert changed.diff_ids == (LAYER, LAYER)
    assert changed.created == 9
    assert changed.history[-1] == HistoryEntry(created=9, created_by="RUN x")
    assert FULL.diff_ids == (LAYER,)


def test_history_grows_without_a_layer() -> None:
    changed = mutate.with_history(FULL, HistoryEntry(created_by="CMD x"))
    assert changed.history[-1] == HistoryEntry(created_by="CMD x", empty_layer=True)
    assert (changed.diff_ids, changed.created) == (FULL.diff_ids, FULL.created)


ENVIRONMENTS = [
    ((), "A", "1", ("A=1",)),
    (("A=1", "B=2"), "A", "3", ("A=3", "B=2")),
    (("A=1", "B=2"), "C", "3", ("A=1", "B=2", "C=3")),
    (("AB=1",), "A", "2", ("AB=1", "A=2")),
    (("A",), "A", "2", ("A=2",)),
    (("A=1",), "A", "", ("A=",)),
]


@pytest.mark.parametrize(("before", "name", "value", "after"), ENVIRONMENTS)
def test_a_variable_keeps_its_position(
    before: tuple[str, ...], name: str, value: str, after: tuple[str, ...]
) -> None:
    assert mutate.with_environment(RunConfig(env=before), name, value).env == after


def test_ports_and_volumes_are_sets_in_order() -> None:
    run = mutate.with_ports(RunConfig(exposed_ports=("80/tcp",)), ["443/tcp", "80/tcp"])
    assert run.exposed_ports == ("443/tcp", "80/tcp")
    assert mutate.with_volumes(run, ["/b", "/a", "/b"]).volumes == ("/a", "/b")


def test_small_changes_change_nothing_else() -> None:
    assert mutate.with_author(FULL, "C").author == "C"
    assert mutate.with_created(FULL, None).created is None
    assert mutate.with_platform(FULL, Platform("linux", "amd64")).platform == Platform(
        "linux", "amd64"
    )
    assert mutate.environment_of(FULL.config) == {"PATH": "/bin", "A": "b=c"}


def test_an_image_knows_when_it_was_made() -> None:
    assert Image(id=image_id(FULL), config=FULL, size=3).created == FULL.created


TIMES = [
    ("1970-01-01T00:00:00Z", 0),
    ("1970-01-01T00:00:00.5Z", 500_000_000),
    ("1970-01-01T00:00:01.000000001Z", SECOND + 1),
    ("2023-11-14T22:13:20Z", 1_700_000_000 * SECOND),
    ("1969-12-31T23:59:59.5Z", -500_000_000),
    ("0001-01-01T00:00:00Z", -62_135_596_800 * SECOND),
]


@pytest.mark.parametrize(("text", "nanoseconds"), TIMES)
def test_times_are_read_and_written(text: str, nanoseconds: int) -> None:
    assert parse_time(text) == nanoseconds
    assert format_time(nanoseconds) == text


def test_times_of_other_zones_are_read() -> None:
    assert parse_time("1970-01-01T02:00:00+02:00") == 0
    assert parse_time("1969-12-31t22:30:00-01:30") == 0
    assert parse_time("1970-01-01T00:00:00.1234567899z") == 123_456_789


@pytest.mark.parametrize(
    "text", ["", "now", "2024-01-01", "2024-13-01T00:00:00Z", "2024-01-01T00:00:00", "٢٠٢٤"]
)
def test_other_texts_are_no_times(text: str) -> None:
    with pytest.raises(BadImageConfig):
        parse_time(text)


WRONG = [
    ({"os": ""}, "names no platform"),
    ({"architecture": ""}, "names no platform"),
    ({"rootfs": RootFs(type="tar")}, "unknown type `tar`"),
    ({"rootfs": RootFs(diff_ids=("x",))}, "no valid digest"),
    ({"history": (HistoryEntry(), HistoryEntry())}, "tells of 2 layers, and there are 1"),
]


@pytest.mark.parametrize(("changes", "message"), WRONG)
def test_a_configuration_must_not_contradict_itself(
    changes: dict[str, object], message: str
) -> None:
    from msgspec.structs import replace

    assert check_config(FULL) == FULL
    with pytest.raises(BadImageConfig, match=message):
        check_config(replace(FULL, **changes))
