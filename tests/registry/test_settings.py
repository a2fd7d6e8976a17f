"""Where registries are, how they are spoken to, and through what."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from dissolver.errors import ConfigError, NotInRegistry, RegistryError, RegistryUnreachable
from dissolver.image.reference import parse_reference
from dissolver.registry import client
from dissolver.registry.client import reach
from dissolver.registry.credentials import CredentialStore
from dissolver.registry.endpoints import Endpoint, endpoints, is_loopback
from dissolver.registry.patience import Patience, wanted_seconds
from dissolver.registry.proxies import Proxy, proxy_for
from dissolver.registry.settings import HostSettings, RegistrySettings, from_environment
from dissolver.store import Store
from registry.conftest import Ways, nothing_half_done
from registry.images import layer, put_image, put_index, sha256
from registry.meddler import Meddler
from registry.servers import QuietHandler, RegistryServer, free_port, http_server

HOME = Path("/home/me")


def settings(tables: dict[str, object], **environment: str) -> RegistrySettings:
    return from_environment(environment, home=HOME, tables=tables, origin="`config.toml`")


# config.toml and the environment ---------------------------------------------------------


def test_a_table_for_a_registry_is_read(tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    authority.touch()
    table = {
        "mirrors": ["https://mirror.lan/hub", "10.0.0.1:5000"],
        "insecure": False,
        "ca": str(authority),
        "upload-chunk-bytes": 50_000_000,
    }
    made = settings({"docker.io": table})
    assert made.host("docker.io") == HostSettings(
        mirrors=("https://mirror.lan/hub", "10.0.0.1:5000"),
        insecure=False,
        ca=authority,
        upload_chunk_bytes=50_000_000,
    )
    assert made.host("ghcr.io") == HostSettings()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (7, "{} must be a table"),
        ({"mirror": []}, "unknown setting `mirror` of {}"),
        ({"mirrors": "x"}, "`mirrors` of {} must be a list of texts"),
        ({"mirrors": ["ftp://x"]}, "the mirror `x` of {} is not a host or a URL"),
        ({"mirrors": ["https://me:s3cret@x"]}, "the mirror `x` of {} is not a host or a URL"),
        ({"mirrors": [""]}, "the mirror `` of {} is not a host or a URL"),
        ({"mirrors": ["http://s3cret@[::1"]}, "a mirror of {} is not a host or a URL"),
        ({"mirrors": ["x:99999999"]}, "a mirror of {} is not a host or a URL"),
        ({"insecure": "yes"}, "`insecure` of {} must be `true` or `false`"),
        ({"ca": "/no/such"}, "`ca` of {} names `/no/such`, which is no file"),
        ({"key": 7}, "`key` of {} must be the path of a file"),
        ({"upload_chunk_bytes": -1}, "`upload_chunk_bytes` of {} must be a number of bytes"),
        ({"upload_chunk_bytes": True}, "`upload_chunk_bytes` of {} must be a number of bytes"),
    ],
)
def test_a_mistake_in_a_table_is_told_with_its_place(table: object, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings({"lan": table})
    assert caught.value.message == message.format('`registries."lan"` in `config.toml`')


def test_variables_name_proxies_and_docker_s_directory() -> None:
    made = settings({}, HTTPS_PROXY="http://p:1", https_proxy="http://q:2", NO_PROXY="lan")
    assert (dict(made.proxies), made.no_proxy) == ({"https": "http://q:2"}, "lan")
    assert made.docker_config == HOME / ".docker"
    assert settings({}, DOCKER_CONFIG="/d").docker_config == Path("/d")
    assert settings({}, HTTP_PROXY="http://evil", REQUEST_METHOD="GET").proxies == {}


def test_proxies_are_not_shown() -> None:
    assert "s3cret" not in repr(settings({}, https_proxy="http://me:s3cret@p:1"))


# Names and addresses -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("registry", "table", "expected"),
    [
        ("docker.io", {}, [Endpoint("docker.io", "registry-1.docker.io")]),
        ("ghcr.io", {}, [Endpoint("ghcr.io", "ghcr.io")]),
        (
            "localhost:5000",
            {},
            [Endpoint("localhost:5000", "localhost:5000", ("https", "http"), is_verified=False)],
        ),
        ("localhost:5000", {"insecure": False}, [Endpoint("localhost:5000", "localhost:5000")]),
        (
            "lan:5000",
            {"insecure": True},
            [Endpoint("lan:5000", "lan:5000", ("https", "http"), is_verified=False)],
        ),
        (
            "docker.io",
            {"mirrors": ["mirror.lan", "http://10.0.0.1:5000/hub/v2/"]},
            [
                Endpoint("mirror.lan", "mirror.lan", is_mirror=True),
                Endpoint("10.0.0.1:5000", "10.0.0.1:5000", ("http",), "/hub", is_mirror=True),
                Endpoint("docker.io", "registry-1.docker.io"),
            ],
        ),
    ],
)
def test_registries_have_addresses(
    registry: str, table: dict[str, Any], expected: list[Endpoint]
) -> None:
    made = settings({registry: table})
    assert list(endpoints(registry, made, pulls=True)) == expected
    assert list(endpoints(registry, made, pulls=False)) == [
        one for one in expected if not one.is_mirror
    ]


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("localhost:5000", True),
        ("app.localhost:1", True),
        ("127.0.0.1:5000", True),
        ("127.9.9.9", True),
        ("[::1]:5000", True),
        ("localhost.example", False),
        ("128.0.0.1", False),
        ("10.0.0.1:5000", False),
        ("[::1", False),
    ],
)
def test_this_machine_is_known_by_its_names(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


@pytest.mark.parametrize(
    ("host", "port", "no_proxy", "is_proxied"),
    [
        ("ghcr.io", 443, "", True),
        ("ghcr.io", 443, "*", False),
        ("ghcr.io", 443, "io", False),
        ("ghcr.io", 443, "ghcr.io", False),
        ("a.ghcr.io", 443, "ghcr.io", False),
        ("a.ghcr.io", 443, ".ghcr.io", False),
        ("ghcr.io", 443, ".ghcr.io", True),
        ("a.ghcr.io", 443, "*.ghcr.io", False),
        ("xghcr.io", 443, "ghcr.io", True),
        ("GHCR.io", 443, " other , GhCr.IO", False),
        ("ghcr.io", 443, "ghcr.io:443", False),
        ("ghcr.io", 443, "ghcr.io:5000", True),
        ("10.1.2.3", 443, "10.0.0.0/8", False),
        ("11.1.2.3", 443, "10.0.0.0/8", True),
        ("10.1.2.3", 443, "10.1.2.3", False),
        ("fd00::1", 443, "fd00::/8", False),
        ("localhost", 443, "", False),
        ("127.0.0.1", 443, "", False),
    ],
)
def test_no_proxy_has_the_usual_rules(
    host: str, port: int, no_proxy: str, is_proxied: bool
) -> None:
    made = RegistrySettings(proxies={"https": "http://proxy:3128"}, no_proxy=no_proxy)
    found = proxy_for(made, "https", host, port)
    assert found == (Proxy("http://proxy:3128") if is_proxied else None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("proxy:3128", Proxy("http://proxy:3128")),
        ("https://proxy", Proxy("https://proxy")),
        ("http://me:p%40ss@proxy:1", Proxy("http://proxy:1", "me:p@ss")),
    ],
)
def test_proxies_are_named_in_several_ways(text: str, expected: Proxy) -> None:
    made = RegistrySettings(proxies={"https": text})
    assert proxy_for(made, "https", "ghcr.io", 443) == expected


@pytest.mark.parametrize(
    "text", ["socks5://me:s3cret@proxy:1", "http://", "http://s3cret@p:x", "http://s3cret@[p"]
)
def test_other_proxies_are_refused_without_their_secrets(text: str) -> None:
    made = RegistrySettings(proxies={"https": text})
    with pytest.raises(RegistryError) as caught:
        proxy_for(made, "https", "ghcr.io", 443)
    assert caught.value.message == "the proxy for `https` is not an `http` or `https` URL"
    assert caught.value.__cause__ is None


# Waiting -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        ("", None),
        ("7", 7.0),
        ("soon", None),
        ("-1", None),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
    ],
)
def test_retry_after_is_read(text: str | None, expected: float | None) -> None:
    assert wanted_seconds(text) == expected


def test_a_date_to_wait_for_is_in_the_future() -> None:
    from email.utils import formatdate

    found = wanted_seconds(formatdate(time.time() + 60, usegmt=True))
    assert found is not None
    assert 50 < found <= 60


def test_a_request_for_patience_is_granted(
    proxy: Meddler, server: RegistryServer, repository: str, store: Store
) -> None:
    put_image(server, repository, "v1", layer(a=b"a"))
    proxy.answers("/manifests/", 429, Retry_After="30")
    began = time.monotonic()
    Ways(store, scale=0.01).pull(proxy.name(f"{repository}:v1"))
    assert 0.3 <= time.monotonic() - began < 5


def test_waiting_ends_when_somebody_asks() -> None:
    from dissolver.errors import Cancelled

    asked = threading.Event()
    patience = Patience(asked.is_set)
    threading.Timer(0.2, asked.set).start()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        patience.wait(30)
    assert time.monotonic() - began < 2


# Who cannot be reached --------------------------------------------------------------------


def test_nobody_at_a_port_is_said_at_once(ways: Ways) -> None:
    host = f"127.0.0.1:{free_port()}"
    began = time.monotonic()
    with pytest.raises(RegistryUnreachable) as caught:
        ways.pull(f"{host}/x:v1")
    assert caught.value.message == (
        f"the registry `{host}` cannot be reached: no connection to `{host}`: connection refused"
    )
    assert time.monotonic() - began < 2
    nothing_half_done(ways.store)


def test_an_unknown_name_is_said_at_once(ways: Ways) -> None:
    with pytest.raises(RegistryUnreachable) as caught:
        ways.pull("registry.invalid/x:v1")
    assert caught.value.message == (
        "the registry `registry.invalid` cannot be reached: "
        "no address is known for `registry.invalid`"
    )


@pytest.mark.parametrize("name", ["lan:99999999", "a b", "[::1", "lan\0"])
def test_what_is_no_host_is_not_asked_for(ways: Ways, name: str) -> None:
    """References are checked when they are read; the names that `login` is given are not."""
    (endpoint,) = endpoints(name, ways.settings, pulls=False)
    with pytest.raises(RegistryUnreachable) as caught:
        reach(ways.transport, endpoint, CredentialStore(None))
    assert caught.value.message == (
        f"the registry `{name}` is no host name, or has an impossible port"
    )


@pytest.fixture
def silent() -> Iterator[str]:
    """Somebody who takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


def test_a_silent_server_is_given_up_soon(
    silent: str, ways: Ways, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "REACH_SECONDS", 0.5)
    began = time.monotonic()
    with pytest.raises(RegistryUnreachable) as caught:
        ways.pull(f"{silent}/x:v1")
    assert "has not answered within 0.5 seconds" in caught.value.message
    assert time.monotonic() - began < 3


def test_offline_means_that_no_other_machine_is_asked(
    server: RegistryServer, repository: str, store: Store
) -> None:
    made = put_image(server, repository, "v1", layer(a=b"a"))
    ways = Ways(store, RegistrySettings(is_offline=True))
    with pytest.raises(RegistryUnreachable) as caught:
        ways.pull("docker.io/library/node")
    assert caught.value.message == (
        "the registry `docker.io` is not asked, because `offline` is set"
    )
    assert ways.pull(server.name(f"{repository}:v1")).image.id == made.image_id


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (307, {"Location": "http://192.0.2.1/signed"}),
        (401, {"WWW_Authenticate": 'Bearer realm="http://192.0.2.1/signed"'}),
    ],
)
def test_offline_a_registry_of_this_machine_leads_to_no_other(
    proxy: Meddler, repository: str, store: Store, status: int, headers: dict[str, str]
) -> None:
    proxy.answers("/manifests/", status, times=9, **headers)
    with pytest.raises(RegistryUnreachable) as caught:
        Ways(store, RegistrySettings(is_offline=True)).pull(proxy.name(f"{repository}:v1"))
    assert caught.value.message == "`192.0.2.1` is not asked, because `offline` is set"


# Mirrors and proxies, in action -------------------------------------------------------------


def mirrored(*mirrors: str) -> RegistrySettings:
    return RegistrySettings(hosts={"docker.io": HostSettings(mirrors=mirrors)})


def test_a_mirror_serves_what_the_registry_is_called(
    proxy: Meddler, server: RegistryServer, store: Store, repository: str
) -> None:
    made = put_image(server, f"library/{repository}", "latest", layer(a=b"mirrored"))
    dead = f"127.0.0.1:{free_port()}"
    ways = Ways(store, mirrored(dead, f"http://{proxy.host}"))
    pulled = ways.pull(repository)
    assert pulled.image.id == made.image_id
    assert [one.familiar for one in store.images.references(made.image_id)] == [
        f"{repository}:latest",
        f"{repository}@{made.digest}",
    ]
    (digest,) = [one.digest for one in made.layers]
    assert store.transfers.places(digest) == [f"docker.io/library/{repository}"]


@pytest.mark.parametrize("part", ["index", "manifest", "config", "layer", "layers"])
def test_what_a_mirror_lacks_of_an_image_comes_from_the_registry(
    proxy: Meddler, server: RegistryServer, store: Store, repository: str, part: str
) -> None:
    made = put_image(server, repository, "", layer(a=b"a"), layer(b=b"b"), layer(c=b"c"))
    digest = put_index(server, repository, "v1", ("linux/amd64", made))
    pattern = {
        "index": "/manifests/v1",
        "manifest": f"/manifests/{made.digest}",
        "config": made.image_id,
        "layer": made.layers[1].digest,
        "layers": "|".join(one.digest for one in made.layers),
    }[part]
    proxy.answers(pattern, 404, times=9)
    hosts = {server.host: HostSettings(mirrors=(f"http://{proxy.host}",))}
    pulled = Ways(store, RegistrySettings(hosts=hosts)).pull(server.name(f"{repository}:v1"))
    assert (pulled.digest, pulled.image.id) == (digest, made.image_id)
    assert proxy.count("GET", pattern) >= 1
    assert store.check() == ()


def test_a_blob_that_a_mirror_lacks_is_there_if_the_registry_has_it(
    proxy: Meddler, server: RegistryServer, store: Store, repository: str
) -> None:
    made = put_image(server, repository, "v1", layer(a=b"a"))
    proxy.answers("/blobs/", 404, times=9, method="HEAD")
    hosts = {server.host: HostSettings(mirrors=(f"http://{proxy.host}",))}
    sources = Ways(store, RegistrySettings(hosts=hosts)).sources
    found, _ = sources.fetch(parse_reference(server.name(f"{repository}:v1")))
    assert found.has_blob(made.layers[0].digest)
    assert not found.has_blob(sha256(b"nobody's"))
    assert proxy.count("HEAD", "/blobs/") == 1


def test_what_nobody_has_is_told_by_the_registry(
    proxy: Meddler, server: RegistryServer, store: Store, repository: str
) -> None:
    made = put_image(server, repository, "v1", layer(a=b"a"))
    hosts = {proxy.host: HostSettings(mirrors=(f"http://{server.host}",))}
    assert server.ask("DELETE", f"/v2/{repository}/blobs/{made.image_id}")[0] == 202
    with pytest.raises(NotInRegistry) as caught:
        Ways(store, RegistrySettings(hosts=hosts)).pull(proxy.name(f"{repository}:v1"))
    assert f"`{proxy.host}` does not have it" in caught.value.message


def test_what_no_mirror_has_is_asked_of_the_registry(
    proxy: Meddler, server: RegistryServer, store: Store, repository: str
) -> None:
    put_image(server, repository, "v1", layer(a=b"a"))
    hosts = {server.host: HostSettings(mirrors=(f"http://{proxy.host}",))}
    proxy.answers("/manifests/", 404)
    ways = Ways(store, RegistrySettings(hosts=hosts))
    ways.pull(server.name(f"{repository}:v1"))
    with pytest.raises(NotInRegistry) as caught:
        ways.pull(server.name(f"{repository}:v2"))
    assert caught.value.message.endswith(f"`{server.host}` does not have it")


def test_what_is_not_encrypted_goes_through_the_proxy_that_is_named(
    server: RegistryServer, repository: str, store: Store
) -> None:
    put_image(server, repository, "v1", layer(a=b"a"))
    seen: list[tuple[str, str]] = []

    class Forwarding(QuietHandler):
        def do_GET(self) -> None:  # noqa: N802 - as the base class calls it
            parts = urlsplit(self.path)
            seen.append((parts.netloc, self.headers.get("Proxy-Authorization", "")))
            status, headers, body = server.ask(
                "GET", parts.path, headers={"Accept": self.headers.get("Accept", "*/*")}
            )
            self.reply(status, body, Content_Type=headers.get("content-type", ""))

    with http_server(Forwarding) as host:
        made = RegistrySettings(
            hosts={"registry.test": HostSettings(insecure=True)},
            proxies={"http": f"http://me:s3cret@{host}", "https": "http://127.0.0.1:1"},
        )
        Ways(store, made).pull(f"registry.test/{repository}:v1")
    assert set(seen) == {("registry.test", "Basic bWU6czNjcmV0")}


def test_a_proxy_that_does_not_answer_is_told_apart(store: Store) -> None:
    made = RegistrySettings(proxies={"https": f"http://me:s3cret@127.0.0.1:{free_port()}"})
    with pytest.raises(RegistryUnreachable) as caught:
        Ways(store, made).pull("registry.test/x:v1")
    assert "`registry.test` cannot be reached through the proxy: " in caught.value.message
    assert "s3cret" not in caught.value.message


def test_a_reference_keeps_its_own_registry() -> None:
    assert parse_reference("ghcr.io/a/b").registry == "ghcr.io"
