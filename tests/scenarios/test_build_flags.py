"""The flags of a build from the command line, as root and as an ordinary user."""

from __future__ import annotations

import http.server
import json
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from scene import Cli

SEEN = """\
FROM box
RUN tail -2 /etc/hosts > /seen; ulimit -n >> /seen; ulimit -Hn >> /seen; \\
    df -k /dev/shm | tail -1 | awk '{print $2}' >> /seen
"""
FLAGS = (
    *("--add-host", "db:10.0.0.1", "--add-host=six=[fd00::1]"),
    *("--ulimit", "nofile=64:128", "--shm-size", "1m"),
)


class Greeter(http.server.BaseHTTPRequestHandler):
    """Answers everybody with the same word."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello from the machine")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def greeter() -> Iterator[int]:
    """The port of a server on this machine."""
    with http.server.ThreadingHTTPServer(("", 0), Greeter) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def cat(box: Cli, path: str) -> str:
    return box.out("run", "--rm", "--network=none", "made", "cat", path)


def test_steps_see_the_names_the_limits_and_the_memory_that_they_are_given(box: Cli) -> None:
    context = box.directory("flags", {"Dockerfile": SEEN})
    box("build", "-q", "--network=none", "-t", "made", *FLAGS, context)
    assert cat(box, "/seen").split() == ["10.0.0.1", "db", "fd00::1", "six", "64", "128", "1024"]


def test_containers_see_them_as_well(box: Cli) -> None:
    script = "tail -2 /etc/hosts; ulimit -n; ulimit -Hn; df -k /dev/shm | tail -1"
    words = box.out("run", "--rm", "--network=none", *FLAGS, "box", "sh", "-c", script).split()
    assert words[:6] == ["10.0.0.1", "db", "fd00::1", "six", "64", "128"]
    assert words[7] == "1024"


def test_programs_in_a_container_have_its_limits(box: Cli) -> None:
    flags = (*FLAGS, "--security-opt", "no-new-privileges")
    box("run", "-d", "--network=none", "--name", "held", *flags, "box", "sleep", "600")
    assert box.out("exec", "held", "sh", "-c", "ulimit -n") == "64"
    assert box.out("exec", "held", "grep", "NoNewPrivs", "/proc/self/status").split()[1] == "1"
    (told,) = json.loads(box.out("inspect", "held"))
    assert told["HostConfig"]["SecurityOpt"] == ["no-new-privileges"]
    assert told["HostConfig"]["ExtraHosts"] == ["db:10.0.0.1", "six:fd00::1"]
    assert told["HostConfig"]["ShmSize"] == 1 << 20
    assert told["HostConfig"]["Ulimits"] == [{"Name": "nofile", "Soft": 64, "Hard": 128}]


def test_a_step_and_a_container_reach_the_machine_by_the_name_it_is_given(
    box: Cli, greeter: int
) -> None:
    url = f"http://machine:{greeter}/"
    flag = "--add-host=machine:host-gateway"
    context = box.directory("gateway", {"Dockerfile": f"FROM box\nRUN wget -qO /word {url}\n"})
    box("build", "-q", "-t", "made", flag, context)
    assert cat(box, "/word") == "hello from the machine"
    assert box.out("run", "--rm", flag, "box", "wget", "-qO-", url) == "hello from the machine"


def test_without_a_network_there_is_no_machine_to_name(box: Cli) -> None:
    done = box(
        "run", "--network=none", "--add-host=machine:host-gateway", "box", "true", check=False
    )
    assert done.returncode == 125
    assert "error: this machine cannot be reached without a network\n" in done.stderr


def test_an_insecure_step_may_mount_if_somebody_allows_it(box: Cli) -> None:
    text = "FROM box\nRUN --security=insecure mkdir /m && mount -t tmpfs none /m && umount /m\n"
    context = box.directory("insecure", {"Dockerfile": text})
    refused = box("build", context, check=False)
    assert refused.returncode == 1
    assert "error: `RUN --security=insecure` is not allowed\n  Dockerfile:2\n" in refused.stderr
    box("build", "-q", "--allow", "security.insecure", context)


def test_what_is_said_of_an_image_goes_with_it(box: Cli, tmp_path: Path) -> None:
    context = box.directory("said", {"Dockerfile": "FROM box\nLABEL a=file\n"})
    facts = box.account.home / "facts.json"
    flags = ("--label", "a=flag", "--label", "b", "--annotation", "org.x=1")
    beside = "--annotation=manifest-descriptor[linux/amd64]:org.y=2"
    image = box.out("build", "-q", "-t", "said", *flags, beside, "--metadata-file", facts, context)
    assert json.loads(facts.read_text()) == {
        "containerimage.config.digest": image,
        "containerimage.digest": image,
        "image.name": "docker.io/library/said:latest",
    }
    (told,) = json.loads(box.out("inspect", "said"))
    assert told["Config"]["Labels"] == {"a": "flag", "b": ""}
    assert told["Annotations"] == {"org.x": "1"}
    archive = box.account.home / "said.tar"
    box("save", "--format", "oci", "-o", archive, "said")
    with tarfile.open(archive) as tar:

        def document(name: str) -> dict[str, object]:
            file = tar.extractfile(name)
            assert file is not None
            return json.load(file)  # type: ignore[no-any-return]

        (entry,) = document("index.json")["manifests"]  # type: ignore[misc]
        manifest = document(f"blobs/sha256/{entry['digest'].removeprefix('sha256:')}")
    assert manifest["annotations"] == {"org.x": "1"}
    assert entry["annotations"]["org.y"] == "2"
    for form in ("oci", "docker"):
        box("save", "--format", form, "-o", archive, "said")
        box("rmi", "said")
        box("load", "-i", archive)
        assert json.loads(box.out("inspect", "said"))[0]["Annotations"] == {"org.x": "1"}


def test_only_the_stages_that_are_named_run_again(box: Cli) -> None:
    text = "FROM box AS one\nRUN echo 1\nFROM box AS two\nRUN --mount=from=one,target=/x echo 2\n"
    context = box.directory("stages", {"Dockerfile": text})
    box("build", "-q", context)
    shown = box("build", "--progress=plain", "--no-cache-filter", "One,three", context).stderr
    assert [line.partition(" ")[2] for line in shown.splitlines() if line.endswith(" CACHED")] == [
        "CACHED"
    ]
    assert "WARN: the stage `three` of `--no-cache-filter` does not exist" in shown


def test_a_failed_build_leaves_no_older_facts(box: Cli) -> None:
    context = box.directory("facts", {"Dockerfile": "FROM box\nRUN false\n"})
    facts = context / "facts.json"
    facts.write_text("of yesterday")
    box.account.own(context)
    assert box("build", "--metadata-file", facts, context, check=False).returncode == 1
    assert not facts.exists()


def test_a_variable_of_the_caller_becomes_an_argument(box: Cli) -> None:
    text = "FROM box\nARG GIVEN=default\nARG UNSET=default\nRUN echo $GIVEN $UNSET > /word\n"
    context = box.directory("arguments", {"Dockerfile": text})
    words = ("--build-arg", "GIVEN", "--build-arg", "UNSET")
    box("build", "-q", "-t", "made", *words, context, environment={"GIVEN": "caller"})
    assert cat(box, "/word") == "caller default"
