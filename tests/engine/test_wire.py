"""Values that cross to another process arrive as they were sent."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dissolver.build.events import Vertex, Warning_
from dissolver.build.request import BuildRequest, BuildResult, Exported, StepOutcome
from dissolver.containers.options import RunOptions
from dissolver.engine.results import HistoryRow, Pruned, RunResult
from dissolver.engine.wire import Decoder, Descriptor, Encoder
from dissolver.errors import DissolverError, StepFailed, Where
from dissolver.export.output import Output
from dissolver.image.annotations import Annotation, Annotations
from dissolver.image.config import HistoryEntry, Image, ImageConfig, RootFs, RunConfig
from dissolver.image.reference import Reference
from dissolver.sandbox.confinement import Confinement, Limit
from dissolver.store.images import ListedImage
from dissolver.store.layer_blobs import Packing

CONFIG = ImageConfig(
    architecture="amd64",
    os="linux",
    created=1_700_000_000_123_456_789,
    config=RunConfig(env=("PATH=/bin",), labels={"a": "b"}, unknown={"Domainname": "x"}),
    rootfs=RootFs(diff_ids=("sha256:" + "0" * 64,)),
    history=(HistoryEntry(created=1, created_by="RUN true"),),
)
IMAGE = Image("sha256:" + "1" * 64, CONFIG, 12)


def crossed(value: object) -> Any:
    text = json.dumps(Encoder().encode(value))
    return Decoder().decode(json.loads(text))


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        -(2**70),
        1.5,
        "text",
        b"\x00\xff",
        (),
        (1, ("two", b"3")),
        [1, [2]],
        {},
        {"a": (1,)},
        {"$tuple": 1},
        {1: "one"},
        Path("/a/b"),
        BuildRequest("ctx", tags=("a:b",), build_args={"$x": "y"}),
        BuildRequest(
            "ctx",
            hosts=(("db", "::1"),),
            confinement=Confinement(limits=(Limit("core", 0, -1),)),
            annotations=(Annotation("a", "b", "manifest-descriptor", "linux/amd64"),),
            labels={"a": "b"},
        ),
        RunOptions(detach=True, security=("x",), shm_size="1g", ulimits=("core=0", "nofile=1")),
        BuildRequest("ctx", outputs=(Output("oci", "/a", ("b",), packing=Packing("zstd", 3)),)),
        BuildResult(
            IMAGE,
            (),
            1.5,
            Annotations({"a": "b"}),
            (Exported("oci", "/a", IMAGE.id, ("docker.io/library/a:1",), "sha256:d"),),
        ),
        BuildResult(IMAGE, (StepOutcome("[1/1] RUN x", "stage-0", True, None, "d", 0.5),), 1.5),
        ListedImage(IMAGE, (Reference("docker.io", "library/node", "latest"),)),
        Vertex(1, "x", 1.0, 2.0, cached=True),
        Warning_(1, "m", "h", Where("Dockerfile", 1, 2, ("a", "b"), 3, 4)),
        HistoryRow(None, None, "RUN", 3, ""),
        Pruned(images=("a",), reclaimed_bytes=5),
        RunResult("id", 137, b"\xffout", b""),
    ],
)
def test_values_arrive_as_they_were_sent(value: object) -> None:
    found = crossed(value)
    assert found == value
    assert type(found) is type(value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text() | st.binary(),
        lambda inner: (
            st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text(), inner)
        ),
        max_leaves=20,
    )
)
def test_any_nesting_of_plain_values_arrives(value: object) -> None:
    assert crossed(value) == value


def test_an_error_arrives_with_its_fields() -> None:
    sent = StepFailed(
        'process "/bin/sh -c exit 7" did not complete successfully: exit code: 7',
        status=7,
        hint="try again",
        where=Where("Dockerfile", 3, 3, ("RUN exit 7",)),
        detail=("going down",),
    )
    found = crossed(sent)
    assert type(found) is StepFailed
    assert vars(found) == vars(sent)
    assert str(found) == str(sent)


def test_an_open_file_is_set_aside_and_put_in_again() -> None:
    encoder = Encoder()
    message = encoder.encode({"stdin": Descriptor(0), "stdout": Descriptor(7)})
    assert encoder.descriptors == [0, 7]
    assert Decoder(descriptors=(20, 21)).decode(message) == {"stdin": 20, "stdout": 21}


def test_callbacks_and_cancellations_are_set_aside() -> None:
    encoder = Encoder()
    cancel = threading.Event()
    message = [encoder.encode(print, "on_event"), encoder.encode(cancel, "cancel")]
    assert encoder.callbacks == {"on_event": print}
    assert encoder.cancel is cancel
    other = threading.Event()
    decoded = Decoder(callback=lambda name: repr if name == "on_event" else str, cancel=other)
    assert decoded.decode(message) == [repr, other]


@pytest.mark.parametrize("value", [object(), 1j, {"a": object()}])
def test_what_cannot_cross_is_refused_by_the_sender(value: object) -> None:
    with pytest.raises(TypeError, match="cannot cross to another process"):
        Encoder().encode(value)


@pytest.mark.parametrize(
    "message",
    [
        {"$value": ["os:system", {}]},
        {"$value": ["dissolver.engine.wire:Encoder", {}]},
        {"$value": ["dissolver.engine.wire:nothing", {}]},
        {"$error": ["dissolver.errors:Where", {}]},
        {"$unheard": 1},
    ],
)
def test_only_the_packages_own_data_is_ever_made(message: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        Decoder().decode(message)


def test_every_error_of_the_package_can_cross() -> None:
    kinds = [DissolverError]
    for kind in kinds:
        kinds.extend(kind.__subclasses__())
    for kind in kinds:
        bare = kind.__new__(kind)
        Exception.__init__(bare, "m")
        vars(bare).update(message="m", hint=None, where=None, detail=())
        assert type(crossed(bare)) is kind
