"""Images between this engine and others: sent here and run there, sent there and run here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from peers.engines import Peer
from registry.servers import RegistryServer
from scene import Cli

pytestmark = pytest.mark.peers

DOCKERFILE = """\
FROM {base}
RUN mkdir /made && echo made > /made/file && ln /made/file /made/link && ln -s file /made/short
RUN rm /made/link && chown 1000:1000 /made/file && chmod 640 /made/file
COPY text /text
ENV GREETING=hello
USER 1000
WORKDIR /made
CMD echo "$GREETING $(cat file) $(cat /text) $(stat -c %u:%a file) $(echo *)"
"""
OUTPUT = "hello made text 1000:640 file short\n"


def context(base: str, directory: Path) -> Path:
    directory.mkdir()
    (directory / "Dockerfile").write_text(DOCKERFILE.format(base=base))
    (directory / "text").write_text("text\n")
    return directory


def built_here(ours: Cli, tmp_path: Path, name: str) -> None:
    """Build with what makes layers of every kind: links, deletions, owners."""
    ours("build", "-q", "-t", name, context("box", tmp_path / "context"))


def known_digest(ours: Cli, name: str) -> str:
    (found,) = json.loads(ours("image", "inspect", name).stdout)
    digests = {text.partition("@")[2] for text in found["RepoDigests"]}
    assert len(digests) == 1
    return digests.pop()


def image_id(ours: Cli, name: str) -> str:
    return ours("image", "inspect", "-f", "{{.Id}}", name).stdout.strip()


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_what_is_pushed_here_runs_there(
    peer: Peer,
    ours: Cli,
    server: RegistryServer,
    repository: str,
    tmp_path: Path,
    compression: str,
) -> None:
    if (peer.name, compression) == ("docker", "zstd") and peer.version < 23:
        pytest.skip("this version of Docker reads no zstd")
    name = server.name(f"{repository}:v1")
    built_here(ours, tmp_path, name)
    ours("push", "-q", "--compression", compression, name)
    peer.pull(name)
    assert peer.image_id(name) == image_id(ours, name)
    assert peer.digest(name) == known_digest(ours, name)
    assert peer.run(name) == OUTPUT


def test_what_is_pushed_there_runs_here_and_goes_back_unchanged(
    peer: Peer, ours: Cli, other: Cli, server: RegistryServer, repository: str, tmp_path: Path
) -> None:
    base = server.name(f"{repository}/base:v1")
    ours("tag", "box", base)
    ours("push", "-q", base)
    peer.pull(base)
    name = server.name(f"{repository}:v1")
    peer("build", *peer.building, "-t", name, context(base, tmp_path / "context"))
    assert peer.run(name) == OUTPUT
    peer.push(name)
    other("pull", "-q", name)
    assert image_id(other, name) == peer.image_id(name)
    assert other("run", "--rm", name).stdout == OUTPUT
    digest = known_digest(other, name)
    back = server.name(f"{repository}/back:v1")
    other("tag", name, back)
    other("push", "-q", back)
    assert known_digest(other, back) == digest
    peer("rmi", "--force", name)
    peer.pull(back)
    assert peer.digest(back) == digest
    if peer.name == "docker":
        # podman keeps no layer as it came, and compresses all of them anew.
        (base_layer,) = server.manifest(f"{repository}/base", "v1")["layers"]
        manifest = json.loads(ours("manifest", "inspect", back).stdout)
        assert manifest["layers"][0]["digest"] == base_layer["digest"]


@pytest.mark.parametrize("form", ["docker", "oci", "copied"])
def test_archives_of_here_are_loaded_there(
    peer: Peer,
    ours: Cli,
    server: RegistryServer,
    repository: str,
    tmp_path: Path,
    form: str,
) -> None:
    if form == "oci" and peer.name == "docker" and peer.version < 25:
        pytest.skip("this version of Docker loads no OCI layouts")
    name = server.name(f"{repository}:v1")
    built_here(ours, tmp_path, name)
    archive = tmp_path / "archive.tar"
    if form == "copied":
        # With compressed layers, as they are in the registry.
        ours("push", "-q", name)
        ours("image", "copy", "-q", name, f"docker-archive:{archive}")
    else:
        ours("save", "--format", form, "-o", archive, name)
    peer("load", "-i", archive)
    assert peer.image_id(name) == image_id(ours, name)
    assert peer.run(name) == OUTPUT
    peer("rmi", "--force", name)


def test_archives_of_there_are_loaded_here(
    peer: Peer, ours: Cli, other: Cli, server: RegistryServer, repository: str, tmp_path: Path
) -> None:
    name = server.name(f"{repository}:v1")
    built_here(ours, tmp_path, name)
    ours("push", "-q", name)
    peer.pull(name)
    archive = tmp_path / "archive.tar"
    peer("save", "-o", archive, name)
    other("load", "-i", archive)
    assert image_id(other, name) == peer.image_id(name)
    assert other("run", "--rm", name).stdout == OUTPUT
    # An archive without a manifest gets one that every registry and engine takes.
    again = server.name(f"{repository}/again:v1")
    other("image", "copy", "-q", f"docker-archive:{archive}", again)
    peer.pull(again)
    assert peer.image_id(again) == image_id(ours, name)
    assert peer.run(again) == OUTPUT


def test_an_index_of_here_is_read_there(
    peer: Peer, ours: Cli, server: RegistryServer, repository: str, tmp_path: Path
) -> None:
    one, name = (server.name(f"{repository}:{tag}") for tag in ("one", "all"))
    built_here(ours, tmp_path, one)
    ours("push", "-q", one)
    ours("manifest", "create", name, one)
    digest = ours("manifest", "push", name).stdout.splitlines()[-1]
    peer.pull(name)
    assert peer.image_id(name) == image_id(ours, one)
    assert peer.digest(name) in (digest, known_digest(ours, one))
    assert peer.run(name) == OUTPUT
