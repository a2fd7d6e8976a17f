"""Volumes outlive containers, are listed, and go when nobody mounts them."""

from __future__ import annotations

import json

from scene import Cli


def test_named_volumes_stay_until_they_are_removed(box: Cli) -> None:
    box("run", "--rm", "-v", "kept:/data", "box", "sh", "-c", "echo 1 > /data/x")
    box("run", "-v", "kept:/data", "--name", "user", "box", "true")
    (volume,) = [
        json.loads(line)
        for line in box.out("volume", "ls", "--format", "json").splitlines()
        if '"kept"' in line
    ]
    assert (volume["Driver"], volume["Links"]) == ("local", "1")
    refused = box("volume", "rm", "kept", check=False)
    assert refused.returncode == 1
    assert refused.stderr == (
        "error: the volume `kept` is mounted by the container `user`\n"
        "hint: remove that first: `dissolver rm user`\n"
    )
    box("volume", "prune", "--all", "--force")
    assert box.out("run", "--rm", "-v", "kept:/data", "box", "cat", "/data/x") == "1"
    box("rm", "-v", "user")
    # A named volume stays, whatever is pruned without `--all`.
    box("volume", "prune", "--force")
    assert "kept" in box.out("volume", "ls", "-q").split()
    assert box.out("volume", "rm", "kept") == "kept"
    gone = box("volume", "rm", "kept", check=False)
    assert gone.stderr.startswith("error: there is no volume `kept`\n")
    box("volume", "rm", "-f", "kept")


def test_anonymous_volumes_go_with_their_container_or_when_pruned(box: Cli) -> None:
    for options in (["-v"], []):
        box("run", "-v", "/data", "--name", "anonymous", "box", "touch", "/data/x")
        (name,) = [name for name in box.out("volume", "ls", "-q").split() if len(name) == 64]
        box("rm", *options, "anonymous")
        assert (name in box.out("volume", "ls", "-q").split()) == (not options)
    pruned = box.out("volume", "prune", "-f")
    assert pruned.startswith(f"Deleted Volumes:\n{name}\n\nTotal reclaimed space: ")
    assert name not in box.out("volume", "ls", "-q").split()


def test_a_local_image_for_another_platform_is_not_run(box: Cli) -> None:
    for pull in ("missing", "never"):
        refused = box(
            *("run", "--rm", "--pull", pull, "--platform", "linux/s390x", "box", "true"),
            check=False,
        )
        assert refused.returncode == 125
        assert "the local image `box` is for `linux/" in refused.stderr
        assert "not for `linux/s390x`" in refused.stderr
