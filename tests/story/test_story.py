"""The whole story, in its order: what somebody who learns containers does and sees."""

from __future__ import annotations

import json
import re
import shutil
import time
import urllib.error
from pathlib import Path

import pexpect
import pytest

from scene import Cli, free_port, page

EXAMPLES = Path(__file__).parents[2] / "examples"


def steps(progress: str) -> dict[str, bool]:
    """Read plain progress: each step's name, and whether it was CACHED."""
    names = dict(re.findall(r"^#(\d+) (?:\[(?:\S+ )?\d+/\d+\] )(.*)$", progress, re.MULTILINE))
    cached = set(re.findall(r"^#(\d+) CACHED$", progress, re.MULTILINE))
    return {name: number in cached for number, name in names.items() if "FROM" not in name}


def app_directory(cli: Cli) -> Path:
    app = cli.account.home / f"app-{time.monotonic_ns()}"
    shutil.copytree(EXAMPLES / "node-app", app)
    return cli.account.own(app)


def build(cli: Cli, app: Path, *flags: str) -> tuple[str, dict[str, bool]]:
    """Build and give the image's ID and its steps, as `build .` in the folder does."""
    done = cli(
        "build", "--progress=plain", "--host-certificates", *flags, ".", cwd=app, timeout=600
    )
    image = re.findall(r"writing image sha256:([0-9a-f]{64})", done.stderr)[-1]
    return image, steps(done.stderr)


def change_greeting(app: Path, text: str) -> None:
    server = app / "server.js"
    source = server.read_text(encoding="utf-8")
    server.write_text(re.sub(r"greeting = '.*?'", f"greeting = '{text}'", source), encoding="utf-8")


def point_1_one_image_many_containers(cli: Cli) -> None:
    first = cli.out("run", "--name", "first", "node", "node", "-p", "40 + 2")
    second = cli.out("run", "--name", "second", "node", "node", "-p", "6 * 7")
    assert (first, second) == ("42", "42")
    listed = cli.out("ps", "-a", "--format", "{{.Names}} {{.Image}}").splitlines()
    assert sorted(listed) == ["first node", "second node"]
    cli("rm", "first", "second")


def point_2_run_node_and_talk_to_its_repl(cli: Cli) -> None:
    silent = cli("run", "--rm", "node", timeout=60)
    assert silent.stdout == ""
    refused = cli("run", "-it", "--rm", "node", check=False)
    assert refused.returncode == 1
    assert "the input device is not a TTY" in refused.stderr

    words = cli.account.command("run", "-it", "--rm", "node")
    terminal = pexpect.spawn(
        words[0],
        words[1:],
        env=cli.environment,
        cwd=str(cli.account.home),
        encoding="utf-8",
        timeout=30,
        dimensions=(24, 80),
    )
    terminal.expect("Welcome to Node.js")
    terminal.expect("> ")
    terminal.sendline("1 + 1")
    terminal.expect("\r\n.*2")
    terminal.expect("> ")
    terminal.sendline("process.stdout.columns")
    terminal.expect("80")
    terminal.setwinsize(40, 132)
    terminal.sendline("setTimeout(() => console.log('wide', process.stdout.columns), 300) && 0")
    terminal.expect("wide.*132")
    terminal.sendline(".exit")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0
    assert cli.out("ps", "-a", "-q") == ""


def point_3_write_a_dockerfile(app: Path) -> None:
    text = (app / "Dockerfile").read_text(encoding="utf-8")
    words = [line.split()[0] for line in text.splitlines() if line and not line.startswith("#")]
    assert words == ["FROM", "WORKDIR", "COPY", "RUN", "COPY", "EXPOSE", "CMD"]


def point_4_build_and_run_by_id(cli: Cli, app: Path) -> tuple[str, int]:
    image, _ = build(cli, app)
    port = free_port()
    cli("run", "-d", "--name", "web", "-p", f"{port}:80", image[:12])
    assert "Hello from dissolver!" in page(f"http://127.0.0.1:{port}/")

    unpublished = free_port()
    cli("run", "-d", "--name", "unpublished", image[:12])
    with pytest.raises((urllib.error.URLError, ConnectionError)):
        page(f"http://127.0.0.1:{unpublished}/", seconds=0)
    cli("rm", "-f", "unpublished")
    return image, port


def point_5_changed_code_needs_a_new_image(cli: Cli, app: Path, image: str, port: int) -> str:
    change_greeting(app, "Changed code!")
    assert "Hello from dissolver!" in page(f"http://127.0.0.1:{port}/")
    other_port = free_port()
    cli("run", "-d", "--name", "same-image", "-p", f"{other_port}:80", image)
    assert "Hello from dissolver!" in page(f"http://127.0.0.1:{other_port}/")
    cli("rm", "-f", "same-image")

    newer, _ = build(cli, app)
    assert newer != image
    cli("run", "-d", "--name", "newer", "-p", f"{other_port}:80", newer)
    assert "Changed code!" in page(f"http://127.0.0.1:{other_port}/")
    assert "Hello from dissolver!" in page(f"http://127.0.0.1:{port}/")
    cli("stop", "newer")
    cli("rm", "newer")
    return newer


def point_6_layers_and_the_thin_one_on_top(cli: Cli, app: Path, newer: str) -> None:
    again, built = build(cli, app)
    assert again == newer
    assert built
    assert all(built.values())
    layers = json.loads(cli.out("image", "inspect", newer))[0]["RootFS"]["Layers"]
    base = json.loads(cli.out("image", "inspect", "node"))[0]["RootFS"]["Layers"]
    assert layers[: len(base)] == base
    assert len(layers) == len(base) + 4

    write = (
        "const fs = require('fs'); fs.writeFileSync('/app/mine', 'x');"
        "console.log(fs.readdirSync('/app').join())"
    )
    look = "console.log(require('fs').existsSync('/app/mine'))"
    assert "mine" in cli.out("run", "--name", "one", newer, "node", "-e", write)
    assert cli.out("run", "--name", "two", newer, "node", "-e", look) == "false"
    cli("rm", "one", "two")


def point_7_order_matters(cli: Cli, app: Path) -> None:
    build(cli, app, "-f", "Dockerfile.copy-first")
    build(cli, app)
    change_greeting(app, "Changed once more!")
    _, copy_first = build(cli, app, "-f", "Dockerfile.copy-first")
    # A copy does not depend on what lies below it, so the same one would be cached.
    change_greeting(app, "Changed yet again!")
    _, package_first = build(cli, app)
    assert copy_first == {
        "WORKDIR /app": True,
        "COPY . /app": False,
        "RUN npm install": False,
    }
    assert package_first == {
        "WORKDIR /app": True,
        "COPY package.json /app": True,
        "RUN npm install": True,
        "COPY . /app": False,
    }


def point_8_look_and_tidy_up(cli: Cli, image: str) -> None:
    table = cli.out("images", "-a").splitlines()
    assert table[0].split() == ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]
    rows = {row.split()[2]: row.split() for row in table[1:]}
    untagged = rows[image[:12]]
    assert untagged[:2] == ["<none>", "<none>"]
    assert "ago" in untagged
    assert untagged[-1].endswith("MB")
    assert float(untagged[-1].removesuffix("MB")) > 100

    refused = cli("rmi", image[:12], check=False)
    assert refused.returncode == 1
    assert "web" in refused.stderr
    running = cli("rm", "web", check=False)
    assert running.returncode == 1
    cli("stop", "web")
    still = cli("rmi", image[:12], check=False)
    assert still.returncode == 1
    assert "web" in still.stderr
    cli("rm", "web")
    assert f"Deleted: sha256:{image}" in cli.out("rmi", image[:12])

    pruned = cli.out("image", "prune", "-f")
    assert re.search(r"^Total reclaimed space: \d", pruned, re.MULTILINE)
    assert "<none>" not in cli.out("images", "-a")
    about = json.loads(cli.out("image", "inspect", "node"))[0]
    assert about["RepoTags"] == ["node:latest"]
    assert about["Config"]["Cmd"] == ["node"]


def point_9_name_and_tag(cli: Cli, app: Path) -> None:
    image, _ = build(cli, app, "-t", "goals:latest")
    change_greeting(app, "Version two!")
    second, _ = build(cli, app, "-t", "goals:2")
    listed = cli.out("images", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}").splitlines()
    assert f"goals:latest {image[:12]}" in listed
    assert f"goals:2 {second[:12]}" in listed
    port = free_port()
    cli("run", "-d", "--rm", "--name", "goals", "-p", f"{port}:80", "goals:2")
    assert "Version two!" in page(f"http://127.0.0.1:{port}/")
    cli("stop", "goals")
    cli("rmi", "goals:2", "goals")
    assert "goals" not in cli.out("images")


@pytest.mark.network
@pytest.mark.slow
def test_the_story_comes_true(node: Cli) -> None:
    app = app_directory(node)
    point_1_one_image_many_containers(node)
    point_2_run_node_and_talk_to_its_repl(node)
    point_3_write_a_dockerfile(app)
    image, port = point_4_build_and_run_by_id(node, app)
    newer = point_5_changed_code_needs_a_new_image(node, app, image, port)
    point_6_layers_and_the_thin_one_on_top(node, app, newer)
    point_7_order_matters(node, app)
    point_8_look_and_tidy_up(node, image)
    point_9_name_and_tag(node, app)
