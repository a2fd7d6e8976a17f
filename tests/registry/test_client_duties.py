"""What the OCI distribution specification asks of clients, and what registries do within it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dissolver.errors import (
    AccessDenied,
    RegistryError,
)
from dissolver.image.reference import parse_reference
from dissolver.registry import client
from dissolver.registry.credentials import Credentials, CredentialStore
from dissolver.registry.settings import HostSettings, RegistrySettings
from dissolver.store import Store
from registry.conftest import Ways
from registry.images import layer, noise, put_image
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


@pytest.mark.parametrize(
    "location", ["", "ftp://127.0.0.1/x", "http://[::1", "http://127.0.0.1:99999999/x"]
)
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


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"tags": 7}', b'{"tags": "v1"}', b"[]"])
def test_what_is_no_list_of_tags_is_told(
    proxy: Meddler, repository: str, ways: Ways, body: bytes
) -> None:
    proxy.answers(r"tags/list$", 200, body)
    reference = parse_reference(proxy.name(repository))
    with pytest.raises(RegistryError) as caught:
        list(ways.sources.repository(reference).tags())
    assert caught.value.message == f"`{proxy.host}` answers with no list of tags"


def test_tags_do_not_go_on_at_what_is_no_address(
    proxy: Meddler, repository: str, ways: Ways
) -> None:
    proxy.answers(r"tags/list$", 200, b'{"tags": []}', Link='<http://[x>; rel="next"')
    reference = parse_reference(proxy.name(repository))
    with pytest.raises(RegistryError) as caught:
        list(ways.sources.repository(reference).tags())
    assert caught.value.message == (
        f"`{proxy.host}` goes on with its tags at something that is no web address"
    )


@pytest.mark.parametrize("body", [b'{"tags": null}', b'{"name": "x", "tags": []}'])
def test_a_repository_may_have_no_tags(
    proxy: Meddler, repository: str, ways: Ways, body: bytes
) -> None:
    proxy.answers(r"tags/list$", 200, body)
    reference = parse_reference(proxy.name(repository))
    assert list(ways.sources.repository(reference).tags()) == []
