"""A build that is killed outright leaves nothing behind, and the next one is right."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from forms import in_both_forms
from scene import Cli, free_port, kill_group, page, processes, wait_until

MARK = "dissolver-crash-test"


def leftovers(cli: Cli) -> dict[str, list[str]]:
    """List what a crash may leave: processes, mounts, cgroups, temporary files."""
    running = [str(pid) for pid in processes(MARK)]
    mounts = [
        line
        for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
        if str(cli.root) in line
    ]
    groups = [str(p) for p in Path("/sys/fs/cgroup").glob("*/*dissolver*")]
    temporary = cli.root / "tmp"
    files = [p.name for p in temporary.iterdir()] if temporary.exists() else []
    return {"processes": running, "mounts": mounts, "cgroups": groups, "files": files}


NOTHING: dict[str, list[str]] = {"processes": [], "mounts": [], "cgroups": [], "files": []}


def outputs(process: subprocess.Popen[str], text: str) -> None:
    """Read the command's output until it says ``text``."""
    assert process.stdout is not None
    end = time.monotonic() + 60
    for line in process.stdout:
        if text in line:
            return
        assert time.monotonic() < end
    raise AssertionError(f"the command ended without saying {text!r}")


@in_both_forms
def test_killed_in_the_middle_of_run(box: Cli) -> None:
    context = box.directory(
        "crash",
        {
            "Dockerfile": "FROM box\nRUN echo first > /first\n"
            f"RUN echo {MARK}; echo half > /half; if [ -e /go ]; then :; fi; "
            "for i in $(seq 200); do sleep 0.05; done; echo whole > /half\n"
        },
    )
    process = box.spawn("build", "--progress=plain", "-t", "crash", context)
    outputs(process, f" {MARK}")
    kill_group(process)
    wait_until(lambda: leftovers(box)["processes"] == [], what="the end of the step's processes")

    quick = (context / "Dockerfile").read_text(encoding="utf-8").replace("seq 200", "seq 1")
    (context / "Dockerfile").write_text(quick, encoding="utf-8")
    again = box("build", "--progress=plain", "-t", "crash", context)
    assert again.stderr.count("CACHED") == 1
    assert box.out("run", "--rm", "crash", "cat", "/half") == "whole"
    box("system", "prune", "-f")
    assert leftovers(box) == NOTHING
    assert box("system", "check").returncode == 0


def test_killed_at_many_moments_of_copy(box: Cli) -> None:
    files = {f"d{i % 40}/f{i}": os.urandom(20_000) for i in range(1500)}
    context = box.directory("copy", {**files, "Dockerfile": "FROM box\nCOPY . /data\n"})
    for milliseconds in (120, 160, 200, 240, 280, 330, 400):
        process = box.spawn("build", "--progress=plain", "--no-cache", "-t", "copied", context)
        time.sleep(milliseconds / 1000)
        if process.poll() is None:
            kill_group(process)
        else:
            process.communicate()
    box("build", "-t", "copied", context)
    count = box.out("run", "--rm", "copied", "sh", "-c", "find /data -type f | wc -l")
    assert count == str(len(files) + 1)
    name, data = next(iter(files.items()))
    size = box.out("run", "--rm", "copied", "stat", "-c", "%s", f"/data/{name}")
    assert size == str(len(data))
    box("system", "prune", "-f")
    assert leftovers(box) == NOTHING
    assert box("system", "check").returncode == 0


@in_both_forms
def test_prune_reclaims_what_killed_builds_left(box: Cli) -> None:
    context = box.directory(
        "big",
        {
            "Dockerfile": "FROM box\n"
            f"RUN echo {MARK}; dd if=/dev/zero of=/big bs=1M count=20; sleep 60\n"
        },
    )
    # A first step unpacks the base; that belongs to the image and stays.
    box("build", "-q", box.directory("first", {"Dockerfile": "FROM box\nRUN true\n"}))
    box("system", "prune", "-f")
    before = disk_bytes(box.root)
    process = box.spawn("build", "--progress=plain", context)
    outputs(process, "records out")
    kill_group(process)
    wait_until(lambda: leftovers(box)["processes"] == [], what="the end of the step's processes")
    assert disk_bytes(box.root) > before + 15_000_000
    box("system", "prune", "-f")
    assert disk_bytes(box.root) < before + 1_000_000
    assert leftovers(box) == NOTHING


def disk_bytes(root: Path) -> int:
    """Add up what the files below ``root`` occupy."""
    total = 0
    for base, _, names in os.walk(root):
        for name in names:
            total += (Path(base) / name).lstat().st_blocks * 512
    return total


def test_a_dead_supervisor_is_told_and_its_container_is_gone(box: Cli) -> None:
    box("run", "-d", "--name", "orphan", "box", "sh", "-c", f"echo {MARK}; sleep 600")
    (state,) = box.root.glob("containers/*/state.json")
    os.kill(json.loads(state.read_text(encoding="utf-8"))["supervisor"]["pid"], 9)
    wait_until(
        lambda: "Exited (137)" in box.out("ps", "-a"), what="the container being told as exited"
    )
    assert leftovers(box)["processes"] == []
    box("rm", "orphan")


def test_what_a_dead_supervisor_published_can_be_published_again(box: Cli) -> None:
    port = free_port()
    serve = ("sh", "-c", "hostname > /index.html; exec httpd -f -p 80 -h /")

    def killed(name: str) -> None:
        assert page(f"http://127.0.0.1:{port}/").strip() == name
        state = box.root / "containers" / box.out("ps", "-q", "--no-trunc") / "state.json"
        os.kill(json.loads(state.read_text(encoding="utf-8"))["supervisor"]["pid"], 9)
        wait_until(lambda: box.out("ps", "-q") == "", what="the end of the container")

    options = ("-p", f"{port}:80", "box")
    box("run", "-d", "--name", "first", "-h", "first", *options, *serve)
    killed("first")
    box("start", "first")
    killed("first")
    box("rm", "first")
    box("run", "-d", "--name", "second", "-h", "second", *options, *serve)
    killed("second")
    box("run", "-d", "--name", "third", "-h", "third", *options, *serve)
    killed("third")
    box("rm", "second", "third")
    assert list(box.run_directory.glob("pasta-*")) == []


@pytest.mark.parametrize("signal_name", ["INT", "TERM"])
def test_interrupted_builds_clean_up_themselves(box: Cli, signal_name: str) -> None:
    context = box.directory("stop", {"Dockerfile": f"FROM box\nRUN echo {MARK}; sleep 60\n"})
    process = box.spawn("build", "--progress=plain", context)
    outputs(process, f" {MARK}")
    subprocess.run(["kill", f"-{signal_name}", str(process.pid)], check=True)
    process.communicate(timeout=10)
    assert process.returncode in (130, 143)
    assert leftovers(box) == NOTHING
