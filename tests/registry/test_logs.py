"""What a program that logs everything gets to see: addresses, and no secret."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from dissolver.errors import DissolverError
from dissolver.registry.credentials import Credentials, CredentialStore
from dissolver.registry.settings import RegistrySettings
from dissolver.store import Store
from registry.conftest import Ways
from registry.images import layer, put_image
from registry.meddler import Meddler, Reply, meddler
from registry.servers import (
    HTPASSWD,
    NO_REGISTRY,
    PASSWORD,
    PROGRAM,
    USER,
    QuietHandler,
    RegistryServer,
    http_server,
    registry_server,
)
from registry.test_meddled_pulls import told
from shelf import add_image

ENCODED = "bW9ieTpjb3JyZWN0IGhvcnNl"
SECRETS = (PASSWORD, ENCODED, "s1gned", "t0ken")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    """A docker-registry that wants a user name and a password."""
    if PROGRAM is None:
        pytest.skip(NO_REGISTRY)
    directory = tmp_path_factory.mktemp("guarded")
    with registry_server(directory, password_file=HTPASSWD) as running:
        running.headers["Authorization"] = f"Basic {ENCODED}"
        yield running


@pytest.fixture
def guard(guarded: RegistryServer) -> Iterator[Meddler]:
    with meddler(guarded) as running:
        yield running


@pytest.fixture
def user(guard: Meddler, store: Store, tmp_path: Path) -> Ways:
    """Somebody who is logged in, and whose events are kept."""
    settings = RegistrySettings(docker_config=tmp_path / "docker")
    CredentialStore(settings.docker_config).keep(guard.host, Credentials(USER, PASSWORD))
    return Ways(store, settings)


def signed(reply: Reply) -> Reply:
    """Let an upload go on where a signature is in the address."""
    joint = "&" if "?" in reply.headers["Location"] else "?"
    reply.headers["Location"] += f"{joint}signature=s1gned"
    return reply


@pytest.mark.parametrize("status", [200, 403, 404, 500])
def test_pulls_log_no_secret(
    guard: Meddler, user: Ways, repository: str, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    made = put_image(guard.upstream, repository, "v1", layer(a=b"1"))

    class Elsewhere(QuietHandler):
        def do_GET(self) -> None:  # noqa: N802 - as the base class calls it
            self.reply(status, made.layers[0].blob)

    caplog.set_level(logging.DEBUG)
    everything = ""
    with http_server(Elsewhere) as host:
        where = f"http://{host}/blob?X-Amz-Signature=s1gned&token=t0ken"
        guard.answers(made.layers[0].digest, 307, times=99, Location=where)
        try:
            user.pull(guard.name(f"{repository}:v1"))
        except DissolverError as error:
            everything += told(error) + (error.hint or "")
            assert status != 200
    everything += caplog.text + repr(user.events)
    assert "GET /blob HTTP" in everything, "urllib3 does log its requests"
    assert not [secret for secret in SECRETS if secret in everything]


@pytest.mark.parametrize("status", [201, 400, 403, 500])
def test_pushes_log_no_secret(
    guard: Meddler, user: Ways, repository: str, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    name = guard.name(f"{repository}:v1")
    add_image(user.store, "a", name)
    guard.rule("POST", "/uploads/", signed, times=99)
    if status != 201:
        message = f"no: {PASSWORD}"
        guard.fails("/uploads/", status, "NO", message, method="PUT", times=99)
    caplog.set_level(logging.DEBUG)
    everything = ""
    try:
        user.push(name)
    except DissolverError as error:
        everything += told(error) + (error.hint or "")
        assert status != 201
    everything += caplog.text + repr(user.events)
    assert "/blobs/uploads/" in everything
    assert any("s1gned" in one.path for one in guard.asked), "the registry is told"
    assert not [secret for secret in SECRETS if secret in everything]
