"""The same round trip through every kind of door: a password, tokens, a certificate."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from dissolver.errors import AccessDenied, RegistryUnreachable
from dissolver.image.reference import parse_reference
from dissolver.registry import lists
from dissolver.registry.copying import copy_image
from dissolver.registry.credentials import Credentials, CredentialStore
from dissolver.registry.settings import HostSettings, RegistrySettings
from dissolver.store import Store
from registry.conftest import Ways
from registry.servers import (
    HTPASSWD,
    NO_REGISTRY,
    OPENSSL,
    PASSWORD,
    PROGRAM,
    USER,
    RegistryServer,
    TokenServer,
    http_server,
    make_certificate,
    registry_server,
)
from shelf import add_image

Door = tuple[RegistryServer, RegistrySettings, RegistrySettings]


@pytest.fixture(params=["password", "tokens", "certificate", "password and certificate"])
def door(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Door]:
    """A registry; the settings of somebody who may come in, and of somebody who may not."""
    if PROGRAM is None:
        pytest.skip(NO_REGISTRY)
    if OPENSSL is None:
        pytest.skip("openssl is not installed")
    kind: str = request.param
    with ExitStack() as stack:
        token = certificate = None
        if kind == "tokens":
            tokens = TokenServer(tmp_path / "tokens", allows=lambda user, _scope: user == USER)
            tokens.host = stack.enter_context(http_server(tokens.handler()))
            token = tokens.prepare()
        if "certificate" in kind:
            certificate = make_certificate(tmp_path / "certificates")
        server = stack.enter_context(
            registry_server(
                tmp_path / "registry",
                password_file=HTPASSWD if "password" in kind else None,
                token=token,
                certificate=certificate,
            )
        )
        login = tmp_path / "docker"
        CredentialStore(login).keep(server.host, Credentials(USER, PASSWORD))
        strict = HostSettings(insecure=False)
        ours = HostSettings(ca=certificate[0]) if certificate is not None else HostSettings()
        yield (
            server,
            RegistrySettings(docker_config=login, hosts={server.host: ours}),
            RegistrySettings(hosts={server.host: strict} if certificate is not None else {}),
        )


def test_images_go_in_and_come_out_of_guarded_registries(
    door: Door,
    server: RegistryServer,
    repository: str,
    store: Store,
    new_store: Callable[[], Store],
) -> None:
    guarded, known, unknown = door
    ways = Ways(store, known)
    name = guarded.name(f"{repository}:v1")
    image = add_image(store, "a b", name)
    pushed = ways.push(name)
    other = Ways(new_store(), known)
    assert other.pull(name).image == image
    open_name = server.name(f"{repository}:v1")
    back = guarded.name(f"{repository}/back:v1")
    for source, target in ((name, open_name), (open_name, back)):
        copied = copy_image(store, ways.sources, parse_reference(source), parse_reference(target))
        assert copied.digest == pushed.digest
    both = parse_reference(guarded.name(f"{repository}/list:all"))
    lists.create(store, ways.sources, both, [parse_reference(name)])
    digest = lists.push_list(store, ways.sources, both)
    assert other.pull(both.canonical).digest == digest
    assert list(ways.sources.repository(parse_reference(name)).tags()) == ["v1"]
    stranger = Ways(new_store(), unknown)
    with pytest.raises((AccessDenied, RegistryUnreachable)) as caught:
        stranger.pull(name)
    assert PASSWORD not in str(caught.value)
    assert stranger.store.images.list() == []
