"""Registries by other people than Debian's: those on the path, and one that a variable names."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dissolver.image.media_types import OCI_LAYER
from dissolver.image.platform import Platform
from dissolver.image.reference import parse_reference
from dissolver.registry import lists
from dissolver.registry.copying import copy_image
from dissolver.registry.settings import HostSettings, RegistrySettings
from dissolver.store import Store
from registry.conftest import AMD64, Ways
from registry.images import layer, noise, put_image, put_index
from registry.meddler import meddler
from registry.servers import RegistryServer, free_port
from shelf import add_image

COMMANDS = ["crane registry serve --address 127.0.0.1:{port}"]
"""What starts a registry without passwords on this machine, at `{port}`."""

if os.environ.get("DISSOLVER_TEST_REGISTRY"):
    COMMANDS.append(os.environ["DISSOLVER_TEST_REGISTRY"])


@pytest.fixture(scope="module", params=COMMANDS, ids=lambda command: command.partition(" ")[0])
def elsewhere(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RegistryServer]:
    words = shlex.split(request.param)
    if shutil.which(words[0]) is None:
        pytest.skip(f"{words[0]} is not installed")
    port = free_port()
    place = tmp_path_factory.mktemp("elsewhere")
    log = place / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [word.replace("{port}", str(port)) for word in words],
            stdout=output,
            stderr=output,
            cwd=place,
        )
    try:
        end = time.monotonic() + 30
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end
            time.sleep(0.05)
        yield RegistryServer(f"127.0.0.1:{port}", place / "data", log)
    finally:
        process.terminate()
        process.wait(10)


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_what_is_pushed_comes_back(
    elsewhere: RegistryServer,
    repository: str,
    ways: Ways,
    new_store: Callable[[], Store],
    compression: str,
) -> None:
    name = elsewhere.name(f"{repository}:v1")
    image = add_image(ways.store, "a b c", name)
    pushed = ways.push(name, compression=compression)
    assert pushed.sent_bytes > 0
    assert ways.push(name, compression=compression).sent_bytes == 0
    other = Ways(new_store())
    pulled = other.pull(name)
    assert (pulled.image, pulled.digest) == (image, pushed.digest)
    assert other.pull(f"{elsewhere.name(repository)}@{pushed.digest}").image == image
    back = elsewhere.name(f"{repository}/back:v1")
    other.tag(image.id, back)
    again = other.push(back)
    assert again.digest == pushed.digest


def test_a_large_layer_goes_in_pieces(
    elsewhere: RegistryServer, repository: str, store: Store, new_store: Callable[[], Store]
) -> None:
    hosts = {elsewhere.host: HostSettings(upload_chunk_bytes=1_000_000)}
    ways = Ways(store, RegistrySettings(hosts=hosts))
    name = elsewhere.name(f"{repository}:v1")
    made = put_image(elsewhere, repository, "v1", layer(OCI_LAYER, a=noise(3_500_000)))
    ways.pull(name)
    target = elsewhere.name(f"{repository}/target:v1")
    image = add_image(store, "a", target)
    assert ways.push(target).sent_bytes > 0
    ways.tag(made.image_id, elsewhere.name(f"{repository}/large:v1"))
    assert ways.push(elsewhere.name(f"{repository}/large:v1")).digest == made.digest
    other = Ways(new_store())
    assert other.pull(elsewhere.name(f"{repository}/large:v1")).image.id == made.image_id
    assert other.pull(target).image == image


def test_a_broken_connection_goes_on(
    elsewhere: RegistryServer, repository: str, ways: Ways
) -> None:
    made = put_image(elsewhere, repository, "v1", layer(OCI_LAYER, a=noise(900_000)))
    with meddler(elsewhere) as proxy:
        proxy.cuts(made.layers[0].digest, 300_000)
        pulled = ways.pull(proxy.name(f"{repository}:v1"))
        assert pulled.image.id == made.image_id
        assert proxy.count("GET", made.layers[0].digest) == 2


def test_an_index_is_pulled_copied_and_made(
    elsewhere: RegistryServer, repository: str, ways: Ways
) -> None:
    made = [
        put_image(elsewhere, repository, text, layer(a=text.encode()), architecture=text)
        for text in ("amd64", "arm64")
    ]
    pairs = zip(("linux/amd64", "linux/arm64"), made, strict=True)
    digest = put_index(elsewhere, repository, "all", *pairs)
    target = elsewhere.name(f"{repository}/copy:all")
    copied = copy_image(
        ways.store,
        ways.sources,
        parse_reference(elsewhere.name(f"{repository}:all")),
        parse_reference(target),
    )
    assert copied.digest == digest
    for architecture, one in zip(("amd64", "arm64"), made, strict=True):
        pulled = ways.pull(target, Platform("linux", architecture), is_strict=True)
        assert (pulled.image.id, pulled.digest) == (one.image_id, digest)
    name = parse_reference(elsewhere.name(f"{repository}/list:all"))
    images = [parse_reference(elsewhere.name(f"{repository}:{text}")) for text in ("amd64",)]
    lists.create(ways.store, ways.sources, name, images)
    pushed = lists.push_list(ways.store, ways.sources, name)
    assert ways.pull(name.canonical, AMD64).digest == pushed


def test_tags_are_listed_and_all_pulled(
    elsewhere: RegistryServer, repository: str, ways: Ways
) -> None:
    for number in range(3):
        put_image(elsewhere, repository, f"v{number}", layer(a=b"%d" % number))
    reference = parse_reference(elsewhere.name(repository))
    assert sorted(ways.sources.repository(reference).tags()) == ["v0", "v1", "v2"]


def test_another_program_s_errors_are_understood(
    elsewhere: RegistryServer, repository: str, ways: Ways, tmp_path: Path
) -> None:
    from dissolver.errors import NotInRegistry

    with pytest.raises(NotInRegistry) as caught:
        ways.pull(elsewhere.name(f"{repository}:none"))
    assert caught.value.message == (
        f"cannot read the manifest of `{repository}:none`: `{elsewhere.host}` does not have it"
    )
