"""Pushes to a real registry: what is sent, what is not, and what comes of bad lines."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable

import pytest

from dissolver.errors import AccessDenied, ImageNotFound, RegistryError
from dissolver.image import media_types
from dissolver.image.annotations import Annotations
from dissolver.image.config import HistoryEntry, Image
from dissolver.image.manifest import decode_manifest
from dissolver.image.mutate import with_layer
from dissolver.image.reference import parse_reference
from dissolver.registry.events import LayerProgress, TransferDone, TransferStarted
from dissolver.registry.push import push_all
from dissolver.registry.settings import HostSettings, RegistrySettings
from dissolver.store import Store
from registry.conftest import Ways
from registry.images import DOCKER_LAYER, layer, noise, put_image, tar_of
from registry.meddler import Meddler, Reply
from registry.servers import RegistryServer
from shelf import add_image, config_of

SIZE = 3_000_000


def big_image(store: Store, *tags: str, text: str = "") -> Image:
    """Store an image with one layer of some megabytes that do not compress."""
    with store.workspace() as place:
        (place / "layer.tar").write_bytes(tar_of(a=noise(SIZE, text)))
        diff_id = store.layers.ingest(str(place / "layer.tar")).diff_id
    names = [parse_reference(tag) for tag in tags]
    return store.images.put(config_of(diff_id), tags=names)


def test_a_push_makes_an_image_that_others_can_read(
    server: RegistryServer, repository: str, ways: Ways, new_store: Callable[[], Store]
) -> None:
    name = server.name(f"{repository}:v1")
    image = add_image(ways.store, "a b", name)
    pushed = ways.push(name)
    document = server.manifest(repository, "v1", media_types.OCI_MANIFEST)
    assert document["mediaType"] == media_types.OCI_MANIFEST
    assert document["config"]["digest"] == image.id
    assert [one["mediaType"] for one in document["layers"]] == 2 * [
        "application/vnd.oci.image.layer.v1.tar+gzip"
    ]
    for one, diff_id in zip(document["layers"], image.config.diff_ids, strict=True):
        status, _, blob = server.ask("GET", f"/v2/{repository}/blobs/{one['digest']}")
        assert (status, len(blob)) == (200, one["size"])
        (known,) = ways.store.transfers.layer_blobs(diff_id)
        assert known.digest == one["digest"]
        assert gzip.decompress(blob)[:4] == b"file"
    other = Ways(new_store())
    pulled = other.pull(name)
    assert (pulled.digest, pulled.image) == (pushed.digest, image)
    assert ways.store.images.resolve(f"{server.name(repository)}@{pushed.digest}") == image


def test_the_events_tell_the_story_that_people_know(
    server: RegistryServer, repository: str, ways: Ways
) -> None:
    name = server.name(f"{repository}:v1")
    image = big_image(ways.store, name)
    pushed = ways.push(name)
    assert ways.events[0] == TransferStarted("push", "v1", server.name(repository))
    assert ways.events[-1] == TransferDone(
        "push", "v1", name, name, pushed.digest, pushed.size, True
    )
    assert ways.states(image.config.diff_ids[0]) == [
        "Preparing",
        "Compressing",
        "Pushing",
        "Pushed",
    ]
    counted = [one for one in ways.events if isinstance(one, LayerProgress) and one.total]
    assert all(0 <= one.current <= one.total and one.state == "Pushing" for one in counted)


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_layers_are_compressed_as_asked(
    server: RegistryServer,
    repository: str,
    ways: Ways,
    new_store: Callable[[], Store],
    compression: str,
) -> None:
    name = server.name(f"{repository}:v1")
    image = add_image(ways.store, "a", name)
    ways.push(name, compression=compression)
    (one,) = server.manifest(repository, "v1")["layers"]
    assert one["mediaType"] == media_types.layer_type(compression)  # type: ignore[arg-type]
    assert Ways(new_store()).pull(name).image == image


def test_a_second_push_sends_nothing(proxy: Meddler, repository: str, ways: Ways) -> None:
    name = proxy.name(f"{repository}:v1")
    image = big_image(ways.store, name)
    assert ways.push(name).sent_bytes > SIZE
    proxy.asked.clear()
    ways.events.clear()
    assert ways.push(name).sent_bytes == 0
    assert {one.method for one in proxy.asked} == {"HEAD", "PUT"}
    assert proxy.count("PUT", "/blobs/") == 0
    assert ways.states(image.config.diff_ids[0]) == ["Preparing", "Layer already exists"]


def test_what_was_pushed_is_compressed_once_for_all_registries(
    server: RegistryServer, proxy: Meddler, repository: str, ways: Ways
) -> None:
    image = big_image(ways.store, server.name(f"{repository}:v1"), proxy.name(f"{repository}:v2"))
    first = ways.push(server.name(f"{repository}:v1"))
    second = ways.push(proxy.name(f"{repository}:v2"))
    assert first.digest == second.digest
    assert second.sent_bytes == 0
    assert ways.states(image.config.diff_ids[0])[-1] == "Layer already exists"


def test_a_blob_of_another_repository_is_mounted(
    proxy: Meddler, repository: str, ways: Ways
) -> None:
    names = [proxy.name(f"{repository}/{one}:v1") for one in ("a", "b")]
    image = big_image(ways.store, *names)
    ways.push(names[0])
    ways.events.clear()
    proxy.asked.clear()
    pushed = ways.push(names[1])
    assert pushed.sent_bytes < 1000
    (mounted,) = [one for one in ways.events if getattr(one, "state", "") == "Mounted"]
    assert (mounted.layer, mounted.detail) == (image.config.diff_ids[0], f"{repository}/a")
    assert proxy.count("PATCH", "/blobs/") == 0


def test_a_mount_that_is_refused_is_no_failure(proxy: Meddler, repository: str, ways: Ways) -> None:
    names = [proxy.name(f"{repository}/{one}:v1") for one in ("a", "b")]
    big_image(ways.store, *names)
    ways.push(names[0])
    proxy.fails("mount=", 403, "DENIED", "not yours to read", method="POST", times=9)
    assert ways.push(names[1]).sent_bytes > SIZE


def test_a_place_where_a_blob_is_no_more_is_forgotten(
    proxy: Meddler, repository: str, ways: Ways
) -> None:
    name = proxy.name(f"{repository}/here:v1")
    image = big_image(ways.store, name)
    ways.push(name)
    (blob,) = ways.store.transfers.layer_blobs(image.config.diff_ids[0])
    gone = proxy.name(f"{repository}/gone")
    ways.store.transfers.forget_place(blob.digest, proxy.name(f"{repository}/here"))
    ways.store.transfers.remember_place(blob.digest, gone)
    other = proxy.name(f"{repository}/other:v1")
    ways.tag(image.id, other)
    assert ways.push(other).sent_bytes > SIZE
    assert ways.store.transfers.places(blob.digest) == [proxy.name(f"{repository}/other")]


@pytest.mark.parametrize("kind", [media_types.OCI_MANIFEST, media_types.DOCKER_MANIFEST])
def test_what_was_pulled_goes_back_unchanged(
    server: RegistryServer, repository: str, ways: Ways, kind: str
) -> None:
    compressed = DOCKER_LAYER if kind == media_types.DOCKER_MANIFEST else layer().media_type
    made = put_image(
        server,
        repository,
        "v1",
        layer(compressed, a=b"one"),
        layer(compressed, b=noise(2_000_000)),
        media_type=kind,
    )
    ways.pull(server.name(f"{repository}:v1"))
    new = server.name(f"{repository}-copy:v1")
    ways.tag(made.image_id, new)
    assert ways.push(new).digest == made.digest
    status, headers, content = server.ask(
        "GET", f"/v2/{repository}-copy/manifests/v1", headers={"Accept": kind}
    )
    assert (status, content, headers["content-type"]) == (200, made.manifest, kind)


def test_pulled_layers_below_a_built_one_keep_their_bytes(
    server: RegistryServer, repository: str, ways: Ways, new_store: Callable[[], Store]
) -> None:
    made = put_image(server, repository, "base", layer(DOCKER_LAYER, a=b"base"))
    base = ways.pull(server.name(f"{repository}:base")).image
    with ways.store.workspace() as place:
        (place / "layer.tar").write_bytes(tar_of(b=b"top"))
        top = ways.store.layers.ingest(str(place / "layer.tar")).diff_id
    name = server.name(f"{repository}:top")
    config = with_layer(base.config, top, HistoryEntry(created=1))
    image = ways.store.images.put(config, tags=[parse_reference(name)])
    ways.push(name)
    document = server.manifest(repository, "top")
    assert document["layers"][0] == {
        "mediaType": layer().media_type,
        "digest": made.layers[0].digest,
        "size": len(made.layers[0].blob),
    }
    assert Ways(new_store()).pull(name).image == image


def test_a_pulled_layer_whose_blob_is_lost_is_compressed_anew(
    server: RegistryServer, repository: str, ways: Ways
) -> None:
    made = put_image(server, repository, "v1", layer(a=b"one"))
    pulled = ways.pull(server.name(f"{repository}:v1"))
    ways.store.blobs.remove(made.layers[0].digest)
    server_only = f"{server.host.replace('127.0.0.1', 'localhost')}/{repository}-new:v1"
    ways.tag(pulled.image.id, server_only)
    pushed = ways.push(server_only)
    assert pushed.image == pulled.image
    assert pushed.digest != made.digest


def test_all_local_tags_are_pushed(server: RegistryServer, repository: str, ways: Ways) -> None:
    add_image(ways.store, "a", server.name(f"{repository}:v1"), server.name(f"{repository}:v2"))
    add_image(ways.store, "b", server.name(f"{repository}:v3"))
    reference = parse_reference(server.name(repository))
    pushed = push_all(ways.store, ways.sources, reference)
    assert [one.reference.tag for one in pushed] == ["v1", "v2", "v3"]
    with pytest.raises(ImageNotFound):
        push_all(ways.store, ways.sources, parse_reference(server.name("nothing")))


def test_only_names_are_pushed(server: RegistryServer, ways: Ways) -> None:
    with pytest.raises(ImageNotFound) as caught:
        ways.push(server.name("nothing:v1"))
    name = server.name("nothing:v1")
    assert caught.value.message == f"there is no local image `{name}`"
    assert caught.value.hint == f"name one with `dissolver tag IMAGE {name}`"


# Bad lines ------------------------------------------------------------------------------


def arrives(ways: Ways, name: str, new_store: Callable[[], Store]) -> bool:
    image = ways.store.images.resolve(name)
    return Ways(new_store()).pull(name).image == image


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT"])
@pytest.mark.parametrize("status", [500, 503])
def test_excuses_that_pass_are_waited_for(
    proxy: Meddler,
    repository: str,
    ways: Ways,
    new_store: Callable[[], Store],
    method: str,
    status: int,
) -> None:
    name = proxy.name(f"{repository}:v1")
    big_image(ways.store, name)
    proxy.answers("/uploads/", status, method=method, times=2)
    ways.push(name)
    assert arrives(ways, name, new_store)


@pytest.mark.parametrize("method", ["HEAD", "POST", "PATCH", "PUT"])
def test_excuses_that_do_not_pass_are_told(
    proxy: Meddler, repository: str, ways: Ways, method: str
) -> None:
    name = proxy.name(f"{repository}:v1")
    big_image(ways.store, name)
    proxy.answers("/blobs/", 503, method=method, times=100)
    with pytest.raises(RegistryError) as caught:
        ways.push(name)
    assert "status 503" in caught.value.message
    assert server_has_nothing(proxy, repository)


def server_has_nothing(proxy: Meddler, repository: str) -> bool:
    return proxy.upstream.ask("GET", f"/v2/{repository}/manifests/v1")[0] == 404


def test_an_upload_goes_on_where_the_registry_stands(
    proxy: Meddler, repository: str, ways: Ways, new_store: Callable[[], Store]
) -> None:
    host = HostSettings(upload_chunk_bytes=1_000_000)
    settings = RegistrySettings(hosts={proxy.host: host})
    chunked = Ways(ways.store, settings)
    name = proxy.name(f"{repository}:v1")
    big_image(ways.store, name)

    def lost(_: Reply) -> None:
        return None

    proxy.rule("PATCH", "/uploads/", lost, skips=1, times=1, before=True)
    chunked.push(name)
    assert arrives(ways, name, new_store)
    pieces = [one.headers["Content-Range"] for one in proxy.asked if one.method == "PATCH"]
    assert pieces[:4] == [
        "0-999999",
        "1000000-1999999",
        "1000000-1999999",
        "2000000-2999999",
    ]
    assert proxy.count("POST", "/uploads/") == 2, "one for the layer, one for the configuration"


def test_an_upload_that_the_registry_forgot_begins_anew(
    proxy: Meddler, repository: str, ways: Ways, new_store: Callable[[], Store]
) -> None:
    name = proxy.name(f"{repository}:v1")
    big_image(ways.store, name)
    proxy.fails("/uploads/", 404, "BLOB_UPLOAD_UNKNOWN", "gone", method="PATCH", times=1)
    proxy.fails("/uploads/", 404, "BLOB_UPLOAD_UNKNOWN", "gone", method="GET", times=1)
    ways.push(name)
    assert proxy.count("POST", "/uploads/") >= 2
    assert arrives(ways, name, new_store)


def test_a_push_without_the_right_says_so(proxy: Meddler, repository: str, ways: Ways) -> None:
    name = proxy.name(f"{repository}:v1")
    big_image(ways.store, name)
    proxy.fails("/uploads/", 403, "DENIED", "no pushes today", method="POST", times=9)
    with pytest.raises(AccessDenied) as caught:
        ways.push(name)
    assert caught.value.message == (
        f"`{proxy.host}` denies access: cannot push to `{repository}`: no pushes today"
    )
    assert server_has_nothing(proxy, repository)


def test_a_manifest_that_is_refused_is_told(proxy: Meddler, repository: str, ways: Ways) -> None:
    name = proxy.name(f"{repository}:v1")
    add_image(ways.store, "a", name)
    proxy.fails("/manifests/", 400, "MANIFEST_INVALID", "manifest invalid", method="PUT", times=9)
    with pytest.raises(RegistryError) as caught:
        ways.push(name)
    assert caught.value.message == (
        f"cannot store the manifest `{repository}:v1`: `{proxy.host}` answers: manifest invalid"
    )


def test_uploads_elsewhere_are_not_told_who_asks(
    proxy: Meddler, repository: str, ways: Ways
) -> None:
    name = proxy.name(f"{repository}:v1")
    big_image(ways.store, name)
    other = f"http://{proxy.host.replace('127.0.0.1', 'localhost')}"

    def moved(reply: Reply) -> Reply:
        location = reply.headers["Location"]
        reply.headers["Location"] = location.replace(f"http://{proxy.host}", other)
        return reply

    proxy.rule("POST", "/uploads/", moved, times=9)
    ways.push(name)
    assert proxy.count("PATCH", "/uploads/") == 1


def test_two_pushes_at_once_are_well(
    proxy: Meddler, repository: str, ways: Ways, new_store: Callable[[], Store]
) -> None:
    names = [proxy.name(f"{repository}:v{number}") for number in range(3)]
    big_image(ways.store, *names)
    failures: list[BaseException] = []

    def run(name: str) -> None:
        try:
            Ways(ways.store).push(name)
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            failures.append(error)

    threads = [threading.Thread(target=run, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert all(arrives(ways, name, new_store) for name in names)


def test_the_manifest_of_a_push_is_kept(
    server: RegistryServer, repository: str, ways: Ways
) -> None:
    name = server.name(f"{repository}:v1")
    image = add_image(ways.store, "a", name)
    digest = ways.push(name).digest
    assert ways.store.transfers.manifests(image.id) == [(digest, media_types.OCI_MANIFEST)]
    assert decode_manifest(ways.store.blobs.get(digest)).config.digest == image.id
    assert ways.store.check() == ()


def test_what_is_said_of_an_image_is_pushed_and_pulled(
    server: RegistryServer, repository: str, ways: Ways, new_store: Callable[[], Store]
) -> None:
    name = server.name(f"{repository}:v1")
    image = add_image(ways.store, "a", name)
    plain = ways.push(name)
    said = Annotations({"org.x": "1"}, {"org.y": "2"})
    ways.store.images.put(image.config, annotations=said)
    pushed = ways.push(name)
    document = server.manifest(repository, "v1", media_types.OCI_MANIFEST)
    assert document["annotations"] == {"org.x": "1"}
    assert pushed.digest != plain.digest
    other = Ways(new_store())
    pulled = other.pull(name)
    assert (pulled.image.id, pulled.digest) == (image.id, pushed.digest)
    assert other.store.images.annotations(image.id) == Annotations({"org.x": "1"})
    assert other.push(name).digest == pushed.digest
    ways.store.images.put(image.config, annotations=Annotations())
    assert ways.push(name).digest == plain.digest
