"""What differs between two configurations, field by field."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from dissolver.image.compare import (
    FieldChange,
    compare_configs,
    compare_history,
    compare_layers,
)
from dissolver.image.config import HistoryEntry, ImageConfig, RunConfig, decode_config
from dissolver.image.mutate import with_layers

PLAIN = ImageConfig("amd64", "linux")
RUN = RunConfig(env=("PATH=/bin", "A=1"), exposed_ports=("80/tcp",), cmd=("sh",))
FULL = replace(PLAIN, created=0, config=RUN)


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (FULL, []),
        (replace(FULL, architecture="arm64"), [("architecture", "amd64", "arm64")]),
        (replace(FULL, variant="v8"), [("variant", None, "v8")]),
        (
            replace(FULL, created=1_000_000_000),
            [("created", "1970-01-01T00:00:00Z", "1970-01-01T00:00:01Z")],
        ),
        (
            replace(FULL, config=replace(RUN, env=("A=2", "B="))),
            [
                ("config.Env.A", "1", "2"),
                ("config.Env.B", None, ""),
                ("config.Env.PATH", "/bin", None),
            ],
        ),
        (
            replace(FULL, config=replace(RUN, exposed_ports=("80/tcp", "81/tcp"))),
            [("config.ExposedPorts.81/tcp", None, {})],
        ),
        (
            replace(FULL, config=replace(RUN, exposed_ports=())),
            [("config.ExposedPorts.80/tcp", {}, None)],
        ),
        (
            replace(FULL, config=replace(RUN, labels={"a": "b"})),
            [("config.Labels.a", None, "b")],
        ),
        (replace(FULL, config=replace(RUN, cmd=("ls",))), [("config.Cmd", ["sh"], ["ls"])]),
        (replace(FULL, config=replace(RUN, cmd=())), [("config.Cmd", ["sh"], None)]),
    ],
)
def test_every_field_that_differs_is_told(after: ImageConfig, expected: list[Any]) -> None:
    assert compare_configs(FULL, after) == tuple(FieldChange(*one) for one in expected)
    turned = tuple(FieldChange(name, right, left) for name, left, right in expected)
    assert compare_configs(after, FULL) == turned


def test_fields_that_nobody_knows_are_compared_too() -> None:
    one, other = (
        decode_config(b'{"architecture":"amd64","os":"linux","config":{},"moby":{"a":%d}}' % value)
        for value in (1, 2)
    )
    assert compare_configs(one, other) == (FieldChange("moby.a", 1, 2),)


def test_layers_and_history_are_compared_place_by_place() -> None:
    one = with_layers(PLAIN, ("sha256:a", "sha256:b"))
    other = with_layers(PLAIN, ("sha256:a", "sha256:c", "sha256:d"))
    assert compare_layers(one, other) == (
        FieldChange("layers.1", "sha256:b", "sha256:c"),
        FieldChange("layers.2", None, "sha256:d"),
    )
    history = (HistoryEntry(created=0, created_by="RUN a"), HistoryEntry(created_by="CMD b"))
    left = replace(PLAIN, history=history)
    right = replace(PLAIN, history=(replace(history[0], created=1_000_000_000),))
    assert compare_history(left, right) == (
        FieldChange("history.0.created", "1970-01-01T00:00:00Z", "1970-01-01T00:00:01Z"),
        FieldChange("history.1", {"created_by": "CMD b"}, None),
    )
    assert compare_configs(one, other) == compare_configs(left, right) == ()
