"""Shared caches from the command line: programs run, as root and as an ordinary user."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from buckets import Buckets, bucket_server
from registry.images import Layer, put_image
from registry.servers import RegistryServer
from scene import Cli

DOCKERFILE = """FROM {base} AS builder
WORKDIR /src
COPY --chown=node main.c .
RUN sed s/a/b/ main.c > program && od -N 64 /dev/urandom > random
FROM builder AS tests
RUN --mount=type=cache,target=/cache test -s program && date +%s%N > /tested
FROM {base}
RUN --mount=from=tests,source=/tested,target=/tested cp /tested /proof
COPY --from=builder /src/program /usr/program
USER node
WORKDIR /home/node/data
RUN id -u > me
"""
STEPS = 8


@pytest.fixture
def others(cli: Cli) -> Iterator[Callable[[], Cli]]:
    """Further machines of the same account: with stores of their own."""
    made: list[Cli] = []

    def make() -> Cli:
        root = cli.account.home / f"other-{uuid.uuid4().hex[:8]}"
        made.append(Cli(cli.account, root, cli.extra))
        return made[-1]

    yield make
    subprocess.run(["rm", "-rf", *(one.root for one in made)], check=True)


@pytest.fixture
def buckets() -> Iterator[Buckets]:
    with bucket_server() as running:
        yield running


def contexts(cli: Cli, base: str) -> tuple[Path, Path]:
    files = {"Dockerfile": DOCKERFILE.format(base=base), "main.c": "a\n"}
    return cli.directory("here", files), cli.directory("there", files)


def test_everything_is_cached_on_another_machine(
    cli: Cli,
    others: Callable[[], Cli],
    server: RegistryServer,
    repository: str,
    busybox_tar: Path,
    buckets: Buckets,
) -> None:
    tar = busybox_tar.read_bytes()
    layer = Layer(tar, tar, "application/vnd.oci.image.layer.v1.tar")
    put_image(server, repository, "base", layer)
    here, there = contexts(cli, server.name(f"{repository}:base"))
    shelf = cli.directory("shelf", {})
    registry = server.name(repository)
    to = (f"type=registry,ref={registry}", f"type=local,dest={shelf}", buckets.word())
    words = [word for one in to for word in ("--cache-to", f"{one},mode=max")]
    keys = {**buckets.environment, "AWS_EC2_METADATA_DISABLED": "true"}
    cli("build", "-t", "app", *words, here, environment=keys)
    image = cli.out("images", "-q", "--no-trunc")
    for from_ in (registry, f"type=local,src={shelf}", buckets.word()):
        other = others()
        built = other("build", "-t", "app", "--cache-from", from_, there, environment=keys)
        assert built.stderr.count(" CACHED\n") == STEPS, built.stderr
        assert "WARN" not in built.stderr
        assert other.out("images", "-q", "--no-trunc") == image
    assert other.out("run", "--rm", "app", "cat", "me") == "1000"
    # Nothing of the stages beside the result came along.
    assert "od -N 64" not in other.out("builder", "du")
    (there / "main.c").write_text("aa\n", encoding="ascii")
    changed = other("build", "--cache-from", from_, there, environment=keys)
    # The two directories: what is made of them does not depend on the layers below.
    assert changed.stderr.count(" CACHED\n") == 2
    other("builder", "prune", "-f")
    other("rmi", "-f", "app")
    other("image", "prune", "-a", "-f")
    assert other.out("system", "check") == "no problems found"
    for directory in (here, there, shelf):
        subprocess.run(["rm", "-rf", directory], check=True)


def test_a_cache_that_cannot_be_written_fails_the_command(
    cli: Cli, server: RegistryServer, repository: str, busybox_tar: Path
) -> None:
    context = cli.directory("context", {"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"})
    dead = "type=registry,ref=127.0.0.1:1/cache"
    failed = cli("build", "-t", "app", "--cache-to", dead, context, check=False)
    assert failed.returncode == 1
    assert failed.stderr.splitlines()[-2].startswith(
        "error: the cache could not be exported to `127.0.0.1:1/cache:latest`: "
    )
    told = cli("build", "--cache-to", f"{dead},ignore-error=true", "--cache-from", dead, context)
    assert " 2 warnings found" in told.stderr
    wrong = cli("build", "--cache-to", "type=tape", context, check=False)
    assert (wrong.returncode, wrong.stderr.splitlines()[0]) == (
        1,
        "error: unknown type `tape` in `--cache-to`",
    )
    subprocess.run(["rm", "-rf", context], check=True)
