"""Pushes over bad lines and to bad servers: right, or a clear error and nothing of it anywhere."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from dissolver.errors import DissolverError, RegistryError
from dissolver.registry.settings import HostSettings, RegistrySettings
from dissolver.registry.transport import Interrupted
from dissolver.store import Store
from registry.conftest import Ways
from registry.images import sha256
from registry.meddler import Meddler, Reply
from registry.servers import QuietHandler, http_server
from registry.test_meddled_pulls import told
from registry.test_push import SIZE, arrives, big_image, server_has_nothing

METHODS = {"HEAD": "/blobs/sha256", "POST": "/uploads/", "PATCH": "/uploads/", "PUT": "/uploads/"}
REQUESTS = [*METHODS.items(), ("PUT", "/manifests/")]


@pytest.fixture
def name(proxy: Meddler, repository: str, ways: Ways) -> str:
    """An image of some megabytes, under a name in the registry behind the proxy."""
    made = proxy.name(f"{repository}:v1")
    big_image(ways.store, made)
    return made


def is_unchanged(ways: Ways, proxy: Meddler, repository: str) -> bool:
    """Tell whether neither the registry nor the store has anything of a push that failed."""
    left = [path.name for path in ways.store.layout.tmp.iterdir()]
    images = ways.store.images.list()
    names = [one.digest for listed in images for one in listed.references]
    return (
        server_has_nothing(proxy, repository)
        and left == []
        and names == [None]
        and ways.store.check() == ()
        and ways.store.transfers.manifests(images[0].image.id) == []
    )


@pytest.mark.parametrize(("method", "pattern"), REQUESTS)
@pytest.mark.parametrize("is_before", [True, False])
def test_an_answer_that_is_lost_is_asked_for_again(
    proxy: Meddler,
    ways: Ways,
    name: str,
    new_store: Callable[[], Store],
    method: str,
    pattern: str,
    is_before: bool,
) -> None:
    def lost(_: Reply) -> None:
        return None

    proxy.rule(method, pattern, lost, times=2, before=is_before)
    ways.push(name)
    assert proxy.count(method, pattern) >= 2
    assert arrives(ways, name, new_store)


@pytest.mark.parametrize(("method", "pattern"), REQUESTS)
def test_a_line_that_always_breaks_is_given_up(
    proxy: Meddler, repository: str, ways: Ways, name: str, method: str, pattern: str
) -> None:
    def lost(_: Reply) -> None:
        return None

    proxy.rule(method, pattern, lost, times=1000, before=True)
    with pytest.raises(Interrupted) as caught:
        ways.push(name)
    assert proxy.host in caught.value.message
    assert is_unchanged(ways, proxy, repository)


def flipped(body: bytes) -> bytes:
    return body[:10] + bytes([body[10] ^ 1]) + body[11:] if len(body) > 10 else body


@pytest.mark.parametrize(("method", "pattern"), [("PATCH", "/uploads/"), ("PUT", "/uploads/")])
def test_bytes_that_are_damaged_on_the_way_are_refused(
    proxy: Meddler, repository: str, ways: Ways, name: str, method: str, pattern: str
) -> None:
    proxy.spoils(method, pattern, flipped, times=1000)
    with pytest.raises(RegistryError) as caught:
        ways.push(name)
    assert caught.value.message == (
        f"cannot push to `{repository}`: `{proxy.host}` answers: provided digest did not match "
        "uploaded content"
    )
    assert is_unchanged(ways, proxy, repository)


def test_a_manifest_that_is_damaged_on_the_way_is_noticed(
    proxy: Meddler, ways: Ways, name: str
) -> None:
    def spaced(body: bytes) -> bytes:
        return body + b" "

    proxy.spoils("PUT", "/manifests/", spaced, times=1000)
    with pytest.raises(RegistryError) as caught:
        ways.push(name)
    assert f"`{proxy.host}` stored another manifest than it was sent: sha256:" in (
        caught.value.message
    )
    assert [one.references[0].digest for one in ways.store.images.list()] == [None]


def endless(reply: Reply) -> Reply:
    reply.is_endless = True
    return reply


def failing(status: int) -> Callable[[Reply], Reply]:
    def change(reply: Reply) -> Reply:
        reply.status, reply.is_endless = status, True
        return reply

    return change


@pytest.mark.parametrize(("method", "pattern"), REQUESTS[1:])
def test_answers_without_an_end_are_not_read(
    proxy: Meddler,
    ways: Ways,
    name: str,
    new_store: Callable[[], Store],
    method: str,
    pattern: str,
) -> None:
    proxy.rule(method, pattern, endless, times=1000)
    ways.push(name)
    proxy.rules.clear()
    assert arrives(ways, name, new_store)


@pytest.mark.parametrize(("method", "pattern"), REQUESTS[1:])
def test_refusals_without_an_end_are_told_all_the_same(
    proxy: Meddler, repository: str, ways: Ways, name: str, method: str, pattern: str
) -> None:
    proxy.rule(method, pattern, failing(400), times=1000)
    with pytest.raises(RegistryError) as caught:
        ways.push(name)
    assert caught.value.message.endswith(f"`{proxy.host}` answers: status 400")
    proxy.rules.clear()
    left = [path.name for path in ways.store.layout.tmp.iterdir()]
    assert left == []


# Servers with an excuse -------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("method", "pattern"), REQUESTS)
def test_a_server_s_wish_to_wait_is_granted(
    proxy: Meddler,
    ways: Ways,
    name: str,
    new_store: Callable[[], Store],
    method: str,
    pattern: str,
    status: int,
) -> None:
    # The tests' patience makes a hundredth of it.
    proxy.answers(pattern, status, method=method, Retry_After="30")
    began = time.monotonic()
    ways.push(name)
    assert time.monotonic() - began >= 0.3
    if method == "PATCH":
        assert arrives(ways, name, new_store)


@pytest.mark.parametrize(("method", "pattern"), REQUESTS)
def test_a_server_that_wants_an_hour_is_not_waited_for(
    proxy: Meddler, repository: str, ways: Ways, name: str, method: str, pattern: str
) -> None:
    proxy.answers(pattern, 429, method=method, times=1000, Retry_After="3600")
    with pytest.raises(RegistryError) as caught:
        ways.push(name)
    assert "has had too many requests" in caught.value.message
    assert proxy.count(method, pattern) <= 2
    assert is_unchanged(ways, proxy, repository)


# What registries claim ----------------------------------------------------------------------


def test_a_registry_that_claims_to_have_more_of_an_upload_than_was_sent_is_not_believed(
    proxy: Meddler, repository: str, ways: Ways, name: str, new_store: Callable[[], Store]
) -> None:
    hosts = {proxy.host: HostSettings(upload_chunk_bytes=1_000_000)}
    chunked = Ways(ways.store, RegistrySettings(hosts=hosts))
    proxy.answers("/uploads/", 503, method="PATCH", skips=1)
    proxy.answers("/uploads/", 204, method="GET", Range=f"0-{10 * SIZE}")
    chunked.push(name)
    starts = [one.headers["Content-Range"] for one in proxy.asked if one.method == "PATCH"]
    assert starts[:3] == ["0-999999", "1000000-1999999", "0-999999"]
    assert arrives(ways, name, new_store)


def test_a_blob_that_only_seems_to_be_there_fails_the_manifest(
    proxy: Meddler, repository: str, ways: Ways, name: str
) -> None:
    proxy.answers("/blobs/sha256", 200, method="HEAD", times=1000)
    proxy.fails("/manifests/", 404, "MANIFEST_BLOB_UNKNOWN", "blob unknown", method="PUT", times=9)
    with pytest.raises(RegistryError):
        ways.push(name)
    assert server_has_nothing(proxy, repository)


def test_a_blob_that_is_not_known_for_a_moment_is_no_failure(
    proxy: Meddler, ways: Ways, name: str, new_store: Callable[[], Store]
) -> None:
    proxy.fails("/manifests/", 400, "BLOB_UNKNOWN", "blob unknown", method="PUT", times=2)
    ways.push(name)
    assert proxy.count("PUT", "/manifests/") == 3
    assert arrives(ways, name, new_store)


# Redirects -------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT"])
def test_uploads_that_are_sent_elsewhere_tell_no_secret(
    proxy: Meddler, repository: str, ways: Ways, name: str, method: str
) -> None:
    seen: list[dict[str, str]] = []

    class Elsewhere(QuietHandler):
        def handle_any(self) -> None:
            seen.append(dict(self.headers.items()))
            self.body()
            self.reply(403)

        do_POST = do_PATCH = do_PUT = handle_any  # noqa: N815

    with http_server(Elsewhere) as host:
        where = f"http://{host}/signed?signature=s3cr3t"
        proxy.answers("/uploads/", 307, method=method, times=1000, Location=where)
        with pytest.raises(DissolverError) as caught:
            ways.push(name)
    assert "s3cr3t" not in told(caught.value)
    assert not any("Authorization" in headers for headers in seen)
    assert is_unchanged(ways, proxy, repository)


def test_a_push_that_failed_can_be_tried_again(
    proxy: Meddler, repository: str, ways: Ways, name: str, new_store: Callable[[], Store]
) -> None:
    proxy.answers("/manifests/", 500, method="PUT", times=1000)
    with pytest.raises(RegistryError):
        ways.push(name)
    assert is_unchanged(ways, proxy, repository)
    proxy.rules.clear()
    proxy.asked.clear()
    pushed = ways.push(name)
    assert pushed.sent_bytes == 0, "what had arrived is not sent again"
    assert proxy.count("PATCH", "/uploads/") == 0
    assert sha256(ways.store.blobs.get(pushed.digest)) == pushed.digest
    assert arrives(ways, name, new_store)
