"""Pulls from a real registry: what is taken, what it is called, what is refused."""

from __future__ import annotations

import gzip
import json

import pytest

from dissolver.errors import BadManifest, CoreFailure, NotInRegistry, RegistryError
from dissolver.image import media_types
from dissolver.image.digest import digest_of
from dissolver.image.platform import Platform
from dissolver.image.reference import parse_reference
from dissolver.registry.events import TransferDone, TransferStarted
from dissolver.registry.pull import pull_all
from dissolver.store import Store
from registry.conftest import AMD64, Ways, nothing_half_done
from registry.images import (
    DOCKER_LAYER,
    Layer,
    config_of,
    layer,
    manifest_of,
    noise,
    put_image,
    put_index,
    sha256,
    tar_of,
)
from registry.meddler import Meddler
from registry.servers import RegistryServer


def content(store: Store, name: str, path: str) -> bytes:
    image = store.images.resolve(name)
    return store.layers.view(image.config.diff_ids).read(path, limit=1 << 24)


def test_an_image_arrives_with_its_digests(
    server: RegistryServer, repository: str, ways: Ways
) -> None:
    made = put_image(server, repository, "v1", layer(a=b"one"), layer(b=b"two"))
    name = server.name(f"{repository}:v1")
    pulled = ways.pull(name)
    assert (pulled.digest, pulled.image.id, pulled.is_new) == (made.digest, made.image_id, True)
    assert ways.store.blobs.get(made.image_id) == made.config
    assert ways.store.blobs.get(made.digest) == made.manifest
    assert [ways.store.blobs.get(one.digest) for one in made.layers] == [
        one.blob for one in made.layers
    ]
    assert content(ways.store, name, "a") == b"one"
    assert ways.store.images.resolve(f"{name.rpartition(':')[0]}@{made.digest}") == pulled.image
    assert ways.store.check() == ()


def test_the_events_tell_the_story_that_people_know(
    server: RegistryServer, repository: str, ways: Ways
) -> None:
    made = put_image(server, repository, "v1", layer(a=b"one"))
    ways.pull(server.name(f"{repository}:v1"))
    first, last = ways.events[0], ways.events[-1]
    assert first == TransferStarted("pull", "v1", repository)
    name = server.name(f"{repository}:v1")
    assert last == TransferDone("pull", "v1", name, name, made.digest, len(made.manifest), True)
    assert ways.states(made.layers[0].digest) == [
        "Pulling fs layer",
        "Downloading",
        "Verifying Checksum",
        "Extracting",
        "Pull complete",
    ]


def test_a_second_pull_fetches_nothing(
    proxy: Meddler, server: RegistryServer, repository: str, ways: Ways
) -> None:
    put_image(server, repository, "v1", layer(a=b"one"))
    name = proxy.name(f"{repository}:v1")
    ways.pull(name)
    blobs = proxy.count("GET", "/blobs/")
    assert not ways.pull(name).is_new
    assert proxy.count("GET", "/blobs/") == blobs


def test_a_layer_that_is_there_is_not_fetched_again(
    proxy: Meddler, server: RegistryServer, repository: str, ways: Ways
) -> None:
    base, top = layer(a=b"base"), layer(b=b"top")
    put_image(server, repository, "base", base)
    put_image(server, repository, "top", base, top)
    ways.pull(proxy.name(f"{repository}:base"))
    ways.pull(proxy.name(f"{repository}:top"))
    assert proxy.count("GET", base.digest) == 1
    assert ways.states(base.digest)[-1] == "Already exists"


def test_the_same_layer_twice_is_fetched_once(
    proxy: Meddler, server: RegistryServer, repository: str, ways: Ways
) -> None:
    one = layer(a=b"same")
    put_image(server, repository, "v1", one, layer(b=b"other"), one)
    pulled = ways.pull(proxy.name(f"{repository}:v1"))
    assert len(pulled.image.config.diff_ids) == 3
    assert proxy.count("GET", one.digest) == 1


def test_a_tag_that_moved_brings_the_new_image(
    server: RegistryServer, repository: str, ways: Ways
) -> None:
    name = server.name(f"{repository}:latest")
    put_image(server, repository, "latest", layer(a=b"old"))
    old = ways.pull(name)
    put_image(server, repository, "latest", layer(a=b"new"))
    new = ways.pull(name)
    assert new.is_new
    assert ways.store.images.resolve(name) == new.image
    names = [one.familiar for one in ways.store.images.references(old.image.id)]
    assert names == [f"{server.name(repository)}@{old.digest}"]


def test_a_pinned_digest_is_pulled_and_is_the_only_name(
    server: RegistryServer, repository: str, ways: Ways
) -> None:
    made = put_image(server, repository, "v1", layer(a=b"one"))
    name = f"{server.name(repository)}@{made.digest}"
    pulled = ways.pull(name)
    assert pulled.image.id == made.image_id
    assert [one.familiar for one in ways.store.images.references(made.image_id)] == [name]


def test_what_is_pinned_by_another_algorithm_has_that_name_too(
    proxy: Meddler, repository: str, ways: Ways
) -> None:
    made = put_image(proxy.upstream, repository, "v1", layer(a=b"one"))
    longer = digest_of(made.manifest, "sha512")
    kind = media_types.OCI_MANIFEST
    proxy.answers(f"/manifests/{longer}", 200, made.manifest, times=2, Content_Type=kind)
    name = proxy.name(f"{repository}@{longer}")
    assert ways.pull(name).is_new
    assert not ways.pull(name).is_new
    assert ways.store.images.resolve(name).id == made.image_id
    assert ways.store.images.resolve(proxy.name(f"{repository}@{made.digest}")).id == made.image_id


@pytest.mark.parametrize(
    ("kind", "index"),
    [
        (media_types.OCI_MANIFEST, media_types.OCI_INDEX),
        (media_types.DOCKER_MANIFEST, media_types.DOCKER_INDEX),
    ],
)
def test_an_index_is_followed_to_the_platform(
    server: RegistryServer, repository: str, ways: Ways, kind: str, index: str
) -> None:
    made = {
        text: put_image(
            server,
            repository,
            "",
            layer(
                DOCKER_LAYER if kind == media_types.DOCKER_MANIFEST else layer_gzip(),
                a=text.encode(),
            ),
            media_type=kind,
            architecture=text.split("/")[1],
            variant="".join(text.split("/")[2:]),
        )
        for text in ("linux/arm/v7", "linux/amd64", "linux/arm64/v8")
    }
    digest = put_index(server, repository, "v1", *made.items(), media_type=index)
    name = server.name(f"{repository}:v1")
    for platform, text in (
        (AMD64, "linux/amd64"),
        (Platform("linux", "arm64"), "linux/arm64/v8"),
        (Platform("linux", "arm", "v7"), "linux/arm/v7"),
    ):
        pulled = ways.pull(name, platform, is_strict=True)
        assert (pulled.digest, pulled.image.id) == (digest, made[text].image_id)
        assert content(ways.store, name, "a") == text.encode()
    with pytest.raises(NotInRegistry) as caught:
        ways.pull(name, Platform("linux", "s390x"))
    assert caught.value.message == f"`{name}` has no image for `linux/s390x`"
    assert caught.value.hint == (
        "there are images for `linux/arm/v7`, `linux/amd64`, `linux/arm64/v8`"
    )


@pytest.mark.parametrize(
    ("first", "second"),
    [("linux/386", "linux/amd64"), ("linux/arm/v6", "linux/arm/v7"), ("linux/arm", "linux/arm64")],
)
def test_another_image_of_the_index_is_not_taken_because_it_was_there_first(
    server: RegistryServer, repository: str, ways: Ways, first: str, second: str
) -> None:
    made = []
    for text in (first, second):
        system, architecture, *variant = text.split("/")
        assert system == "linux"
        more = {"architecture": architecture, "variant": "".join(variant)}
        made.append((text, put_image(server, repository, "", layer(a=text.encode()), **more)))
    put_index(server, repository, "v1", *made)
    name = server.name(f"{repository}:v1")
    for text, one in made:
        pulled = ways.pull(name, Platform(*text.split("/")))
        assert (pulled.image.id, pulled.is_new) == (one.image_id, True)
    assert not ways.pull(name, Platform(*second.split("/"))).is_new


def layer_gzip() -> str:
    return media_types.layer_type("gzip")


def test_an_image_alone_must_fit_a_platform_only_if_one_was_asked_for(
    server: RegistryServer, repository: str, ways: Ways
) -> None:
    put_image(server, repository, "v1", layer(a=b"arm"), architecture="arm64")
    name = server.name(f"{repository}:v1")
    with pytest.raises(NotInRegistry) as caught:
        ways.pull(name, AMD64, is_strict=True)
    assert caught.value.message == f"`{name}` is for `linux/arm64` only, not for `linux/amd64`"
    nothing_half_done(ways.store)
    assert ways.pull(name, AMD64).image.config.architecture == "arm64"


@pytest.mark.parametrize("suffix", ["", "+gzip", "+zstd"])
def test_layers_of_every_compression_are_read(
    server: RegistryServer, repository: str, ways: Ways, suffix: str
) -> None:
    tar = tar_of(a=noise(100_000), b=b"b" * 100_000)
    blob = tar
    if suffix == "+gzip":
        # Members one after the other, as estargz has them.
        blob = gzip.compress(tar[:60_000], mtime=0) + gzip.compress(tar[60_000:], mtime=0)
    if suffix == "+zstd":
        blob = zstd(tar) + skippable_frame()
    one = Layer(tar, blob, media_types.OCI_LAYER + suffix)
    put_image(server, repository, "v1", one)
    name = server.name(f"{repository}:v1")
    ways.pull(name)
    assert content(ways.store, name, "a") == noise(100_000)
    (known,) = ways.store.transfers.layer_blobs(one.diff_id)
    assert (known.digest, known.compression) == (one.digest, suffix[1:] or "none")


def zstd(data: bytes) -> bytes:
    """Write a zstd frame of raw blocks, which needs no compressor (RFC 8878)."""
    frame = bytearray(b"\x28\xb5\x2f\xfd\xa0" + len(data).to_bytes(4, "little"))
    for start in range(0, len(data), 1 << 17):
        block = data[start : start + (1 << 17)]
        is_last = start + len(block) == len(data)
        frame += (len(block) << 3 | is_last).to_bytes(3, "little") + block
    return bytes(frame)


def skippable_frame() -> bytes:
    """Write what `zstd:chunked` adds at the end for readers that know of it."""
    return b"\x50\x2a\x4d\x18" + (8).to_bytes(4, "little") + b"manifest"


KEPT_ELSEWHERE = "the image has a layer of the type `{}`, which registries do not keep"
UNKNOWN = "the image has a layer of the unknown type `{}`"


@pytest.mark.parametrize(
    ("media_type", "message"),
    [
        ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", KEPT_ELSEWHERE),
        ("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", KEPT_ELSEWHERE),
        ("application/vnd.oci.image.layer.v1.tar+gzip+encrypted", UNKNOWN),
    ],
)
def test_other_layers_are_refused_with_a_reason(
    server: RegistryServer, repository: str, ways: Ways, media_type: str, message: str
) -> None:
    put_image(server, repository, "v1", layer(a=b"a"), Layer(b"tar", b"blob", media_type))
    with pytest.raises(BadManifest) as caught:
        ways.pull(server.name(f"{repository}:v1"))
    assert caught.value.message == message.format(media_type)
    nothing_half_done(ways.store)


def test_other_artifacts_are_refused(server: RegistryServer, repository: str, ways: Ways) -> None:
    chart = json.dumps({"name": "chart"}).encode()
    server.put_blob(repository, chart)
    document = {
        "schemaVersion": 2,
        "config": {
            "mediaType": "application/vnd.cncf.helm.config.v1+json",
            "digest": sha256(chart),
            "size": len(chart),
        },
        "layers": [],
    }
    server.put_manifest(repository, "v1", document, media_types.OCI_MANIFEST)
    name = server.name(f"{repository}:v1")
    with pytest.raises(RegistryError) as caught:
        ways.pull(name)
    assert caught.value.message == (
        f"`{name}` is no container image but a `application/vnd.cncf.helm.config.v1+json`"
    )


@pytest.mark.parametrize(
    ("document", "told", "message"),
    [
        (
            {"schemaVersion": 1, "fsLayers": []},
            "application/vnd.docker.distribution.manifest.v1+prettyjws",
            "the image is in Docker's format of before 2016 (schema 1), which is not read",
        ),
        (
            {"schemaVersion": 2, "manifests": [], "layers": []},
            media_types.OCI_MANIFEST,
            "the manifest claims to be an index as well",
        ),
        (
            {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "layers": []},
            media_types.OCI_INDEX,
            f"the manifest is not what its type `{media_types.OCI_INDEX}` says",
        ),
        ([], "application/json", "what should be a manifest is something else"),
    ],
)
def test_strange_manifests_are_refused(
    proxy: Meddler, repository: str, ways: Ways, document: object, told: str, message: str
) -> None:
    body = json.dumps(document).encode()
    proxy.answers("/manifests/", 200, body, Content_Type=told)
    with pytest.raises(RegistryError) as caught:
        ways.pull(proxy.name(f"{repository}:v1"))
    assert caught.value.message == message
    nothing_half_done(ways.store)


def test_a_manifest_and_its_configuration_must_agree(
    server: RegistryServer, repository: str, ways: Ways
) -> None:
    one, two = layer(a=b"one"), layer(b=b"two")
    config = config_of(one, two)
    for blob in (config, one.blob):
        server.put_blob(repository, blob)
    server.put_manifest(repository, "v1", manifest_of(config, one), media_types.OCI_MANIFEST)
    name = server.name(f"{repository}:v1")
    with pytest.raises(RegistryError) as caught:
        ways.pull(name)
    assert caught.value.message == (
        f"the manifest of `{name}` has 1 layers, and its configuration 2"
    )


def test_a_layer_with_another_diff_id_is_refused(
    server: RegistryServer, repository: str, ways: Ways
) -> None:
    honest = layer(a=b"honest")
    swapped = Layer(honest.tar, gzip.compress(tar_of(a=b"evil")), honest.media_type)
    put_image(server, repository, "v1", layer(b=b"fine"), swapped)
    with pytest.raises(CoreFailure) as caught:
        ways.pull(server.name(f"{repository}:v1"))
    assert caught.value.kind == "digest-mismatch"
    nothing_half_done(ways.store)


def test_one_blob_is_not_two_different_layers(
    server: RegistryServer, repository: str, ways: Ways
) -> None:
    """Not even where the other layer lies in the store, from another image."""
    one, other = layer(a=b"one"), layer(b=b"other")
    put_image(server, repository, "other", other)
    ways.pull(server.name(f"{repository}:other"))
    config = config_of(one, other)
    manifest = manifest_of(config, one, one)
    for blob in (config, one.blob):
        server.put_blob(repository, blob)
    server.put_manifest(repository, "v1", manifest, media_types.OCI_MANIFEST)
    name = server.name(f"{repository}:v1")
    with pytest.raises(RegistryError) as caught:
        ways.pull(name)
    assert caught.value.message == (
        f"the manifest of `{name}` has the blob `{one.digest}` for two different layers"
    )


def test_what_is_not_there_is_said_so(server: RegistryServer, repository: str, ways: Ways) -> None:
    with pytest.raises(NotInRegistry) as caught:
        ways.pull(server.name(f"{repository}:v1"))
    assert caught.value.message == (
        f"cannot read the manifest of `{repository}:v1`: `{server.host}` does not have it"
    )
    nothing_half_done(ways.store)


def test_all_tags_of_a_repository_are_pulled(
    proxy: Meddler, server: RegistryServer, repository: str, ways: Ways
) -> None:
    for tag in ("v1", "v2", "v3"):
        put_image(server, repository, tag, layer(a=tag.encode()))
    # The registry gives them page by page when asked to; so does this.
    body = [
        json.dumps({"name": repository, "tags": tags}).encode() for tags in (["v1", "v2"], ["v3"])
    ]
    link = f'</v2/{repository}/tags/list?last=v2&n=2>; rel="next"'
    proxy.answers(r"tags/list$", 200, body[0], Link=link)
    proxy.answers(r"tags/list\?last=v2", 200, body[1])
    reference = parse_reference(proxy.name(repository))
    pulled = pull_all(ways.store, ways.sources, reference, AMD64)
    assert [one.reference.tag for one in pulled] == ["v1", "v2", "v3"]


def test_the_tags_of_a_page_elsewhere_are_not_asked_for(
    proxy: Meddler, repository: str, ways: Ways
) -> None:
    link = '<http://elsewhere.example/v2/x/tags/list>; rel="next"'
    proxy.answers(r"tags/list$", 200, b'{"tags": ["v1"]}', Link=link)
    with pytest.raises(RegistryError) as caught:
        list(ways.sources.repository(parse_reference(proxy.name(repository))).tags())
    assert caught.value.message == (
        f"`{proxy.host}` goes on with its tags at `http://elsewhere.example/v2/x/tags/list`"
    )
