"""Manifests and indexes as the OCI image specification has them, and as it does not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dissolver.errors import BadManifest
from dissolver.image import media_types
from dissolver.image.choice import choose
from dissolver.image.manifest import (
    MANIFEST_LIMIT,
    checked_digest,
    decode_index,
    decode_manifest,
    encode,
    platform_of,
)
from dissolver.image.platform import Platform

ONE, TWO, THREE = (f"sha256:{digit * 64}" for digit in "123")
EMPTY = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
"""Of `{}`, which is the configuration of what needs none."""


def described(media_type: str, digest: str = ONE, size: int = 7, **more: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest, "size": size, **more}


CONFIG = described(media_types.OCI_CONFIG)
LAYERS = [
    described("application/vnd.oci.image.layer.v1.tar+gzip", TWO, 32654),
    described("application/vnd.oci.image.layer.v1.tar+gzip", THREE, 16724),
]
IMAGE = {
    "schemaVersion": 2,
    "mediaType": media_types.OCI_MANIFEST,
    "config": CONFIG,
    "layers": LAYERS,
}


@pytest.mark.parametrize(
    "document",
    [
        IMAGE,
        {key: value for key, value in IMAGE.items() if key != "mediaType"},
        {**IMAGE, "annotations": {"com.example.key1": "value1", "": ""}},
        {**IMAGE, "subject": described(media_types.OCI_MANIFEST, EMPTY, 7682)},
        {**IMAGE, "artifactType": "application/vnd.example.data"},
        {**IMAGE, "config": {**CONFIG, "data": "e30=", "annotations": {"a": "b"}}},
        {**IMAGE, "layers": [{**one, "urls": ["https://a.example/b"]} for one in LAYERS]},
        {**IMAGE, "layers": [{**one, "artifactType": "x/y", "unknown": {}} for one in LAYERS]},
        {**IMAGE, "unknown": [1, None, {"deep": True}]},
        {
            "schemaVersion": 2,
            "mediaType": media_types.DOCKER_MANIFEST,
            "config": described(media_types.DOCKER_CONFIG),
            "layers": [described("application/vnd.docker.image.rootfs.diff.tar.gzip", TWO, 32654)],
        },
    ],
)
def test_manifests_are_read_whatever_else_they_say(document: dict[str, Any]) -> None:
    found = decode_manifest(json.dumps(document).encode())
    assert found.config.digest == ONE
    assert found.layers[0].digest == TWO
    assert found.layers[0].size == 32654
    again = decode_manifest(encode(found))
    assert again == found


def test_what_is_no_image_is_read_too() -> None:
    empty = described("application/vnd.oci.empty.v1+json", EMPTY, 2, data="e30=")
    document = {
        **IMAGE,
        "artifactType": "application/vnd.example+type",
        "config": empty,
        "layers": [empty],
    }
    found = decode_manifest(json.dumps(document).encode())
    assert found.config.media_type == "application/vnd.oci.empty.v1+json"
    assert found.config.digest == found.layers[0].digest == EMPTY


def test_an_image_without_layers_may_say_null_as_buildkit_does() -> None:
    assert decode_manifest(json.dumps({**IMAGE, "layers": None}).encode()).layers == ()


def without(key: str) -> dict[str, Any]:
    return {one: value for one, value in CONFIG.items() if one != key}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({**IMAGE, "schemaVersion": 1}, "the manifest has schema 1, and this version reads 2"),
        ({"schemaVersion": 2, "layers": []}, "missing required field `config`"),
        ({"schemaVersion": 2, "config": CONFIG}, "missing required field `layers`"),
        ({**IMAGE, "layers": {}}, "Expected `array`, got `object` - at `$.layers`"),
        ({**IMAGE, "config": None}, "Expected `object`, got `null` - at `$.config`"),
        ({**IMAGE, "config": without("digest")}, "missing required field `digest`"),
        ({**IMAGE, "config": without("size")}, "missing required field `size`"),
        ({**IMAGE, "config": without("mediaType")}, "missing required field `mediaType`"),
        ({**IMAGE, "config": {**CONFIG, "size": -1}}, "Expected `int` >= 0 - at `$.config.size`"),
        ({**IMAGE, "config": {**CONFIG, "size": "7"}}, "Expected `int`, got `str`"),
        ({**IMAGE, "config": {**CONFIG, "size": 7.5}}, "Expected `int`, got `float`"),
        ({**IMAGE, "config": {**CONFIG, "size": 1 << 70}}, "Expected `int` <= 9223372036854775807"),
        ({**IMAGE, "layers": [{**CONFIG, "annotations": {"a": 1}}]}, "Expected `str`, got `int`"),
        ([], "Expected `object`, got `array`"),
        ("text", "Expected `object`, got `str`"),
    ],
)
def test_what_is_no_manifest_is_refused_with_its_place(document: object, message: str) -> None:
    with pytest.raises(BadManifest) as caught:
        decode_manifest(json.dumps(document).encode())
    assert message in caught.value.message


@pytest.mark.parametrize(
    "document",
    [b"", b"{", b"\xff", b"[" * 100_000, b'{"schemaVersion": 2, "config": ' + b"{" * 5000],
)
def test_what_is_no_json_is_refused(document: bytes) -> None:
    for decode in (decode_manifest, decode_index):
        with pytest.raises(BadManifest):
            decode(document)


def test_documents_have_a_longest_length() -> None:
    content = json.dumps({**IMAGE, "annotations": {"a": "b" * MANIFEST_LIMIT}}).encode()
    with pytest.raises(BadManifest) as caught:
        decode_manifest(content)
    assert caught.value.message == (
        f"the manifest has {len(content)} bytes; {MANIFEST_LIMIT} are accepted"
    )


@pytest.mark.parametrize(
    ("digest", "message"),
    [
        (f"sha512:{'0' * 128}", "is no SHA-256, which is all that is read here"),
        (f"sha384:{'0' * 96}", "is no SHA-256, which is all that is read here"),
        (f"blake3:{'0' * 64}", "is not a digest"),
        ("sha256:", "has 0 digits, and `sha256` needs 64"),
        (f"sha256:{'0' * 63}", "has 63 digits, and `sha256` needs 64"),
        (f"sha256:{'A' * 64}", "has characters that are not hexadecimal"),
        (f"sha256:{'../' * 21}0", "has characters that are not hexadecimal"),
        ("0" * 64, "is not a digest"),
    ],
)
def test_parts_are_named_by_sha256(digest: str, message: str) -> None:
    document = {**IMAGE, "config": described(media_types.OCI_CONFIG, digest)}
    found = decode_manifest(json.dumps(document).encode())
    with pytest.raises(BadManifest) as caught:
        checked_digest(found.config)
    assert message in caught.value.message


ENTRIES = [
    described("application/vnd.example.unknown", "sha256:" + "9" * 64, platform=None),
    described(
        media_types.OCI_MANIFEST,
        "sha256:" + "8" * 64,
        platform={"architecture": "unknown", "os": "unknown"},
        annotations={"vnd.docker.reference.type": "attestation-manifest"},
    ),
    described(
        "application/vnd.example.unknown",
        "sha256:" + "7" * 64,
        platform={"architecture": "amd64", "os": "linux"},
    ),
    described(
        media_types.OCI_MANIFEST,
        ONE,
        platform={
            "architecture": "amd64",
            "os": "windows",
            "os.version": "10.0.14393.1066",
            "os.features": ["win32k"],
        },
    ),
    described(
        media_types.OCI_MANIFEST,
        TWO,
        artifactType="x/y",
        platform={"architecture": "amd64", "os": "linux", "features": ["sse4"]},
    ),
    described(media_types.OCI_INDEX, THREE, platform={"architecture": "ppc64le", "os": "linux"}),
]


@pytest.mark.parametrize(
    ("wanted", "digest"),
    [
        (Platform("linux", "amd64"), TWO),
        (Platform("windows", "amd64"), ONE),
        (Platform("linux", "ppc64le"), THREE),
        (Platform("linux", "s390x"), None),
    ],
)
def test_entries_of_unknown_kinds_are_passed_over(wanted: Platform, digest: str | None) -> None:
    index = {
        "schemaVersion": 2,
        "mediaType": media_types.OCI_INDEX,
        "manifests": ENTRIES,
        "subject": CONFIG,
        "annotations": {"a": "b"},
        "artifactType": "x/y",
    }
    entries = decode_index(json.dumps(index).encode()).manifests
    assert len(entries) == len(ENTRIES)
    chosen = choose(entries, wanted)
    assert (chosen.digest if chosen is not None else None) == digest


def test_a_platform_is_optional_but_whole() -> None:
    index = {"schemaVersion": 2, "manifests": [described(media_types.OCI_MANIFEST)]}
    (entry,) = decode_index(json.dumps(index).encode()).manifests
    assert platform_of(entry) is None
    index["manifests"] = [described(media_types.OCI_MANIFEST, platform={"os": "linux"})]
    with pytest.raises(BadManifest, match="missing required field `architecture`"):
        decode_index(json.dumps(index).encode())
