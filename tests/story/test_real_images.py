"""The images of the story, as every way shows a root file system: the examples as they are."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from dissolver._core.layer import Layers
from export.test_three_ways import assert_same, ways
from forms import EVERY
from scene import Cli
from story.test_story import app_directory


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.skipif(not EVERY, reason="DISSOLVER_TEST_FORMS is not set")
def test_a_real_system_with_an_application_is_the_same_in_every_way(
    root_node: Cli, tmp_path: Path
) -> None:
    if reason := Layers(tmp_path / "probe", userxattr=False).image_refusal():
        pytest.skip(reason)
    app = app_directory(root_node)
    root_node("build", "-q", "--host-certificates", "-t", "real-app", app, timeout=600)
    seen = assert_same(ways(root_node, "real-app", tmp_path / "ways"))
    assert len(seen) > 10_000
    assert seen["app/server.js"].content == (app / "server.js").read_bytes()
    # Hundreds of megabytes, which pytest would keep.
    subprocess.run(["rm", "-rf", "--one-file-system", tmp_path / "ways"], check=True)
