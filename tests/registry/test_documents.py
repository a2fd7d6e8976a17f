"""Documents in registries: what they may say beyond what is needed, and what they must not."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from dissolver.errors import (
    BadManifest,
    ContentMismatch,
    NotInRegistry,
    RegistryError,
)
from dissolver.image import media_types
from dissolver.image.digest import digest_of
from dissolver.image.reference import parse_reference
from dissolver.registry.copying import copy_image
from dissolver.registry.transport import Answer
from registry.conftest import AMD64, Ways, nothing_half_done
from registry.images import layer, manifest_of, put_image, put_index, sha256
from registry.meddler import Meddler, Reply
from shelf import add_image

MANY = 9


# What is said of manifests --------------------------------------------------------------------


def drop(*names: str) -> Callable[[Reply], Reply]:
    def change(reply: Reply) -> Reply:
        for name in names:
            reply.headers.pop(name, None)
        return reply

    return change


def say(**headers: str) -> Callable[[Reply], Reply]:
    def change(reply: Reply) -> Reply:
        reply.headers.update({key.replace("_", "-"): value for key, value in headers.items()})
        return reply

    return change


@pytest.mark.parametrize(
    "change",
    [
        drop("Docker-Content-Digest"),
        drop("Content-Type"),
        say(Content_Type="application/json"),
        say(Content_Type=f"{media_types.OCI_MANIFEST}; charset=utf-8"),
        say(Content_Type="text/plain"),
        say(Docker_Content_Digest="blake9:1234"),
        say(Warning='299 - "this registry will be gone"', OCI_Subject=f"sha256:{'0' * 64}"),
    ],
)
def test_headers_that_are_missing_or_odd_do_not_matter(
    proxy: Meddler, repository: str, ways: Ways, change: Callable[[Reply], Reply]
) -> None:
    made = put_image(proxy.upstream, repository, "v1", layer(a=b"1"))
    proxy.rule("GET", "/manifests/", change, times=MANY)
    assert ways.pull(proxy.name(f"{repository}:v1")).digest == made.digest


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
def test_a_manifest_is_verified_by_the_digest_that_it_is_asked_for_by(
    proxy: Meddler, repository: str, ways: Ways, algorithm: str
) -> None:
    made = put_image(proxy.upstream, repository, "v1", layer(a=b"1"))
    digest = digest_of(made.manifest, algorithm)
    proxy.answers(f"/manifests/{algorithm}:", 200, made.manifest, times=MANY)
    pulled = ways.pull(f"{proxy.name(repository)}@{digest}")
    assert pulled.image.id == made.image_id
    other = digest_of(b"other", algorithm)
    with pytest.raises(ContentMismatch) as caught:
        ways.pull(f"{proxy.name(repository)}@{other}")
    assert caught.value.message == (
        f"the manifest that `{proxy.host}` sent has the digest {digest}, and should have {other}"
    )


def test_a_digest_in_a_header_counts_too(proxy: Meddler, repository: str, ways: Ways) -> None:
    made = put_image(proxy.upstream, repository, "v1", layer(a=b"1"))
    other = digest_of(b"other", "sha512")
    proxy.rule("GET", "/manifests/", say(Docker_Content_Digest=other), times=MANY)
    with pytest.raises(ContentMismatch):
        ways.pull(proxy.name(f"{repository}:v1"))
    assert made.digest
    nothing_half_done(ways.store)


def test_a_registry_that_stores_something_else_is_told(
    proxy: Meddler, repository: str, ways: Ways
) -> None:
    other = f"sha256:{'0' * 64}"
    proxy.rule("PUT", "/manifests/", say(Docker_Content_Digest=other), times=MANY)
    name = proxy.name(f"{repository}:v1")
    add_image(ways.store, "a", name)
    with pytest.raises(RegistryError) as caught:
        ways.push(name)
    assert caught.value.message == (
        f"`{proxy.host}` stored another manifest than it was sent: {other}"
    )


@pytest.mark.parametrize("status", [200, 401, 404, 405, 500])
def test_the_root_of_a_registry_may_answer_anything(
    proxy: Meddler, repository: str, ways: Ways, status: int
) -> None:
    made = put_image(proxy.upstream, repository, "v1", layer(a=b"1"))
    proxy.answers("/v2/$", status, times=MANY)
    assert ways.pull(proxy.name(f"{repository}:v1")).digest == made.digest


# Documents that say more than is needed ---------------------------------------------------------


def put_rich(proxy: Meddler, repository: str, **more: Any) -> tuple[str, str]:
    """Put an image whose manifest says what newer tools say; answer its digest and its ID."""
    one = layer(a=b"1")
    made = put_image(proxy.upstream, repository, "plain", one)
    document = {**json.loads(manifest_of(made.config, one)), **more}
    for blob in document["layers"]:
        blob |= {"urls": ["https://nowhere.example/blob"], "annotations": {"a": "b"}}
    document["config"]["data"] = "bm90IHRoZSBjb25maWd1cmF0aW9u"
    content = json.dumps(document).encode()
    proxy.upstream.put_manifest(repository, "v1", content, media_types.OCI_MANIFEST)
    return sha256(content), made.image_id


def test_a_manifest_may_say_more_and_keeps_that(
    proxy: Meddler, repository: str, ways: Ways
) -> None:
    subject = put_image(proxy.upstream, repository, "subject", layer(b=b"2"))
    digest, image_id = put_rich(
        proxy,
        repository,
        artifactType="application/vnd.example",
        subject={
            "mediaType": media_types.OCI_MANIFEST,
            "digest": subject.digest,
            "size": len(subject.manifest),
        },
        annotations={"org.example": "yes"},
        unknown={"deep": [1]},
    )
    pulled = ways.pull(proxy.name(f"{repository}:v1"))
    assert (pulled.digest, pulled.image.id) == (digest, image_id)
    assert proxy.count("GET", subject.digest) == 0
    back = proxy.name(f"{repository}:back")
    ways.tag(image_id, back)
    assert ways.push(back).digest == digest


@pytest.fixture
def artifact(proxy: Meddler, repository: str) -> str:
    """What is no image, in a registry: its digest."""
    proxy.upstream.put_blob(repository, b"{}")
    proxy.upstream.put_blob(repository, b"some text")
    empty = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": sha256(b"{}"), "size": 2}
    text = {"mediaType": "text/plain", "digest": sha256(b"some text"), "size": 9}
    document = {
        "schemaVersion": 2,
        "mediaType": media_types.OCI_MANIFEST,
        "artifactType": "application/vnd.example",
        "config": empty,
        "layers": [text],
    }
    return proxy.upstream.put_manifest(repository, "art", document, media_types.OCI_MANIFEST)


def test_what_is_no_image_is_copied_and_not_pulled(
    proxy: Meddler, repository: str, ways: Ways, artifact: str
) -> None:
    name = proxy.name(f"{repository}:art")
    with pytest.raises(RegistryError) as caught:
        ways.pull(name)
    assert caught.value.message == (
        f"`{name}` is no container image but a `application/vnd.oci.empty.v1+json`"
    )
    nothing_half_done(ways.store)
    target = proxy.upstream.name(f"{repository}/there:v1")
    copied = copy_image(ways.store, ways.sources, parse_reference(name), parse_reference(target))
    assert copied.digest == artifact


def test_an_index_of_indexes_is_followed_and_no_further_than_it_should(
    proxy: Meddler, repository: str, ways: Ways
) -> None:
    made = put_image(proxy.upstream, repository, "image", layer(a=b"1"))
    below, size, kind = made.digest, len(made.manifest), media_types.OCI_MANIFEST
    platform = {"os": "linux", "architecture": "amd64"}
    for depth in range(5):
        document = {
            "schemaVersion": 2,
            "mediaType": media_types.OCI_INDEX,
            "manifests": [{"mediaType": kind, "digest": below, "size": size, "platform": platform}],
        }
        content = json.dumps(document).encode()
        kind = media_types.OCI_INDEX
        below = proxy.upstream.put_manifest(repository, f"v{depth}", content, kind)
        size = len(content)
    for depth in range(3):
        pulled = ways.pull(proxy.name(f"{repository}:v{depth}"))
        assert pulled.image.id == made.image_id
    with pytest.raises(RegistryError) as caught:
        ways.pull(proxy.name(f"{repository}:v4"))
    assert caught.value.message.endswith("leads through too many indexes")
    for depth in (0, 2):
        target = proxy.upstream.name(f"{repository}/copy:v{depth}")
        copy_image(
            ways.store,
            ways.sources,
            parse_reference(proxy.name(f"{repository}:v{depth}")),
            parse_reference(target),
        )
        assert ways.pull(target).image.id == made.image_id


def test_an_index_that_lies_about_a_manifest_s_size_is_refused(
    proxy: Meddler, repository: str, ways: Ways
) -> None:
    made = put_image(proxy.upstream, repository, "image", layer(a=b"1"))
    put_index(proxy.upstream, repository, "v1", ("linux/amd64", made))
    index = proxy.upstream.manifest(repository, "v1", media_types.OCI_INDEX)
    index["manifests"][0]["size"] += 1
    proxy.upstream.put_manifest(repository, "v2", index, media_types.OCI_INDEX)
    with pytest.raises(RegistryError) as caught:
        ways.pull(proxy.name(f"{repository}:v2"))
    size = len(made.manifest)
    assert caught.value.message == (
        f"the manifest `{made.digest}` has {size} bytes, and the index says {size + 1}"
    )
    source, target = (parse_reference(proxy.name(f"{repository}:{tag}")) for tag in ("v2", "v3"))
    with pytest.raises(RegistryError, match=f"and the index says {size + 1}"):
        copy_image(ways.store, ways.sources, source, target)
    nothing_half_done(ways.store)


def test_an_index_of_a_thousand_platforms_makes_no_message_of_a_thousand(
    proxy: Meddler, repository: str, ways: Ways
) -> None:
    entries = [
        {
            "mediaType": media_types.OCI_MANIFEST,
            "digest": sha256(b""),
            "size": 0,
            "platform": {"os": "linux", "architecture": f"a{number}"},
        }
        for number in range(1000)
    ]
    index = {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": entries}
    content = json.dumps(index).encode()
    proxy.answers("/manifests/v1", 200, content, Content_Type=media_types.OCI_INDEX)
    with pytest.raises(NotInRegistry) as caught:
        ways.pull(proxy.name(f"{repository}:v1"))
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("there are images for `linux/a0`, `linux/a1`, ")
    assert caught.value.hint.endswith("`linux/a19` and 980 others")


def test_what_an_index_lists_again_and_again_is_copied_once(
    proxy: Meddler, repository: str, ways: Ways
) -> None:
    made = put_image(proxy.upstream, repository, "image", layer(a=b"1"))
    entry = {"mediaType": media_types.OCI_MANIFEST, "digest": made.digest}
    entry |= {"size": len(made.manifest), "platform": {"os": "linux", "architecture": "amd64"}}
    for depth in range(3):
        content = json.dumps(
            {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": [entry] * 50}
        ).encode()
        digest = proxy.upstream.put_manifest(
            repository, f"v{depth}", content, media_types.OCI_INDEX
        )
        entry = {"mediaType": media_types.OCI_INDEX, "digest": digest, "size": len(content)}
    source = parse_reference(proxy.name(f"{repository}:v2"))
    target = parse_reference(proxy.name(f"{repository}/copy:v1"))
    assert copy_image(ways.store, ways.sources, source, target).digest == digest
    assert proxy.count("GET", f"{repository}/manifests/") == 4


@pytest.mark.parametrize(
    ("part", "value", "kind"),
    [
        ("config", {"digest": f"sha512:{'0' * 128}"}, BadManifest),
        ("layer", {"digest": f"sha512:{'0' * 128}"}, BadManifest),
        ("layer", {"digest": "sha256:short"}, BadManifest),
        ("layer", {"size": -1}, BadManifest),
        ("layer", {"size": 0}, ContentMismatch),
        ("layer", {"size": 1 << 62}, ContentMismatch),
        ("config", {"size": 0}, RegistryError),
        ("config", {"size": 1 << 62}, ContentMismatch),
        ("config", {"mediaType": ""}, RegistryError),
        ("layer", {"mediaType": "text/plain"}, BadManifest),
        ("layer", {"mediaType": media_types.OCI_CONFIG}, BadManifest),
    ],
)
def test_descriptors_that_say_what_is_not_so_are_refused(
    proxy: Meddler,
    repository: str,
    ways: Ways,
    part: str,
    value: dict[str, Any],
    kind: type[Exception],
) -> None:
    one = layer(a=b"1")
    made = put_image(proxy.upstream, repository, "v1", one)
    document = json.loads(made.manifest)
    blob = document["config"] if part == "config" else document["layers"][0]
    blob |= value
    body = json.dumps(document).encode()
    proxy.answers("/manifests/", 200, body, times=MANY, Content_Type=media_types.OCI_MANIFEST)
    with pytest.raises(kind):
        ways.pull(proxy.name(f"{repository}:v1"))
    nothing_half_done(ways.store)


def test_nothing_is_asked_for_that_an_index_does_not_have(
    proxy: Meddler, repository: str, ways: Ways
) -> None:
    empty = {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": []}
    proxy.upstream.put_manifest(repository, "v1", empty, media_types.OCI_INDEX)
    with pytest.raises(NotInRegistry) as caught:
        ways.pull(proxy.name(f"{repository}:v1"), AMD64)
    assert caught.value.message.endswith("has no image for `linux/amd64`")
    assert caught.value.hint is None


@pytest.mark.parametrize("part", ["/manifests/v1", "config"])
def test_a_document_that_breaks_off_is_read_again(
    proxy: Meddler, repository: str, ways: Ways, part: str
) -> None:
    made = put_image(proxy.upstream, repository, "v1", layer(a=b"1"))
    pattern = made.image_id if part == "config" else part
    proxy.cuts(pattern, 50, times=4)
    name = proxy.name(f"{repository}:v1")
    assert ways.pull(name).image.id == made.image_id
    assert proxy.count("GET", pattern) == 5


def test_a_document_that_always_breaks_off_is_given_up(
    proxy: Meddler, repository: str, ways: Ways
) -> None:
    put_image(proxy.upstream, repository, "v1", layer(a=b"1"))
    proxy.cuts("/manifests/", 50, times=100)
    with pytest.raises(RegistryError) as caught:
        ways.pull(proxy.name(f"{repository}:v1"))
    assert caught.value.message == f"the connection to `{proxy.host}` broke: it ended too early"
    assert proxy.count("GET", "/manifests/") == 5
    nothing_half_done(ways.store)


@pytest.mark.parametrize(
    ("text", "length"), [("12", 12), ("", None), ("-1", None), ("1_0", None), ("9" * 5000, None)]
)
def test_a_length_that_nothing_has_is_none(text: str, length: int | None) -> None:
    response: Any = SimpleNamespace(status=200, headers={"content-length": text})
    assert Answer(response, "http://127.0.0.1/").length == length
