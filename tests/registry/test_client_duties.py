"""What the OCI distribution specification asks of clients, and what registries do within it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dissolver.errors import (
    AccessDenied,
    BadManifest,
    ContentMismatch,
    NotInRegistry,
    RegistryError,
)
from dissolver.image import media_types
from dissolver.image.digest import digest_of
from dissolver.image.reference import parse_reference
from dissolver.registry import client
from dissolver.registry.copying import copy_image
from dissolver.registry.credentials import Credentials, CredentialStore
from dissolver.registry.settings import HostSettings, RegistrySettings
from dissolver.store import Store
from registry.conftest import AMD64, Ways, nothing_half_done
from registry.images import layer, manifest_of, noise, put_image, put_index, sha256
from registry.meddler import Meddler, Reply
from registry.servers import PASSWORD, USER, QuietHandler, http_server
from registry.test_push import big_image
from shelf import add_image

MANY = 9


def arrived(ways: Ways, name: str, new_store: Callable[[], Store]) -> bool:
    return Ways(new_store()).pull(name).image == ways.store.images.resolve(name)


# Where uploads go on -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "form",
    [
        "http://{host}{path}?{query}",
        "//{host}{path}?{query}",
        "{path}?{query}",
        "{last}?{query}",
        "./{last}?{query}",
        "{path}?{query}&more=a%2Fb",
    ],
)
def test_a_location_is_relative_or_absolute(
    proxy: Meddler, repository: str, ways: Ways, new_store: Callable[[], Store], form: str
) -> None:
    def moved(reply: Reply) -> Reply:
        location = reply.headers["Location"].partition(f"//{proxy.host}")[2]
        path, _, query = location.partition("?")
        reply.headers["Location"] = form.format(
            host=proxy.host, path=path, last=path.rpartition("/")[2], query=query
        )
        return reply

    proxy.rule("POST", "/uploads/", moved, times=MANY)
    name = proxy.name(f"{repository}:v1")
    big_image(ways.store, name)
    ways.push(name)
    assert arrived(ways, name, new_store)


@pytest.mark.parametrize("location", ["", "ftp://127.0.0.1/x"])
def test_an_upload_that_goes_on_nowhere_is_told(
    proxy: Meddler, repository: str, ways: Ways, location: str
) -> None:
    def lost(reply: Reply) -> Reply:
        reply.headers["Location"] = location
        return reply

    proxy.rule("POST", "/uploads/", lost, times=MANY)
    name = proxy.name(f"{repository}:v1")
    add_image(ways.store, "a", name)
    with pytest.raises(RegistryError) as caught:
        ways.push(name)
    assert caught.value.message == f"`{proxy.host}` does not say where an upload goes on"


def chunked(ways: Ways, proxy: Meddler, size: int) -> Ways:
    hosts = {proxy.host: HostSettings(upload_chunk_bytes=size)}
    return Ways(ways.store, RegistrySettings(hosts=hosts))


def pieces(proxy: Meddler) -> list[str]:
    return [one.headers["Content-Range"] for one in proxy.asked if one.method == "PATCH"]


@pytest.mark.parametrize(
    ("least", "expected"),
    [
        ("1500000", ["0-1499999", "1500000-2999999"]),
        ("1000", ["0-999999", "1000000-1999999", "2000000-2999999"]),
        ("9000000000", []),
        ("many", ["0-999999", "1000000-1999999", "2000000-2999999"]),
    ],
)
def test_pieces_are_as_large_as_the_registry_wants_them(
    proxy: Meddler,
    repository: str,
    ways: Ways,
    new_store: Callable[[], Store],
    least: str,
    expected: list[str],
) -> None:
    def wants(reply: Reply) -> Reply:
        reply.headers["OCI-Chunk-Min-Length"] = least
        return reply

    proxy.rule("POST", "/uploads/", wants, times=MANY)
    name = proxy.name(f"{repository}:v1")
    big_image(ways.store, name)
    chunked(ways, proxy, 1_000_000).push(name)
    found = pieces(proxy)
    assert found[:-1] == expected[: len(found) - 1]
    assert len(found) == len(expected) + 1
    assert arrived(ways, name, new_store)


def test_a_piece_that_was_taken_in_part_goes_on_from_there(
    proxy: Meddler, repository: str, ways: Ways, new_store: Callable[[], Store]
) -> None:
    proxy.spoils("PATCH", "/uploads/", lambda body: body[:400_000])
    name = proxy.name(f"{repository}:v1")
    big_image(ways.store, name)
    chunked(ways, proxy, 1_000_000).push(name)
    assert pieces(proxy)[:2] == ["0-999999", "400000-1399999"]
    assert arrived(ways, name, new_store)


@pytest.mark.parametrize("text", ["0-0", "0-99999999999", "bytes=0-999999", "0-", "x", "5-1"])
def test_other_ranges_are_not_believed(
    proxy: Meddler, repository: str, ways: Ways, new_store: Callable[[], Store], text: str
) -> None:
    def says(reply: Reply) -> Reply:
        reply.headers["Range"] = text
        return reply

    proxy.rule("PATCH", "/uploads/", says, times=MANY)
    name = proxy.name(f"{repository}:v1")
    big_image(ways.store, name)
    chunked(ways, proxy, 1_000_000).push(name)
    assert pieces(proxy)[:3] == ["0-999999", "1000000-1999999", "2000000-2999999"]
    assert arrived(ways, name, new_store)


# Mounts ------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [202, 204, 404, 405, 500])
def test_a_session_in_place_of_a_mount_is_cancelled_once(
    proxy: Meddler,
    repository: str,
    ways: Ways,
    new_store: Callable[[], Store],
    status: int,
) -> None:
    names = [proxy.name(f"{repository}/{one}:v1") for one in ("a", "b")]
    big_image(ways.store, *names)
    ways.push(names[0])

    def unmounted(reply: Reply) -> Reply:
        reply.status = 202
        reply.headers["Location"] = f"/v2/{repository}/b/blobs/uploads/one"
        return reply

    proxy.rule("POST", "mount=", unmounted)
    proxy.answers("/uploads/one", status, method="DELETE", times=MANY)
    ways.push(names[1])
    assert proxy.count("DELETE", "/uploads/one") == 1
    assert arrived(ways, names[1], new_store)


# Who asks, and whom ------------------------------------------------------------------------


CHALLENGES = ['Basic realm="r"', 'Bearer realm="http://{host}/token",service="s"']


@pytest.mark.parametrize("challenge", CHALLENGES)
@pytest.mark.parametrize("where", ["{layer}", "{config}", "/manifests/", "/v2/$"])
def test_another_host_s_challenge_gets_no_password(
    proxy: Meddler, repository: str, store: Store, tmp_path: Path, where: str, challenge: str
) -> None:
    made = put_image(proxy.upstream, repository, "v1", layer(a=noise(2000)))
    settings = RegistrySettings(docker_config=tmp_path / "docker")
    CredentialStore(settings.docker_config).keep(proxy.host, Credentials(USER, PASSWORD))
    seen: list[dict[str, str]] = []

    class Elsewhere(QuietHandler):
        def do_GET(self) -> None:  # noqa: N802 - as the base class calls it
            seen.append({"path": self.path, **dict(self.headers.items())})
            header = challenge.format(host=f"127.0.0.1:{self.server.server_address[1]}")  # type: ignore[str-bytes-safe]
            self.reply(401, WWW_Authenticate=header)

    pattern = where.format(layer=made.layers[0].digest, config=made.image_id)
    with http_server(Elsewhere) as host:
        proxy.answers(pattern, 307, Location=f"http://{host}/signed", times=MANY)
        ways = Ways(store, settings)
        if where == "/v2/$":
            ways.pull(proxy.name(f"{repository}:v1"))
        else:
            with pytest.raises(AccessDenied):
                ways.pull(proxy.name(f"{repository}:v1"))
    assert [one["path"] for one in seen] == ["/signed"] * len(seen)
    assert seen
    assert not any("Authorization" in one for one in seen)


# Tags --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "link",
    [
        '</v2/{name}/tags/list?last=v2&n=2>; rel="next"',
        "</v2/{name}/tags/list?last=v2&n=2>;rel=next",
        '<http://{host}/v2/{name}/tags/list?last=v2>; rel="next"',
        '<list?last=v2>; rel="next"',
        '</first>; rel="first", </v2/{name}/tags/list?last=v2>; rel="next"',
    ],
)
def test_pages_of_tags_are_followed(proxy: Meddler, repository: str, ways: Ways, link: str) -> None:
    first = link.format(name=repository, host=proxy.host)
    proxy.answers(r"tags/list$", 200, b'{"tags": ["v1", "v2"]}', Link=first)
    proxy.answers(r"tags/list\?last=v2", 200, b'{"tags": ["v3"]}')
    reference = parse_reference(proxy.name(repository))
    assert list(ways.sources.repository(reference).tags()) == ["v1", "v2", "v3"]


def test_pages_of_tags_come_to_an_end(
    proxy: Meddler, repository: str, ways: Ways, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "MOST_PAGES", 3)
    link = f'</v2/{repository}/tags/list>; rel="next"'
    proxy.answers(r"tags/list$", 200, b'{"tags": ["v1"]}', times=MANY, Link=link)
    reference = parse_reference(proxy.name(repository))
    with pytest.raises(RegistryError) as caught:
        list(ways.sources.repository(reference).tags())
    assert caught.value.message == f"`{proxy.host}` has more than 3 pages of tags of `{repository}`"


@pytest.mark.parametrize("body", [b'{"tags": null}', b'{"name": "x", "tags": []}'])
def test_a_repository_may_have_no_tags(
    proxy: Meddler, repository: str, ways: Ways, body: bytes
) -> None:
    proxy.answers(r"tags/list$", 200, body)
    reference = parse_reference(proxy.name(repository))
    assert list(ways.sources.repository(reference).tags()) == []


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
    nothing_half_done(ways.store)


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
