"""Logins: passwords, tokens, certificates; who is told what, and what is told to nobody."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from dissolver.errors import AccessDenied, RegistryError, RegistryUnreachable
from dissolver.image.reference import parse_reference
from dissolver.registry.access import log_in, log_out
from dissolver.registry.auth import Challenge, read_challenges
from dissolver.registry.credentials import Credentials, CredentialStore
from dissolver.registry.settings import HostSettings, RegistrySettings
from dissolver.store import Store
from registry.conftest import Ways, nothing_half_done
from registry.images import layer, noise, put_image
from registry.meddler import Meddler, Reply, meddler
from registry.servers import (
    HTPASSWD,
    NO_REGISTRY,
    OPENSSL,
    PASSWORD,
    PROGRAM,
    USER,
    QuietHandler,
    RegistryServer,
    TokenServer,
    http_server,
    make_certificate,
    registry_server,
)
from registry.test_meddled_pulls import told
from shelf import add_image

BASIC = "Basic bW9ieTpjb3JyZWN0IGhvcnNl"


# Challenges ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "challenges"),
    [
        ('Basic realm="x"', [Challenge("basic", {"realm": "x"})]),
        (
            'Bearer realm="https://auth.example/token",service="a b",scope="repository:x:pull"',
            [
                Challenge(
                    "bearer",
                    {
                        "realm": "https://auth.example/token",
                        "service": "a b",
                        "scope": "repository:x:pull",
                    },
                )
            ],
        ),
        (
            'Bearer realm="r",scope="repository:x:pull,push", Basic realm="b"',
            [
                Challenge("bearer", {"realm": "r", "scope": "repository:x:pull,push"}),
                Challenge("basic", {"realm": "b"}),
            ],
        ),
        ("bearer Realm=r , Service=s", [Challenge("bearer", {"realm": "r", "service": "s"})]),
        (r'Basic realm="say \"hi\""', [Challenge("basic", {"realm": 'say "hi"'})]),
        ("Negotiate", [Challenge("negotiate", {})]),
        (
            'Negotiate, Basic realm="x"',
            [Challenge("negotiate", {}), Challenge("basic", {"realm": "x"})],
        ),
        ("", []),
    ],
)
def test_challenges_are_read(header: str, challenges: list[Challenge]) -> None:
    assert read_challenges(header) == challenges


# Passwords ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    """A docker-registry that wants a user name and a password."""
    if PROGRAM is None:
        pytest.skip(NO_REGISTRY)
    directory = tmp_path_factory.mktemp("guarded")
    with registry_server(directory, password_file=HTPASSWD) as running:
        running.headers["Authorization"] = BASIC
        yield running


@pytest.fixture
def settings(tmp_path: Path) -> RegistrySettings:
    return RegistrySettings(docker_config=tmp_path / "docker")


@pytest.fixture
def guard(guarded: RegistryServer) -> Iterator[Meddler]:
    with meddler(guarded) as running:
        yield running


def test_a_password_opens_a_registry(
    guarded: RegistryServer, repository: str, store: Store, settings: RegistrySettings
) -> None:
    made = put_image(guarded, repository, "v1", layer(a=b"one"))
    name = guarded.name(f"{repository}:v1")
    with pytest.raises(AccessDenied) as caught:
        Ways(store, settings).pull(name)
    assert caught.value.message == f"`{guarded.host}` wants a user name and a password"
    assert caught.value.hint == f"log in first: `dissolver login {guarded.host}`"
    nothing_half_done(store)
    place = log_in(settings, guarded.host, Credentials(USER, PASSWORD))
    assert place == settings.docker_config / "config.json"
    ways = Ways(store, settings)
    assert ways.pull(name).image.id == made.image_id
    copy = guarded.name(f"{repository}/copy:v1")
    ways.tag(made.image_id, copy)
    assert ways.push(copy).digest == made.digest
    assert log_out(settings, guarded.host)
    assert not log_out(settings, guarded.host)


def test_a_wrong_password_is_refused_and_not_kept(
    guarded: RegistryServer, settings: RegistrySettings
) -> None:
    with pytest.raises(AccessDenied) as caught:
        log_in(settings, guarded.host, Credentials(USER, "wrong"))
    assert caught.value.message == f"`{guarded.host}` refuses the user name or the password"
    assert not (settings.docker_config or Path()).exists()


def test_a_password_that_has_become_wrong_is_told(
    guarded: RegistryServer, repository: str, store: Store, settings: RegistrySettings
) -> None:
    CredentialStore(settings.docker_config).keep(guarded.host, Credentials(USER, "0ld secret"))
    with pytest.raises(AccessDenied) as caught:
        Ways(store, settings).pull(guarded.name(f"{repository}:v1"))
    assert "denies access" in caught.value.message
    assert "0ld secret" not in told(caught.value)


def test_a_password_is_sent_to_its_own_host_only(
    guard: Meddler,
    guarded: RegistryServer,
    repository: str,
    store: Store,
    settings: RegistrySettings,
) -> None:
    made = put_image(guarded, repository, "v1", layer(a=noise(100_000)))
    blob = made.layers[0].blob
    seen: list[dict[str, str]] = []

    class Elsewhere(QuietHandler):
        def do_GET(self) -> None:  # noqa: N802 - as the base class calls it
            seen.append(dict(self.headers.items()))
            self.reply(200, blob)

    CredentialStore(settings.docker_config).keep(guard.host, Credentials(USER, PASSWORD))
    with http_server(Elsewhere) as host:
        guard.answers(made.layers[0].digest, 307, Location=f"http://{host}/blob", times=9)
        Ways(store, settings).pull(guard.name(f"{repository}:v1"))
    assert len(seen) == 1
    assert "Authorization" not in seen[0]
    assert guard.asked[-1].headers["Authorization"] == BASIC


def test_uploads_at_another_host_are_sent_without_the_password(
    guard: Meddler, repository: str, store: Store, settings: RegistrySettings
) -> None:
    name = guard.name(f"{repository}:v1")
    add_image(store, "a", name)
    CredentialStore(settings.docker_config).keep(guard.host, Credentials(USER, PASSWORD))
    seen: list[dict[str, str]] = []

    class Elsewhere(QuietHandler):
        def do_PUT(self) -> None:  # noqa: N802 - as the base class calls it
            seen.append(dict(self.headers.items()))
            self.rfile.read(int(self.headers["Content-Length"]))
            self.reply(201)

    with http_server(Elsewhere) as host:

        def moved(reply: Reply) -> Reply:
            reply.headers["Location"] = f"http://{host}/upload?token=x"
            return reply

        guard.rule("POST", "/uploads/", moved, times=9)
        # The registry has not got the blobs, and refuses the manifest.
        guard.answers("/manifests/", 201, method="PUT")
        Ways(store, settings).push(name)
    assert seen
    assert all("Authorization" not in headers for headers in seen)


def test_a_server_that_repeats_secrets_is_not_quoted(
    guard: Meddler, repository: str, store: Store, settings: RegistrySettings
) -> None:
    CredentialStore(settings.docker_config).keep(guard.host, Credentials(USER, PASSWORD))
    message = f"you said {BASIC} which is {PASSWORD}"
    guard.fails("/manifests/", 403, "DENIED", message, times=9)
    with pytest.raises(AccessDenied) as caught:
        Ways(store, settings).pull(guard.name(f"{repository}:v1"))
    assert "you said Basic **** which is ****" in caught.value.message
    everything = told(caught.value)
    assert PASSWORD not in everything
    assert BASIC.removeprefix("Basic ") not in everything


# Tokens ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TokenServer]:
    """A token server."""
    if OPENSSL is None:
        pytest.skip("openssl is not installed")
    made = TokenServer(tmp_path_factory.mktemp("tokens"))
    with http_server(made.handler()) as host:
        made.host = host
        yield made


@pytest.fixture(scope="module")
def tokened(
    tokens: TokenServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RegistryServer]:
    """A docker-registry that wants tokens."""
    if PROGRAM is None:
        pytest.skip(NO_REGISTRY)
    token = tokens.prepare()
    with registry_server(tmp_path_factory.mktemp("tokened"), token=token) as running:
        yield running


@pytest.fixture(autouse=True)
def _plain_tokens(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "tokens" in request.fixturenames:
        made: TokenServer = request.getfixturevalue("tokens")
        made.asked.clear()
        made.seconds = 300
        made.allows = lambda _user, _scope: True
        made.fault = lambda: None


def test_tokens_open_a_registry_for_what_is_done(
    tokened: RegistryServer,
    tokens: TokenServer,
    repository: str,
    store: Store,
    settings: RegistrySettings,
) -> None:
    CredentialStore(settings.docker_config).keep(tokened.host, Credentials(USER, PASSWORD))
    names = [tokened.name(f"{repository}/{one}:v1") for one in ("a", "b")]
    image = add_image(store, "a b c d", *names)
    ways = Ways(store, settings)
    ways.push(names[0])
    assert tokens.asked == [
        {"method": "GET", "user": USER, "scopes": [f"repository:{repository}/a:pull,push"]}
    ]
    tokens.asked.clear()
    ways.push(names[1])
    scopes = [one["scopes"] for one in tokens.asked]
    assert scopes == [
        [f"repository:{repository}/b:pull,push"],
        [f"repository:{repository}/b:pull,push", f"repository:{repository}/a:pull"],
    ]
    tokens.asked.clear()
    assert Ways(store, settings).pull(names[0]).image == image
    assert [one["scopes"] for one in tokens.asked] == [[f"repository:{repository}/a:pull"]]


def test_nobody_gets_tokens_too(
    tokened: RegistryServer, tokens: TokenServer, repository: str, store: Store
) -> None:
    name = tokened.name(f"{repository}:v1")
    add_image(store, "a", name)
    Ways(store).push(name)
    assert tokens.asked[0]["user"] == ""


def test_a_token_without_the_right_is_a_refusal(
    tokened: RegistryServer,
    tokens: TokenServer,
    repository: str,
    store: Store,
    settings: RegistrySettings,
) -> None:
    CredentialStore(settings.docker_config).keep(tokened.host, Credentials(USER, PASSWORD))
    tokens.allows = lambda _user, scope: not scope.endswith("push")
    name = tokened.name(f"{repository}:v1")
    add_image(store, "a", name)
    with pytest.raises(AccessDenied) as caught:
        Ways(store, settings).push(name)
    assert caught.value.message.startswith(
        f"`{tokened.host}` denies access: cannot push to `{repository}`: "
    )
    assert caught.value.hint == "the account that is logged in may lack the right"
    assert "eyJ" not in told(caught.value)


def test_a_token_that_ends_is_renewed(
    tokened: RegistryServer,
    tokens: TokenServer,
    repository: str,
    store: Store,
    settings: RegistrySettings,
) -> None:
    name = tokened.name(f"{repository}:v1")
    add_image(store, "a", name)
    ways = Ways(store, settings)
    tokens.seconds = 300
    ways.push(name)
    first = len(tokens.asked)
    # The registry forgets: as if it had been started anew with another key.
    authorizer = ways.sources.repository(parse_reference(name)).registry.authorizer
    for scopes, token in list(authorizer._tokens.items()):
        authorizer._tokens[scopes] = type(token)(token.text + "x", token.ends)
    ways.push(name)
    assert len(tokens.asked) == first + 1


def test_an_identity_token_is_exchanged(
    tokened: RegistryServer,
    tokens: TokenServer,
    repository: str,
    store: Store,
    settings: RegistrySettings,
) -> None:
    credentials = Credentials(USER, "", identity_token="identity")
    CredentialStore(settings.docker_config).keep(tokened.host, credentials)
    name = tokened.name(f"{repository}:v1")
    add_image(store, "a", name)
    Ways(store, settings).push(name)
    assert tokens.asked[0] == {
        "method": "POST",
        "user": USER,
        "scopes": [f"repository:{repository}:pull,push"],
    }


def test_a_wrong_password_is_refused_by_the_token_server(
    tokened: RegistryServer, tokens: TokenServer, settings: RegistrySettings
) -> None:
    with pytest.raises(AccessDenied) as caught:
        log_in(settings, tokened.host, Credentials(USER, "wr0ng s3cret"))
    assert caught.value.message == f"`{tokened.host}` refuses the user name or the password"
    assert "wr0ng s3cret" not in told(caught.value)
    log_in(settings, tokened.host, Credentials(USER, PASSWORD))


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ((200, b"<html>"), "answers with something else than a token"),
        ((200, b'{"token": 7}'), "answers with something else than a token"),
        ((200, b'{"token": "a\\r\\nEvil: header"}'), "answers with something else than a token"),
        ((200, b"[]"), "answers with something else than a token"),
        ((200, b"[" * 100_000), "answers with something else than a token"),
        (
            (200, b'{"token": "x", "expires_in": 1' + b"0" * 400 + b"}"),
            "answers with something else than a token",
        ),
        ((404, b""), "gives no token: status 404"),
        ((500, b""), "gives no token: status 500"),
    ],
)
def test_a_broken_token_server_is_told(
    tokened: RegistryServer,
    tokens: TokenServer,
    repository: str,
    store: Store,
    settings: RegistrySettings,
    fault: tuple[int, bytes],
    message: str,
) -> None:
    tokens.fault = lambda: fault
    with pytest.raises(RegistryError) as caught:
        Ways(store, settings).pull(tokened.name(f"{repository}:v1"))
    assert caught.value.message == f"`http://{tokens.host}/token` {message}"


BAD_REALMS = [
    "",
    "ftp://x/token",
    "token",
    "file:///etc/passwd",
    "http://[::1/token",
    "http://x:99999999/token",
    "http://a b/token",
]


@pytest.mark.parametrize("realm", BAD_REALMS)
def test_a_realm_must_be_a_web_address(
    proxy: Meddler, repository: str, ways: Ways, realm: str
) -> None:
    header = f'Bearer realm="{realm}",service="x"'
    proxy.answers("/manifests/", 401, WWW_Authenticate=header, times=9)
    with pytest.raises(RegistryError) as caught:
        ways.pull(proxy.name(f"{repository}:v1"))
    assert caught.value.message == f"`{proxy.host}` names no server that gives tokens"


def test_a_refusal_without_a_challenge_is_final(
    proxy: Meddler, repository: str, ways: Ways
) -> None:
    proxy.answers("/manifests/", 401, times=9)
    with pytest.raises(AccessDenied):
        ways.pull(proxy.name(f"{repository}:v1"))
    assert proxy.count("GET", "/manifests/") == 1


# Certificates -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def secured(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[RegistryServer, Path]]:
    """A docker-registry with a certificate of the tests' own authority."""
    if PROGRAM is None:
        pytest.skip(NO_REGISTRY)
    if OPENSSL is None:
        pytest.skip("openssl is not installed")
    directory = tmp_path_factory.mktemp("secured")
    certificate = make_certificate(directory / "certificates")
    with registry_server(directory, certificate=certificate) as running:
        yield running, certificate[0]


def test_a_certificate_counts_if_its_authority_is_named(
    secured: tuple[RegistryServer, Path], repository: str, store: Store, tmp_path: Path
) -> None:
    server, authority = secured
    made = put_image(server, repository, "v1", layer(a=b"one"))
    name = server.name(f"{repository}:v1")
    strict = RegistrySettings(hosts={server.host: HostSettings(insecure=False)})
    with pytest.raises(RegistryUnreachable) as caught:
        Ways(store, strict).pull(name)
    assert f"the certificate of `{server.host}` is not trusted: " in caught.value.message
    assert caught.value.hint is not None
    assert f'[registries."{server.host}"]' in caught.value.hint
    named = RegistrySettings(hosts={server.host: HostSettings(ca=authority)})
    assert Ways(store, named).pull(name).image.id == made.image_id
    directory = tmp_path / "certs.d" / server.host
    directory.mkdir(parents=True)
    (directory / "ca.crt").write_bytes(authority.read_bytes())
    hosts = {server.host: HostSettings(insecure=False)}
    found = RegistrySettings(hosts=hosts, certificates=(tmp_path / "certs.d",))
    assert Ways(store, found).pull(name).image.id == made.image_id


def test_this_machine_may_have_any_certificate_as_for_docker(
    secured: tuple[RegistryServer, Path], repository: str, store: Store
) -> None:
    server, _ = secured
    made = put_image(server, repository, "v1", layer(a=b"one"))
    assert Ways(store).pull(server.name(f"{repository}:v1")).image.id == made.image_id


def test_an_encrypted_registry_does_not_lead_to_a_plain_one(
    repository: str, store: Store, tmp_path: Path
) -> None:
    if OPENSSL is None:
        pytest.skip("openssl is not installed")
    _, chain, key = make_certificate(tmp_path / "other")

    class Redirecting(QuietHandler):
        def do_GET(self) -> None:  # noqa: N802 - as the base class calls it
            if self.path == "/v2/":
                self.reply(200, b"{}")
            else:
                self.reply(307, Location="http://127.0.0.1:1/plain")

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    with http_server(Redirecting, context=context) as host:
        named = RegistrySettings(hosts={host: HostSettings(ca=tmp_path / "other" / "ca.pem")})
        with pytest.raises(RegistryError) as caught:
            Ways(store, named).pull(f"{host}/{repository}:v1")
    assert caught.value.message == (
        f"`https://{host}/v2/{repository}/manifests/v1` redirects to "
        "`http://127.0.0.1:1/plain`, which is not encrypted"
    )
