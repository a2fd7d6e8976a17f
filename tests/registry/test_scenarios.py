"""The commands on a real registry, as root and as an ordinary user."""

from __future__ import annotations

import json
import re
import signal
import stat
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from registry.images import Layer, layer, noise, put_image
from registry.meddler import Meddler, Reply, meddler
from registry.servers import (
    HTPASSWD,
    NO_REGISTRY,
    PASSWORD,
    PROGRAM,
    USER,
    RegistryServer,
    free_port,
    registry_server,
)
from scene import Cli


@pytest.fixture
def busybox(busybox_tar: Path) -> Layer:
    tar = busybox_tar.read_bytes()
    return Layer(tar, tar, "application/vnd.oci.image.layer.v1.tar")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    if PROGRAM is None:
        pytest.skip(NO_REGISTRY)
    directory = tmp_path_factory.mktemp("guarded")
    with registry_server(directory, password_file=HTPASSWD) as running:
        running.headers["Authorization"] = "Basic bW9ieTpjb3JyZWN0IGhvcnNl"
        yield running


@pytest.fixture
def context(cli: Cli) -> Iterator[Path]:
    """A directory that the account can read."""
    made = cli.account.home / f"context-{uuid.uuid4().hex[:8]}"
    made.mkdir()
    yield made
    subprocess.run(["rm", "-rf", made], check=True)


def lines(text: str) -> list[str]:
    return text.splitlines()


def test_an_image_is_pulled_run_and_removed(
    cli: Cli, server: RegistryServer, repository: str, busybox: Layer
) -> None:
    made = put_image(server, repository, "latest", busybox)
    name = server.name(repository)
    short = made.layers[0].digest[7:19]
    assert lines(cli("pull", name).stdout) == [
        "Using default tag: latest",
        f"latest: Pulling from {repository}",
        f"{short}: Pulling fs layer",
        f"{short}: Verifying Checksum",
        f"{short}: Pull complete",
        f"Digest: {made.digest}",
        f"Status: Downloaded newer image for {name}:latest",
        f"{name}:latest",
    ]
    again = cli("pull", f"{name}:latest")
    assert lines(again.stdout)[-2:] == [
        f"Status: Image is up to date for {name}:latest",
        f"{name}:latest",
    ]
    assert cli("pull", "-q", name).stdout == f"{name}:latest\n"
    (row,) = lines(cli("images", "--digests", "--format", "{{.Repository}} {{.Digest}}").stdout)
    assert row == f"{name} {made.digest}"
    assert cli("run", "--rm", name, "sh", "-c", "echo $A").stdout == "1\n"
    document = json.loads(cli("image", "inspect", name).stdout)[0]
    assert document["RepoDigests"] == [f"{name}@{made.digest}"]
    assert lines(cli("rmi", name).stdout) == [
        f"Untagged: {name}:latest",
        f"Untagged: {name}@{made.digest}",
        f"Deleted: {made.image_id}",
    ]
    assert cli("system", "check").returncode == 0


def test_a_missing_image_is_fetched_by_run(
    cli: Cli, server: RegistryServer, repository: str, busybox: Layer
) -> None:
    put_image(server, repository, "v1", busybox)
    name = server.name(f"{repository}:v1")
    never = cli("run", "--rm", "--pull", "never", name, "true", check=False)
    assert never.returncode == 125
    assert "Unable to find" not in never.stderr
    first = cli("run", "--rm", name, "echo", "hi")
    assert first.stdout == "hi\n"
    assert lines(first.stderr)[:2] == [
        f"Unable to find image '{name}' locally",
        f"v1: Pulling from {repository}",
    ]
    second = cli("run", "--rm", name, "echo", "hi")
    assert (second.stdout, second.stderr) == ("hi\n", "")
    put_image(server, repository, "v1", busybox, layer(new=b"file"))
    always = cli("run", "--rm", "--pull=always", "-q", name, "cat", "/new")
    assert (always.stdout, always.stderr) == ("file", "")


def test_a_build_fetches_what_its_dockerfile_names(
    cli: Cli, server: RegistryServer, repository: str, busybox: Layer, context: Path
) -> None:
    base = put_image(server, f"{repository}/base", "1", busybox)
    put_image(server, f"{repository}/tool", "1", layer(tool=b"a tool"))
    (context / "Dockerfile").write_text(
        f"FROM {server.name(repository)}/base:1 AS first\nRUN echo built > /built\n"
        f"FROM {server.name(repository)}/base:1\n"
        "COPY --from=first /built /built\n"
        f"COPY --from={server.name(repository)}/tool:1 /tool /tool\n",
        encoding="utf-8",
    )
    name = server.name(f"{repository}/app:1")
    built = cli("build", "--progress=plain", "-t", name, context)
    assert f"load metadata for {server.name(repository)}/base:1" in built.stderr
    assert f"FROM {server.name(repository)}/base@{base.digest}" in built.stderr
    assert cli("run", "--rm", name, "cat", "/built", "/tool").stdout == "built\na tool"
    again = cli("build", "--progress=plain", "-t", name, context)
    assert len(re.findall(r"^#\d+ CACHED$", again.stderr, re.MULTILINE)) == 3
    rows = lines(cli("images", "--format", "{{.Repository}}").stdout)
    assert sorted(rows) == [server.name(f"{repository}/{one}") for one in ("app", "base", "tool")]
    put_image(server, f"{repository}/base", "1", busybox, layer(newer=b"base"))
    pulled = cli("build", "--pull", "-q", "-t", name, context)
    assert pulled.returncode == 0
    assert cli("run", "--rm", name, "cat", "/newer").stdout == "base"
    assert cli("system", "check").returncode == 0


def test_what_is_built_here_runs_there(
    box: Cli, server: RegistryServer, repository: str, context: Path
) -> None:
    name = server.name(f"{repository}:v1")
    (context / "Dockerfile").write_text(
        "FROM box\nRUN echo made > /made\nCMD cat /made\n", encoding="utf-8"
    )
    box("build", "-q", "-t", name, context)
    pushed = lines(box("push", name).stdout)
    assert pushed[0] == f"The push refers to repository [{server.name(repository)}]"
    assert sum(line.endswith(": Pushed") for line in pushed) == 2
    assert re.fullmatch(r"v1: digest: sha256:[0-9a-f]{64} size: \d+", pushed[-1])
    again = lines(box("push", name).stdout)
    assert sum(line.endswith(": Layer already exists") for line in again) == 2
    assert again[-1] == pushed[-1]
    assert box("push", "-q", name).stdout == f"{name}\n"
    other = Cli(box.account, box.account.home / f"store-{uuid.uuid4().hex[:8]}")
    assert other("run", "--rm", name).stdout == "made\n"
    subprocess.run(["rm", "-rf", other.root], check=True)


def test_all_tags_go_both_ways(box: Cli, server: RegistryServer, repository: str) -> None:
    name = server.name(repository)
    for tag in ("v1", "v2"):
        box("tag", "box", f"{name}:{tag}")
    box("push", "-a", name)
    box("rmi", f"{name}:v1", f"{name}:v2")
    assert lines(box("pull", "-a", name).stdout)[-1] == name
    assert lines(box("images", name, "--format", "{{.Tag}}").stdout) == ["v1", "v2"]
    assert box("pull", "-a", f"{name}:v1", check=False).returncode == 2


def test_a_login_opens_a_registry_and_a_logout_closes_it(
    cli: Cli, guarded: RegistryServer, repository: str, busybox: Layer
) -> None:
    put_image(guarded, repository, "v1", busybox)
    name = guarded.name(f"{repository}:v1")
    docker = cli.account.own(_made(cli.account.home / f"docker-{uuid.uuid4().hex[:8]}"))
    user = Cli(cli.account, cli.root, {"DOCKER_CONFIG": str(docker)})
    denied = user("pull", name, check=False)
    assert denied.returncode == 1
    assert f"hint: log in first: `dissolver login {guarded.host}`" in denied.stderr
    wrong = user(
        "login", "-u", USER, "--password-stdin", guarded.host, stdin="wr0ng\n", check=False
    )
    assert wrong.returncode == 1
    assert "refuses the user name or the password" in wrong.stderr
    assert not (docker / "config.json").exists()
    done = user("login", "-u", USER, "--password-stdin", guarded.host, stdin=f"{PASSWORD}\n")
    assert done.stdout == "Login Succeeded\n"
    assert f"stored unencrypted in '{docker}/config.json'" in done.stderr
    kept = docker / "config.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert kept.stat().st_uid == cli.account.uid
    everything = denied.stderr + wrong.stderr + done.stdout + done.stderr
    for words in (("pull", name), ("--debug", "push", name), ("--debug", "pull", f"{name}x")):
        told = user(*words, check=False)
        everything += told.stdout + told.stderr
    assert PASSWORD not in everything
    assert "bW9ieTpjb3JyZWN0IGhvcnNl" not in everything
    out = user("logout", guarded.host)
    assert out.stdout == f"Removing login credentials for {guarded.host}\n"
    assert user("logout", guarded.host).stdout == f"Not logged in to {guarded.host}\n"
    subprocess.run(["rm", "-rf", docker], check=True)


def _made(path: Path) -> Path:
    path.mkdir(mode=0o700)
    return path


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("login", "--password-stdin"), "name it with `-u`"),
        (("login", "-u", "me"), "give `-u NAME --password-stdin`"),
        (("login",), "give `-u NAME --password-stdin`"),
    ],
)
def test_a_login_without_a_terminal_needs_words(
    cli: Cli, words: tuple[str, ...], hint: str
) -> None:
    done = cli(*words, check=False, stdin="")
    assert done.returncode == 2
    assert f"hint: {hint}" in done.stderr


def test_what_nobody_has_is_said_in_one_line_and_soon(
    cli: Cli, server: RegistryServer, repository: str, context: Path
) -> None:
    (context / "Dockerfile").write_text(f"FROM {server.name(repository)}:v9\n", encoding="utf-8")
    dead = f"127.0.0.1:{free_port()}"
    for words, code, message in (
        (("pull", server.name(f"{repository}:v9")), 1, f"`{server.host}` does not have it"),
        (("run", server.name(f"{repository}:v9")), 125, f"`{server.host}` does not have it"),
        (("build", str(context)), 1, f"`{server.host}` does not have it"),
        (("pull", f"{dead}/x"), 1, f"no connection to `{dead}`: connection refused"),
        (("run", f"{dead}/x"), 125, f"no connection to `{dead}`: connection refused"),
        (("pull", "nowhere"), 1, "is not asked, because `offline` is set"),
        (("run", "nowhere"), 125, "is not asked, because `offline` is set"),
        (("push", "nowhere"), 1, "there is no local image `nowhere:latest`"),
        (("search", f"{server.host}/x"), 1, f"`{server.host}` answers no searches"),
    ):
        began = time.monotonic()
        done = cli(*words, check=False)
        assert time.monotonic() - began < 5
        assert done.returncode == code, done.stderr
        errors = [line for line in lines(done.stderr) if line.startswith("error: ")]
        assert len(errors) == 1, done.stderr
        assert message in errors[0]
        assert "Traceback" not in done.stderr


def test_without_a_network_the_hint_names_other_ways(cli: Cli) -> None:
    done = cli("run", "node", check=False, environment={"DISSOLVER_OFFLINE": "0"})
    if "hint: make it with" not in done.stderr:
        pytest.skip("a registry answered")
    assert lines(done.stderr)[0] == "Unable to find image 'node:latest' locally"
    for way in ("image bootstrap", "import", "build", "pull"):
        assert f"dissolver {way}" in done.stderr


def test_an_interrupted_pull_leaves_a_store_that_goes_on(
    cli: Cli, server: RegistryServer, repository: str
) -> None:
    made = put_image(server, repository, "v1", layer(a=noise(500_000)), layer(b=noise(400_000)))

    def slow(reply: Reply) -> Reply:
        reply.pause = 0.5
        return reply

    with meddler(server) as proxy:
        proxy.rule("GET", made.layers[1].digest, slow, times=1)
        name = proxy.name(f"{repository}:v1")
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)):
            proxy.rules[0].times = 1
            process = subprocess.Popen(
                cli.account.command("pull", name),
                env=cli.environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
            _wait_until_asked(proxy, made.layers[1].digest)
            process.send_signal(number)
            _, errors = process.communicate(timeout=20)
            assert process.returncode == code, errors
            assert b"Traceback" not in errors
            assert cli("images", "-q").stdout == ""
        cli("pull", name)
    assert cli("system", "check").returncode == 0


def _wait_until_asked(proxy: Meddler, digest: str) -> None:
    for _ in range(500):
        if proxy.count("GET", digest):
            proxy.asked.clear()
            time.sleep(0.1)
            return
        time.sleep(0.02)
    raise AssertionError("nobody asked")
